package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/fx"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/store"
	"patchbay/control"
	"patchbay/internal/keys"
	"patchbay/internal/lifecycle"
	"patchbay/internal/web"
)

// controlModule serves operators, and agents that dial in.
var controlModule = fx.Module("control",
	fx.Provide(newOperations, newService, newCommander),
	fx.Invoke(attachControl),
)

// defaultTenant is the account that the first start makes.
const defaultTenant = "default"

func newCommander(g *ground) *cluster.Commander {
	return cluster.NewCommander(g.conn, g.presence.Media)
}

func newOperations(g *ground, c *cluster.Commander) *control.Operations {
	return &control.Operations{Config: g.cfg.Control, Store: shelf{g.store}, Calls: liveCalls{c}, Sealer: g.keys,
		Host: sipHost(g.cfg.SIP), Now: time.Now, Translate: rim}
}

func newService(g *ground, ops *control.Operations) *control.Service {
	return control.NewService(g.conn.Control(), ops, version(), g.log)
}

func attachControl(lc fx.Lifecycle, app fx.Shutdowner, g *ground, s *control.Service, c *cluster.Commander, w *web.Server) {
	gate := &control.Gateway{DialIn: dialIn{c}, Tenant: g.tenantOf, Translate: rim, HTTP: g.cfg.HTTP, Log: g.log}
	gate.Routes(w.Mount)
	lifecycle.Attach(lc, app, g.log, newOpening(func() (func(), error) {
		ctx, cancel := context.WithTimeout(context.Background(), g.cfg.NATS.StartWait)
		defer cancel()
		return func() {}, g.firstAccount(ctx)
	}))
	lifecycle.Attach(lc, app, g.log, s)
}

// firstAccount makes the account default and its admin key, at first start.
func (g *ground) firstAccount(ctx context.Context) error {
	admin, made, err := keys.EnsureAdmin(filepath.Join(g.cfg.Node.DataDir, "admin.key"))
	if err != nil {
		return fmt.Errorf("admin key: %w", err)
	}
	now := time.Now()
	hash := admin.Hash()
	acct, err := g.store.AccountByTenant(ctx, defaultTenant)
	switch {
	case err == nil && made: // the file was lost: whoever owns the data directory is the operator
		acct.Keys = []endpoint.APIToken{{ID: control.NewUUID(), Kind: "native", Prefix: "pbk", Hash: hash[:], Scopes: []string{"*"}}}
		acct.UpdatedAt = now
		_, err = g.store.UpdateAccount(ctx, acct)
		return err
	case !errors.Is(err, endpoint.ErrNotFound):
		return err
	}
	_, err = g.store.CreateAccount(ctx, endpoint.Account{V: 1, ID: control.NewUUID(), Tenant: defaultTenant, Name: "Default",
		Refusal: endpoint.RefuseUniform, CreatedAt: now, UpdatedAt: now,
		Keys: []endpoint.APIToken{{ID: control.NewUUID(), Kind: "native", Prefix: "pbk", Hash: hash[:], Scopes: []string{"*"}}}})
	if errors.Is(err, endpoint.ErrExists) {
		return nil // another node was faster
	}
	return err
}

// tenantOf returns whose key it is. Only the account default has keys yet.
func (g *ground) tenantOf(ctx context.Context, key string) (string, bool) {
	a, err := g.store.Account(ctx, defaultTenant)
	if err != nil {
		return "", false
	}
	hash := sha256.Sum256([]byte(key))
	for _, k := range a.Keys {
		if subtle.ConstantTimeCompare(hash[:], k.Hash) == 1 && k.RevokedAt == nil && (k.ExpiresAt == nil || k.ExpiresAt.After(time.Now())) {
			return a.Tenant, true
		}
	}
	return "", false
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
		Answered: s.Answered, Quality: s.Quality}
}

// rim says in control's words what the store and the cluster could not do.
func rim(err error) error {
	switch {
	case errors.Is(err, cluster.ErrUnavailable), errors.Is(err, store.ErrUnavailable), errors.Is(err, actors.ErrBusy):
		return fmt.Errorf("%w: %w", control.ErrUnavailable, err)
	case errors.Is(err, store.ErrLimit):
		return &control.Error{Code: control.CodeLimit, Message: "the account has as many objects of this kind as it may have"}
	case errors.Is(err, store.ErrCursor):
		return &control.Error{Code: control.CodeInvalid, Message: "the request is wrong",
			Problems: []endpoint.Problem{{Field: "cursor", Code: endpoint.CodeInvalid, Message: "want next of a page of this list"}}}
	}
	return err
}
