package main

import (
	"context"
	"path/filepath"
	"time"

	"go.uber.org/fx"

	"patchbay/actors"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/journal"
	"patchbay/cluster/ledger"
	"patchbay/cluster/stats"
	"patchbay/internal/lifecycle"
	"patchbay/internal/telemetry"
)

// openLedger opens what calls leave behind: events and records.
func (g *ground) openLedger(ctx context.Context, obs observers) (err error) {
	g.ledger, err = ledger.Open(ctx, ledger.Bus{JetStream: g.conn.JetStream()}, g.ledgerConfig(), g.keys, g.log, obs.ledger())
	return err
}

func (g *ground) ledgerConfig() ledger.Config {
	n := g.cfg.NATS
	dir := g.cfg.Node.SpoolDir
	if dir == "" {
		dir = filepath.Join(g.cfg.Node.DataDir, "spool")
	}
	return ledger.Config{
		Journal: journal.Config{Node: g.cfg.Node.Name, Boot: g.boot, Slot: g.slot, Keys: g.keys, Streams: g.streams(),
			MaxAge: n.RecordsAge, MaxBytes: n.RecordsMax},
		EventBytes: eventsMaxBytes, SpoolDir: dir, SpoolBytes: g.cfg.Node.SpoolBytes, Sweep: g.has("media"),
		Gone: g.gone, Left: g.leftBehind, Release: g.superseded,
	}
}

// lostNode hears of nodes that fall silent, for the sake of what their calls
// leave behind.
func (g *ground) lostNode(role string) {
	if role == cluster.RoleMedia && g.ledger != nil {
		g.ledger.Sweep()
		g.ledger.Check() // it may be this one that is not heard
	}
}

func attachLedger(lc fx.Lifecycle, app fx.Shutdowner, g *ground, obs observers) {
	gauge := func(name, help string, value func(ledger.Waiting) int64) {
		obs.metrics.Gauge(name, help, func() float64 { return float64(value(g.ledger.Waiting())) })
	}
	gauge(telemetry.NameEventsWaiting, "Events of calls that wait in memory.",
		func(w ledger.Waiting) int64 { return int64(w.Events) })
	gauge(telemetry.NameRecordsWaiting, "Entries and records of calls that wait in memory.",
		func(w ledger.Waiting) int64 { return int64(w.Records) })
	gauge(telemetry.NameEventsSpooled, "Events of calls that wait on disk.",
		func(w ledger.Waiting) int64 { return int64(w.SpooledEvents) })
	gauge(telemetry.NameRecordsSpooled, "Records of calls that wait on disk.",
		func(w ledger.Waiting) int64 { return int64(w.SpooledRecords) })
	gauge(telemetry.NameSpoolBytes, "Size of the spool on disk, bytes.",
		func(w ledger.Waiting) int64 { return w.SpoolBytes })
	lifecycle.Attach(lc, app, g.log, g.ledger)
}

// ledger counts what becomes of events and records; the ledger logs what is
// lost itself.
func (o observers) ledger() ledger.Observer {
	return ledger.Observer{
		Event:  func(f ledger.Fate, n int) { o.metrics.Events.WithLabelValues(string(f)).Add(float64(n)) },
		Record: func(f ledger.Fate, n int) { o.metrics.Records.WithLabelValues(string(f)).Add(float64(n)) },
		Panic:  func(any) { o.panicked("ledger", "step") },
	}
}

// newCounter counts what this node's endpoint actors decide.
func newCounter(g *ground) *stats.Counter {
	return stats.NewCounter(g.board, g.cfg.Node.Name, g.boot, g.log)
}

// counting adds the totals of endpoints to what hears of decisions. Strangers
// are nobody's: an address that does not exist is not counted, or a scanner
// would fill the bucket.
func counting(o actors.EndpointObserver, c *stats.Counter) actors.EndpointObserver {
	told := o.Decided
	o.Decided = func(d actors.Decision) {
		told(d)
		switch id := (stats.ID{Key: d.Key, Partition: d.Partition}); {
		case d.Tenant == "" || d.Verdict.Reason == endpoint.ReasonUnknown:
		case d.Verdict.Action == endpoint.Reject:
			c.Reject(id)
		default:
			c.Call(id, time.Now())
		}
	}
	return o
}
