package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/fx"

	"patchbay/cluster/callout"
	"patchbay/cluster/permit"
	"patchbay/control"
	"patchbay/internal/lifecycle"
)

// attachTenants lets tenants' programs into NATS by their API keys, if nodes do.
func attachTenants(lc fx.Lifecycle, app fx.Shutdowner, g *ground, ops *control.Operations) error {
	if !g.cfg.NATS.Tenants {
		return nil
	}
	r, err := newResponder(g, ops)
	if err != nil {
		return fmt.Errorf("nats.tenants: %w", err)
	}
	lifecycle.Attach(lc, app, g.log, r)
	return nil
}

func newResponder(g *ground, ops *control.Operations) (*callout.Responder, error) {
	all := &control.Admissions{Operations: ops, Keys: g.store, AgentTenant: g.store.AgentTenant}
	return callout.NewResponder(g.conn.Control(), g.keys, callout.Judge{
		Good: all.Good,
		Admit: func(ctx context.Context, user, secret string) (callout.Pass, error) {
			in, err := all.Admit(ctx, user, secret)
			return passOf(in), refusedBy(err)
		},
	}, time.Now, g.log)
}

// passOf says in NATS's words what a key opens.
func passOf(in control.Admission) callout.Pass {
	return callout.Pass{Name: "key." + in.Key, Until: in.Until, May: permit.ForKey(permit.Holder{Tenant: in.Tenant, Key: in.Key,
		Whole: in.Whole, Operations: in.Operations, Events: in.Events, Agent: in.Agent})}
}

// refusedBy tells a key that opens nothing from a store that does not answer.
func refusedBy(err error) error {
	var told *control.Error
	if errors.As(err, &told) && (told.Code == control.CodeDenied || told.Code == control.CodeForbidden) {
		return errors.Join(callout.ErrRefused, err)
	}
	return err
}
