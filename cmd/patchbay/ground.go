package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/broker"
	"patchbay/cluster/ledger"
	"patchbay/cluster/stats"
	"patchbay/cluster/store"
	"patchbay/config"
	"patchbay/internal/keys"
	"patchbay/internal/lifecycle"
	"patchbay/sip/token"
)

// A ground is what every role of a node stands on: keys, NATS, the store, and
// the table of who is alive. It is opened before the roles are wired, because
// a slot and a bucket can only be had from a NATS that runs.
type ground struct {
	cfg      config.Config
	log      *slog.Logger
	boot     uint64 // of this start; larger than the one before
	keys     *keys.Cluster
	tokens   *token.Keys
	conn     *cluster.Conn
	store    *store.Store
	presence *cluster.Presence
	slots    *cluster.Slots // of media nodes
	slot     call.Slot
	ledger   *ledger.Ledger
	board    *stats.Board // totals of endpoints
	base     *fx.App      // broker and connection
	up       atomic.Bool  // every role serves
	draining atomic.Bool  // no new calls are taken
}

// errStarting says that not every role of the node serves yet.
var errStarting = errors.New("the node's roles are starting")

// errDraining makes a draining node not ready: it has told carriers so already.
var errDraining = errors.New("draining: no new calls are taken")

// notDraining is a readiness check.
func (g *ground) notDraining() error {
	if g.draining.Load() {
		return errDraining
	}
	return nil
}

// started is a readiness check.
func (g *ground) started() error {
	if !g.up.Load() {
		return errStarting
	}
	return nil
}

// eventsMaxBytes bounds the EVENTS stream; the oldest events go first.
const eventsMaxBytes = 1 << 30

func (g *ground) has(role string) bool { return slices.Contains(g.cfg.Node.Roles, role) }

// openGround starts the broker, if it is this node's, and opens what stands on
// it. What was opened is closed again when it fails.
func openGround(ctx context.Context, cfg config.Config, log *slog.Logger, obs observers) (_ *ground, err error) {
	g := &ground{cfg: cfg, log: log, boot: uint64(time.Now().UnixNano())}
	if g.cfg.Node.Name == "" {
		if g.cfg.Node.Name, err = hostName(); err != nil {
			return nil, err
		}
	}
	if err := g.openKeys(); err != nil {
		return nil, err
	}
	if err := g.openNATS(ctx); err != nil {
		return nil, err
	}
	if err := g.openShared(ctx, obs); err != nil {
		return nil, errors.Join(err, g.close(ctx))
	}
	return g, nil
}

func hostName() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("node.name is empty and the host has no name: %w", err)
	}
	short, _, _ := strings.Cut(name, ".")
	return short, nil
}

func (g *ground) openKeys() error {
	if err := os.MkdirAll(g.cfg.Node.DataDir, 0o700); err != nil {
		return fmt.Errorf("make node.data_dir: %w", err)
	}
	path := g.cfg.Node.ClusterKey
	var err error
	if path == "" {
		g.keys, _, err = keys.EnsureCluster(filepath.Join(g.cfg.Node.DataDir, "cluster.key"))
	} else {
		g.keys, err = keys.ReadCluster(path)
	}
	if err != nil {
		return fmt.Errorf("cluster key: %w", err)
	}
	derived := g.keys.Derive(keys.Token)
	var previous *token.Key
	if p, ok := g.keys.Previous(keys.Token); ok {
		previous = &token.Key{ID: p.ID, Secret: p.Secret.Reveal()}
	}
	g.tokens, err = token.NewKeys(token.Key{ID: derived.ID, Secret: derived.Secret.Reveal()}, previous)
	return err
}

// openNATS starts broker and connection as an application of their own: they
// outlive every role.
func (g *ground) openNATS(ctx context.Context) error {
	opts := cluster.Options{Name: g.cfg.Node.Name, URL: g.cfg.NATS.URL, Credentials: g.cfg.NATS.Credentials, Wait: g.cfg.NATS.StartWait}
	parts := []fx.Option{quiet(g.log), fx.StartTimeout(g.cfg.NATS.StartWait + 5*time.Second), fx.StopTimeout(stopTimeout)}
	if g.has("broker") {
		n := g.cfg.NATS
		srv, err := broker.New(broker.Config{Name: g.cfg.Node.Name, Listen: n.Listen, Advertise: n.Advertise,
			Cluster:  broker.Cluster{Name: n.ClusterName, Listen: n.Cluster, Advertise: n.ClusterAdv, Routes: n.Routes, Size: n.Brokers()},
			StoreDir: filepath.Join(g.cfg.Node.DataDir, "jetstream"), MaxStore: n.MaxStore,
			SyncAlways: n.SyncAlways, StartWait: n.StartWait}, g.log)
		if err != nil {
			return err
		}
		opts.Server = srv
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

func (g *ground) openShared(ctx context.Context, obs observers) (err error) {
	n := g.cfg.NATS
	g.presence = cluster.NewPresence(g.cfg.Actor.DeadNodeHold, time.Now, obs.presence(g.lostNode))
	g.store, err = store.Open(ctx, g.conn.JetStream(), store.Config{
		Node: g.cfg.Node.Name, Replicas: n.Copies(), CacheEntries: g.cfg.Actor.CacheEntries,
		MaxEndpoints: g.cfg.Control.MaxEndpoints, MaxAgents: g.cfg.Control.MaxAgents, ReadTimeout: g.cfg.Actor.StoreTimeout,
		StartWait: n.StartWait, Decider: g.has("actor"),
		Deciders: func() []string { return g.presence.Alive(cluster.RoleActor) },
	}, g.log, obs.store())
	if err != nil {
		return err
	}
	if err = g.openLedger(ctx, obs); err != nil {
		return err
	}
	if err = g.presence.Listen(g.conn); err != nil || !g.has("media") { // it tells the ledger who died
		return err
	}
	g.slots, err = cluster.OpenSlots(ctx, g.conn, n.Copies(), g.cfg.Node.Name, time.Now, g.log)
	if err != nil {
		return err
	}
	g.slot, err = g.slots.Claim(ctx)
	return err
}

// close ends what openGround began, the broker last.
func (g *ground) close(ctx context.Context) error {
	if g.presence != nil {
		g.presence.Close()
	}
	if g.ledger != nil {
		g.ledger.Close()
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return g.base.Stop(stop)
}

// edgeID names this node's edge in flows and subjects.
func (g *ground) edgeID() string {
	sum := sha256.Sum256([]byte(g.cfg.Node.Name))
	return fmt.Sprintf("%x", sum[:6])
}

// quiet sends fx's own events to the log, at debug.
func quiet(log *slog.Logger) fx.Option {
	return fx.WithLogger(func() fxevent.Logger {
		l := &fxevent.SlogLogger{Logger: log}
		l.UseLogLevel(slog.LevelDebug)
		l.UseErrorLevel(slog.LevelDebug)
		return l
	})
}
