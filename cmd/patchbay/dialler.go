package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/fx"

	"patchbay/actors"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/store"
	"patchbay/control"
	"patchbay/internal/dialguard"
	"patchbay/internal/lifecycle"
)

// newPlacer gives calls that accounts place to media nodes. Deciders, where this
// node has them, share its intake and close it.
func newPlacer(lc fx.Lifecycle, app fx.Shutdowner, g *ground, in *cluster.Intake) *actors.Placer {
	if !g.has("actor") {
		lifecycle.Attach(lc, app, g.log, newOpening(func() (func(), error) { return in.Close, nil }))
	}
	return actors.NewPlacer(in, g.presence, g.presence)
}

// trunkGuard says where calls that accounts place may go.
func (g *ground) trunkGuard() dialguard.Guard {
	return dialguard.Guard{AllowPrivate: g.cfg.SIP.AllowPrivate, AllowLoopback: g.onLoopbackOnly()}
}

// directionOf is the word of a direction: a call that has none came in.
func directionOf(said string) string {
	if said == "" {
		return actors.Inbound
	}
	return said
}

// dialler places calls for control.
type dialler struct {
	*actors.Placer
	store *store.Store
}

// Place implements control.Dialler.
func (d dialler) Place(ctx context.Context, job actors.Job, caps []actors.Cap) (node string, err error) {
	taken, err := d.Placer.Place(ctx, job, caps)
	switch {
	case err != nil:
		return "", fullOf(err)
	case taken.Status == 400: // what the dialog cannot use, by field
		field, why, _ := strings.Cut(taken.Text, ": ")
		return "", &control.Error{Code: control.CodeInvalid, Message: "the request is wrong",
			Problems: []endpoint.Problem{{Field: field, Code: endpoint.CodeInvalid, Message: why}}}
	case taken.Status != 0:
		return "", fmt.Errorf("media node %s answered %d", taken.Node, taken.Status)
	}
	return taken.Node, nil
}

// Claim implements control.Dialler.
func (d dialler) Claim(job actors.Job, node string, caps []actors.Cap) error {
	return fullOf(d.Placer.Claim(job, node, caps))
}

// fullOf says that a cap has no room in control's words.
func fullOf(err error) error {
	var full *actors.Full
	switch {
	case errors.As(err, &full) && full.Rate:
		return &control.Error{Code: control.CodeRate, Message: full.What + ": too many calls in a second", RetryAfterMs: 1000}
	case errors.As(err, &full):
		return &control.Error{Code: control.CodeLimit, Message: full.What + ": as many calls as it may have at once"}
	}
	return err
}

// Remember implements control.Dialler.
func (d dialler) Remember(ctx context.Context, tenant string, once endpoint.Once) error {
	return d.store.Remember(ctx, tenant, once)
}

// identities say whose a caller's identity is.
type identities struct{ *store.Store }

// Owns implements control.Identities.
func (i identities) Owns(ctx context.Context, tenant, label, user string) (bool, error) {
	return i.OwnsIdentity(ctx, tenant, label, user)
}
