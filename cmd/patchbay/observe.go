package main

import (
	"cmp"
	"log/slog"
	"strconv"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/store"
	"patchbay/cluster/undertaker"
	"patchbay/internal/telemetry"
	"patchbay/sip/edge"
)

// An observers turns what the parts of a node tell into log lines and metrics:
// one info line per decision and one per call that ended.
type observers struct {
	log     *slog.Logger
	metrics *telemetry.Metrics
}

func (o observers) edge() edge.Observer {
	connections := o.metrics.Connections
	return edge.Observer{
		Connections: func(t call.Transport, delta int) { connections.WithLabelValues(string(t)).Add(float64(delta)) },
		Received:    func(t call.Transport) { o.metrics.SIPIn.WithLabelValues(string(t)).Inc() },
		Answered:    func(_ string, status int) { o.metrics.SIPAnswered.WithLabelValues(strconv.Itoa(status)).Inc() },
		Malformed:   func(word string) { o.metrics.SIPDropped.WithLabelValues("malformed-" + word).Inc() },
		Dropped:     func(why edge.Drop) { o.metrics.SIPDropped.WithLabelValues(string(why)).Inc() },
		Panicked:    func(where string) { o.panicked("edge", where) },
	}
}

// named counts a question to a name server.
func (o observers) named(kind, outcome string) { o.metrics.Names.WithLabelValues(kind, outcome).Inc() }

func (o observers) calls() actors.CallObserver {
	released := func(call.ID) { o.metrics.Bus.WithLabelValues("released").Inc() }
	return actors.CallObserver{HostObserver: o.host("call"), Yielded: o.yielded, Released: released, Ended: func(r call.Record) {
		o.metrics.CallsEnded.WithLabelValues(r.Cause.Word, r.EndedBy).Inc()
		for what, n := range map[string]uint64{"received": r.Quality.PacketsReceived, "sent": r.Quality.PacketsSent,
			"lost": r.Quality.PacketsLost, "filled": r.Quality.Filled, "rejected": r.Quality.Rejected} {
			o.metrics.Packets.WithLabelValues(what).Add(float64(n))
		}
		for stage, at := range map[string]time.Time{"agent_chosen": r.Stages.AgentChosen, "early_media": r.Stages.EarlyMedia, "answered": r.Stages.Answered,
			"first_rtp": r.Stages.FirstRTP, "first_agent_rtp": r.Stages.FirstAgentRTP} {
			if !at.IsZero() && r.Direction == "" { // how long somebody let it ring says nothing of us
				o.metrics.Setup.WithLabelValues(stage).Observe(at.Sub(r.Stages.Invited).Seconds())
			}
		}
		o.log.Info("call ended", "call_id", r.ID, "decision_id", r.DecisionID, "direction", cmp.Or(r.Direction, actors.Inbound), "endpoint", r.Endpoint, "tenant", r.Tenant,
			"agent", r.Agent, "worker", r.Worker, "source", r.Source, "transport", r.Transport, "status", r.Status,
			"cause", r.Cause.Word, "q850", r.Cause.Q850, "ended_by", r.EndedBy, "codec", r.Codec,
			"took", r.Stages.Ended.Sub(r.Stages.Invited), "setup", sinceInvite(r.Stages.Answered, r),
			"packets_received", r.Quality.PacketsReceived, "packets_lost", r.Quality.PacketsLost,
			"jitter_ms", r.Quality.JitterMs, "rtt_ms", r.Quality.RTTMs, "rejected", r.Quality.Rejected)
	}}
}

func sinceInvite(at time.Time, r call.Record) time.Duration {
	if at.IsZero() {
		return 0
	}
	return at.Sub(r.Stages.Invited)
}

func (o observers) host(kind string) actors.HostObserver {
	return actors.HostObserver{
		Panicked: func(_ int, value any, stack []byte) {
			o.metrics.Panics.WithLabelValues(kind).Inc()
			o.log.Error("actor panicked; one message was lost", "role", kind, "err", panicText(value), "stack", string(stack))
		},
		Refused: func(int) { o.metrics.Bus.WithLabelValues("mailbox-full").Inc() },
	}
}

func (o observers) panicked(where, part string) {
	o.metrics.Panics.WithLabelValues(where).Inc()
	o.log.Error("a panic was contained", "role", where, "part", part)
}

