package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/fx"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/hooks"
	"patchbay/cluster/store"
	"patchbay/control"
	"patchbay/internal/lifecycle"
)

// controlModule serves operators, and agents that dial in.
var controlModule = fx.Module("control",
	fx.Provide(newOperations, newService, newExplainer, newCommander, newPlacer, newDeliverer),
	fx.Invoke(attachFaces, attachControl, attachPlans, attachTenants, attachDeliverer),
)

func newCommander(g *ground) *cluster.Commander {
	return cluster.NewCommander(g.conn, g.presence.Media)
}

func newOperations(g *ground, c *cluster.Commander, x *cluster.Explainer, p *actors.Placer) *control.Operations {
	return &control.Operations{Config: g.cfg.Control, Store: shelf{g.store}, Calls: liveCalls{c}, Sealer: g.keys,
		Workers: workforces{c}, Nodes: clusterNodes{cluster.NewNodes(g.conn, g.presence.Known)}, Blocks: g.store,
		Records: archive{g.ledger.Journal()}, Board: board{g.board},
		Webhooks: g.store, Hooks: hookDesk{hooks.Desk{JetStream: g.conn.JetStream()}}, PlainWebhooks: g.cfg.Hooks.AllowHTTP || g.onLoopbackOnly(),
		Host: sipHost(g.cfg.SIP), Domain: g.cfg.SIP.BaseDomain, Now: time.Now, Translate: rim,
		Known: g.store.Account, Dialler: dialler{p, g.store}, Trunks: g.store, Identities: identities{g.store},
		Dialable: g.trunkGuard().Check, Read: readExplained(g.cfg.SIP.BaseDomain), Explainer: x}
}

func newService(g *ground, ops *control.Operations) *control.Service {
	return control.NewService(g.conn.Control(), ops, version(), g.log)
}

func attachControl(lc fx.Lifecycle, app fx.Shutdowner, g *ground, s *control.Service) {
	lifecycle.Attach(lc, app, g.log, newOpening(func() (func(), error) {
		ctx, cancel := context.WithTimeout(context.Background(), g.cfg.NATS.StartWait)
		defer cancel()
		return func() {}, g.firstAccount(ctx)
	}))
	lifecycle.Attach(lc, app, g.log, s)
}

// attachPlans says to media nodes how targets of transfers are called.
func attachPlans(lc fx.Lifecycle, app fx.Shutdowner, g *ground, ops *control.Operations, c *cluster.Commander, obs observers) {
	lifecycle.Attach(lc, app, g.log, newOpening(func() (func(), error) {
		door, err := cluster.OpenTargetDoor(g.conn, c, ops.Target, obs.door("transfer"))
		if err != nil {
			return nil, err
		}
		return door.Close, nil
	}))
}

// shelf is control's view of the store: every write goes through it.
type shelf struct{ *store.Store }

// Account implements control.Store: control reads what the leader has now.
func (s shelf) Account(ctx context.Context, tenant string) (endpoint.Account, error) {
	return s.AccountByTenant(ctx, tenant)
}

// liveCalls lets control reach the calls of media nodes.
type liveCalls struct{ *cluster.Commander }

// List implements control.Calls.
func (l liveCalls) List(ctx context.Context, tenant string, limit int) ([]control.CallView, error) {
	all, err := l.Commander.List(ctx, tenant, limit)
	views := make([]control.CallView, len(all))
	for i, status := range all {
		views[i] = viewOf(status)
	}
	return views, err
}

// Get implements control.Calls.
func (l liveCalls) Get(ctx context.Context, tenant string, id call.ID) (control.CallView, error) {
	status, err := l.Commander.Get(ctx, tenant, id)
	return viewOf(status), err
}

func viewOf(s actors.CallStatus) control.CallView {
	return control.CallView{ID: s.ID, Tenant: s.Tenant, Endpoint: s.Endpoint, Agent: s.Agent, Worker: s.Worker, Node: s.Node,
		State: fmt.Sprint(s.State), From: s.From, To: s.To, Source: s.Source, Codec: s.Codec, Since: s.Since,
		Answered: s.Answered, Quality: s.Quality, CallID: s.SIPCallID, Metadata: s.Metadata, Direction: directionOf(s.Direction), Trunk: s.Trunk,
		OnHold: s.OnHold, Transfer: s.Transfer, Moved: s.Moved}
}

// rim says in control's words what the store and the cluster could not do.
func rim(err error) error {
	switch {
	case errors.Is(err, cluster.ErrUnavailable), errors.Is(err, store.ErrUnavailable), errors.Is(err, actors.ErrBusy):
		return fmt.Errorf("%w: %w", control.ErrUnavailable, err)
	case errors.Is(err, store.ErrLimit):
		return &control.Error{Code: control.CodeLimit, Message: "the account has as many objects of this kind as it may have"}
	case errors.Is(err, store.ErrDaily):
		return &control.Error{Code: control.CodeLimit, Message: "the account has created as many endpoints today as it may; the day is UTC's"}
	case errors.Is(err, store.ErrTooLarge):
		return &control.Error{Code: control.CodeInvalid, Message: "the request is wrong",
			Problems: []endpoint.Problem{{Field: "spec", Code: endpoint.CodeTooLong, Message: "what it makes is larger than 64 KiB"}}}
	case errors.Is(err, store.ErrNotEmpty):
		return &control.Error{Code: control.CodeConflict, Message: "the account still has endpoints, agents, webhooks or other objects"}
	case errors.Is(err, store.ErrCursor):
		return &control.Error{Code: control.CodeInvalid, Message: "the request is wrong",
			Problems: []endpoint.Problem{{Field: "cursor", Code: endpoint.CodeInvalid, Message: "want next of a page of this list"}}}
	}
	return err
}
