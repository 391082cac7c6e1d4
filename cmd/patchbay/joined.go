package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/fx"

	"patchbay/cluster"
	"patchbay/cluster/broker"
	"patchbay/cluster/hooks"
	"patchbay/cluster/ledger"
	"patchbay/cluster/permit"
	"patchbay/cluster/stats"
	"patchbay/cluster/store"
	"patchbay/cluster/stream"
	"patchbay/internal/lifecycle"
	"patchbay/internal/pki"
)

// openNATS starts broker and connection as an application of their own: they
// outlive every role.
func (g *ground) openNATS(ctx context.Context) error {
	n := g.cfg.NATS
	opts, err := g.connOptions()
	if err != nil {
		return err
	}
	parts := []fx.Option{quiet(g.log), fx.StartTimeout(n.StartWait + 5*time.Second), fx.StopTimeout(stopTimeout)}
	if g.has("broker") {
		cfg, err := g.brokerConfig()
		if err != nil {
			return err
		}
		srv, err := broker.New(cfg, g.log)
		if err != nil {
			return err
		}
		g.broker, opts.Server = srv, srv
		parts = append(parts, fx.Supply(srv), fx.Invoke(lifecycle.Attach[*broker.Server]))
	}
	if opts.URL == "" && opts.Server == nil {
		return errors.New("nats.url is empty and this node has no broker role: set nats.url to the servers to join")
	}
	conn, err := cluster.Connect(opts, g.log)
	if err != nil {
		return err
	}
	g.conn = conn
	g.base = fx.New(append(parts, fx.Supply(conn, g.log), fx.Invoke(lifecycle.Attach[*cluster.Conn]))...)
	if err := g.base.Start(ctx); err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return errors.Join(fmt.Errorf("start: %w", err), g.base.Stop(stop))
	}
	return nil
}

// connOptions say who this node is and where it joins.
func (g *ground) connOptions() (opts cluster.Options, err error) {
	n, who := g.cfg.NATS, permit.Process(g.cfg.Node.Roles...)
	opts = cluster.Options{Name: g.cfg.Node.Name, URL: n.URL, Credentials: n.Credentials, Wait: n.StartWait,
		Clustered: n.Brokers() > 1, Inbox: permit.Inbox(who), Blind: who.String() == string(permit.Edge)}
	if n.URL != "" && n.TLSCA != "" {
		authorities, err := pki.Pool(n.TLSCA)
		if err != nil {
			return opts, fmt.Errorf("nats.tls_ca_file: %w", err)
		}
		opts.TLS = pki.Client(authorities)
	}
	if n.ByRoles() {
		opts.Login, err = permit.LoginOf(g.keys, who)
	}
	return opts, err
}

func (g *ground) brokerConfig() (broker.Config, error) {
	n := g.cfg.NATS
	cfg := broker.Config{Name: g.cfg.Node.Name, Listen: n.Listen, Advertise: n.Advertise,
		Cluster:  broker.Cluster{Name: n.ClusterName, Listen: n.Cluster, Advertise: n.ClusterAdv, Routes: n.Routes, Size: n.Brokers()},
		StoreDir: filepath.Join(g.cfg.Node.DataDir, "jetstream"), MaxStore: n.MaxStore, SyncAlways: n.SyncAlways, StartWait: n.StartWait}
	if n.ByRoles() {
		cfg.Keys, cfg.Tenants = g.keys, n.Tenants
	}
	if n.TLSCert == "" {
		return cfg, nil
	}
	pair, err := pki.OpenPair(n.TLSCert, n.TLSKey)
	if err != nil {
		return cfg, fmt.Errorf("nats.tls_cert_file, nats.tls_key_file: %w", err)
	}
	cfg.ClientTLS = pair.Server()
	if n.Cluster == "" {
		return cfg, nil
	}
	authorities, err := pki.Pool(n.TLSCA)
	if err != nil {
		return cfg, fmt.Errorf("nats.tls_ca_file: %w", err)
	}
	cfg.RouteTLS = pair.Peer(authorities)
	return cfg, nil
}

// streams says what the node's part is in making buckets and streams: brokers
// and control nodes make them, the others wait for them.
func (g *ground) streams() stream.Terms {
	return stream.Terms{Replicas: g.cfg.NATS.Copies(), Found: !g.has("broker") && !g.has("control"), Wait: g.cfg.NATS.StartWait, Log: g.log}
}

