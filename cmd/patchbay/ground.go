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
	"patchbay/sip/token"
)

// A ground is what every role of a node stands on: keys, NATS, the store, and
// the table of who is alive. It is opened before the roles are wired, because
// a slot and a bucket can only be had from a NATS that runs.
type ground struct {
	cfg       config.Config
	log       *slog.Logger
	boot      uint64 // of this start; larger than the one before
	keys      *keys.Cluster
	tokens    *token.Keys
	conn      *cluster.Conn
	store     *store.Store
	presence  *cluster.Presence
	ownership *cluster.Ownership // of actor nodes; nil: none
	slots     *cluster.Slots     // of media nodes
	slot      call.Slot
	ledger    *ledger.Ledger
	board     *stats.Board   // totals of endpoints
	base      *fx.App        // broker and connection
	broker    *broker.Server // nil without the role
	up        atomic.Bool    // every role serves
	draining  atomic.Bool    // no new calls are taken
	carried   atomic.Pointer[carried]

	edgeLeaves chan struct{} // closed when the edge is about to stop
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
	g := &ground{cfg: cfg, log: log, boot: uint64(time.Now().UnixNano()), edgeLeaves: make(chan struct{})}
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
		return err
	}
	if err := sufficient(g.keys, g.cfg.Node.Roles); err != nil {
		return fmt.Errorf("cluster key %s: %w", path, err)
	}
	derived := g.keys.Derive(keys.Token)
	var previous *token.Key
	if p, ok := g.keys.Previous(keys.Token); ok {
		previous = &token.Key{ID: p.ID, Secret: p.Secret.Reveal()}
	}
	g.tokens, err = token.NewKeys(token.Key{ID: derived.ID, Secret: derived.Secret.Reveal()}, previous)
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