// panicText keeps what a panic said only when it is an error of the runtime:
// any other value may hold a piece of a message.
func panicText(value any) string {
	if err, ok := value.(interface{ RuntimeError() }); ok {
		if e, ok := err.(error); ok {
			return e.Error()
		}
	}
	return "panic"
}

func (o observers) door(where string) cluster.DoorObserver {
	return cluster.DoorObserver{
		Malformed: func(subject string, err error) {
			o.metrics.Bus.WithLabelValues("malformed").Inc()
			o.log.Warn("message between nodes cannot be read", "subject", subject, "err", err)
		},
		Panic: func(any) { o.panicked(where, "door") },
	}
}

func (o observers) router() cluster.RouterObserver {
	return cluster.RouterObserver{
		Fallback: func(from string) { o.metrics.Bus.WithLabelValues("fallback-" + from).Inc() },
		Refused:  func(why string) { o.metrics.Bus.WithLabelValues("refused-" + why).Inc() },
		Outcome: func(_ cluster.Outcome, took time.Duration) {
			o.metrics.Setup.WithLabelValues("verdict").Observe(took.Seconds())
		},
		Panic: func(any) { o.panicked("router", "ask") },
	}
}

func (o observers) intake() cluster.IntakeObserver {
	return cluster.IntakeObserver{
		Next:  func(node string) { o.log.Warn("media node did not take a call", "node", node) },
		None:  func() { o.metrics.Bus.WithLabelValues("no-media-node").Inc() },
		Panic: func(any) { o.panicked("intake", "ask") },
	}
}

func (o observers) rulings() cluster.RulingObserver {
	return cluster.RulingObserver{
		Next:  func(int) { o.metrics.Bus.WithLabelValues("ruling-next").Inc() },
		None:  func() { o.metrics.Bus.WithLabelValues("no-ruling").Inc() },
		Panic: func(any) { o.panicked("rulings", "ask") },
	}
}

func (o observers) undertaker() undertaker.Observer {
	return undertaker.Observer{
		Doubted: func(node string) {
			o.metrics.Bus.WithLabelValues("doubted").Inc()
			o.log.Warn("a media node is not heard here, and lives", "node", node)
		},
		Buried: func(call.ID) { o.metrics.Bus.WithLabelValues("buried").Inc() },
		Panic:  func(any) { o.panicked("undertaker", "bury") },
	}
}

func (o observers) wire() cluster.WireObserver {
	return cluster.WireObserver{
		Rerouted: func(string) { o.metrics.Bus.WithLabelValues("rerouted").Inc() },
		Lost:     func(string, error) { o.metrics.Bus.WithLabelValues("lost").Inc() },
		Panic:    func(any) { o.panicked("wire", "send") },
	}
}

func (o observers) presence(lost func(role string)) cluster.PresenceObserver {
	return cluster.PresenceObserver{
		Joined: func(role, node string) { o.log.Info("node joined", "role", role, "node", node) },
		Left: func(role, node string, calls int) {
			o.log.Info("node left", "role", role, "node", node, "calls", calls)
			lost(role)
		},
		Lost: func(role, node string, calls int) {
			o.log.Warn("node is silent", "role", role, "node", node, "calls", calls)
			lost(role)
		},
		Twin: func(role, node string) {
			o.log.Error("two processes use one node name; give each its own node.name", "role", role, "node", node)
		},
		Ignore: func(err error) { o.log.Warn("beat cannot be read", "err", err) },
		Panic:  func(any) { o.panicked("presence", "beat") },
	}
}

// yielded tells of a call that another node has too.
func (o observers) yielded(id call.ID) {
	o.metrics.Bus.WithLabelValues("yielded").Inc()
	o.log.Warn("call ended: another node has a copy of it that comes first", "call_id", id)
}

func (o observers) ownership() cluster.OwnershipObserver {
	return cluster.OwnershipObserver{Moved: func(owned, taken, left int) {
		o.log.Info("partitions moved", "owned", owned, "taken", taken, "left", left)
	}}
}

func (o observers) store() store.Observer {
	return store.Observer{
		Read: func(_, from string, _ time.Duration) { o.metrics.Bus.WithLabelValues("read-" + from).Inc() },
		Synced: func(_ time.Duration, missing int) {
			if missing > 0 {
				o.metrics.Bus.WithLabelValues("sync-missing").Add(float64(missing))
			}
		},
	}
}