// openShared opens what the node's roles stand on, and no more: an edge reads
// no configuration, and a broker carries no calls.
func (g *ground) openShared(ctx context.Context, obs observers) error {
	decides, carries := g.has("actor"), g.has("media")
	g.presence = cluster.NewPresence(g.cfg.Actor.DeadNodeHold, time.Now, obs.presence(g.lostNode))
	for _, part := range []struct {
		needed bool
		open   func(context.Context, observers) error
	}{
		{g.hasAny("broker", "control"), g.declare},
		{g.hasAny("actor", "control"), g.openStore},
		{g.hasAny("actor", "control"), g.openBoard},
		{carries, g.openSlot}, // the ledger names it
		{g.hasAny("actor", "media", "control"), g.openLedger},
		{g.hasAny("actor", "media", "control", "edge"), g.hearBeats}, // they tell the ledger who died
		{decides && !g.alone(), g.hearAll},
	} {
		if !part.needed {
			continue
		}
		if err := part.open(ctx, obs); err != nil {
			return err
		}
	}
	return nil
}

// hasAny reports whether the node plays one of the roles.
func (g *ground) hasAny(roles ...string) bool { return slices.ContainsFunc(roles, g.has) }

// declare makes every bucket and stream, so that roles elsewhere find them.
func (g *ground) declare(ctx context.Context, _ observers) error {
	js := g.conn.JetStream()
	err := store.Declare(ctx, js, g.streams())
	if err == nil {
		_, err = stats.Open(ctx, js, g.streams())
	}
	if err == nil {
		_, err = ledger.Declare(ctx, js, g.ledgerConfig())
	}
	if err == nil {
		err = cluster.Declare(ctx, js, g.streams())
	}
	if err == nil {
		err = hooks.Declare(ctx, js, g.streams(), g.cfg.Hooks.MaxBytes)
	}
	return err
}

func (g *ground) openStore(ctx context.Context, obs observers) (err error) {
	g.store, err = store.Open(ctx, g.conn.JetStream(), store.Config{
		Node: g.cfg.Node.Name, Streams: g.streams(), CacheEntries: g.cfg.Actor.CacheEntries,
		MaxEndpoints: g.cfg.Control.MaxEndpoints, MaxAgents: g.cfg.Control.MaxAgents, ReadTimeout: g.cfg.Actor.StoreTimeout,
		Decider:  g.has("actor"),
		Deciders: func() []string { return g.presence.Alive(cluster.RoleActor) },
	}, g.log, obs.store())
	return err
}

func (g *ground) openBoard(ctx context.Context, _ observers) (err error) {
	g.board, err = stats.Open(ctx, g.conn.JetStream(), g.streams())
	return err
}

func (g *ground) hearBeats(context.Context, observers) error { return g.presence.Listen(g.conn) }

// alone reports that the node carries the calls that it decides about, on a
// broker of its own.
func (g *ground) alone() bool {
	return g.has("media") && g.cfg.NATS.URL == "" && len(g.cfg.NATS.Routes) == 0
}

// hearAll waits until every media node that lives has beaten: a decider that
// knows only some of them would take a copy of an INVITE to another node than
// the others do, and answer 503 while it knows none.
func (g *ground) hearAll(ctx context.Context, _ observers) error {
	select {
	case <-time.After(cluster.BeatsHeard):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *ground) openSlot(ctx context.Context, _ observers) (err error) {
	g.slots, err = cluster.OpenSlots(ctx, g.conn, g.streams(), g.cfg.Node.Name, time.Now, g.log)
	if err != nil {
		return err
	}
	for end := time.Now().Add(g.cfg.NATS.StartWait); ; {
		g.slot, err = g.slots.Claim(ctx)
		if err == nil || errors.Is(err, cluster.ErrNoSlot) || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
		g.log.Info("waiting for a slot", "reason", err.Error()) // JetStream elects a leader, perhaps
		select {
		case <-time.After(slotAgain):
		case <-ctx.Done():
		}
	}
}

// slotAgain is the wait between two tries to claim a slot.
const slotAgain = 500 * time.Millisecond
