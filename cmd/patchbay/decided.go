package main

import (
	"time"

	"patchbay/actors"
	"patchbay/actors/endpoint"
)

// How much strangers may write into the log and the event stream.
const (
	// rejectedLogEvery thins out what rejected strangers leave behind: of calls
	// to addresses that do not exist, and of sources that an endpoint does not
	// allow, the first of each interval is told, the rest are counted.
	rejectedLogEvery = time.Second
	// strangerShards keeps endpoints apart: those that strangers try out take no
	// lines from the others.
	strangerShards = 64
)

// strangers thins out rejections of callers whom an endpoint does not know.
type strangers [strangerShards]sampler

func newStrangers() *strangers {
	s := &strangers{}
	for i := range s {
		s[i].every = rejectedLogEvery
	}
	return s
}

// allow reports whether a decision is told.
func (s *strangers) allow(d *actors.Decision, now time.Time) bool {
	switch d.Verdict.Reason {
	case endpoint.ReasonUnknown: // each has another key: one for all of them
		return s[0].allow(now)
	case endpoint.ReasonSourceNotAllowed:
		return s[1+int(d.Partition)%(strangerShards-1)].allow(now)
	}
	return true
}

// noTenant stands for the owner of what does not exist, in events.
const noTenant = "_"

// endpoints tells each decision once: a log line, and of a rejection an event,
// both found by the decision id.
func (o observers) endpoints(ledger actors.Ledger) actors.EndpointObserver {
	known := newStrangers()
	return actors.EndpointObserver{HostObserver: o.host("endpoint"), Consulted: o.consulted, Takeover: o.takeover(ledger), Referred: o.referred, Decided: func(d actors.Decision) {
		reason := string(d.Verdict.Reason)
		o.metrics.Decisions.WithLabelValues(d.Verdict.Action.String(), reason).Inc()
		now := time.Now()
		if !known.allow(&d, now) {
			return
		}
		o.log.Info("decision", "decision_id", d.ID, "endpoint", d.Key, "tenant", d.Tenant, "source", d.Source,
			"transport", d.Transport, "action", d.Verdict.Action, "reason", reason, "rule", d.Verdict.Rule, "status", d.Shown.Status,
			"call_id", d.Call, "node", d.Node, "took", d.Took)
		if d.Verdict.Action == endpoint.Reject {
			ledger.Event(tenantOr(d.Tenant), rejection(&d, now))
		}
	}}
}

func tenantOr(tenant string) string {
	if tenant == "" {
		return noTenant
	}
	return tenant
}

// rejection is the event of a call that was rejected before a media node had
// it. It never holds what was dialled.
func rejection(d *actors.Decision, now time.Time) actors.CallEvent {
	return actors.CallEvent{V: 1, ID: d.ID + ".rejected", Type: "call.rejected", At: now, Tenant: tenantOr(d.Tenant), Endpoint: d.Key,
		Data: map[string]any{"decision_id": d.ID, "status": d.Verdict.Status, "shown": d.Shown.Status, "reason": d.Verdict.Reason,
			"rule": d.Verdict.Rule, "source": d.Source.String(), "transport": d.Transport}}
}

// takeover tells each decision about an INVITE that asked to take a call over:
// a log line, and of a rejection an event.
func (o observers) takeover(ledger actors.Ledger) func(actors.TakeoverDecision) {
	return func(d actors.TakeoverDecision) {
		reason := string(d.Verdict.Reason)
		o.metrics.Decisions.WithLabelValues(d.Verdict.Action.String(), reason).Inc()
		o.log.Info("takeover decided", "decision_id", d.ID, "call_id", d.Call, "endpoint", d.Key, "tenant", d.Tenant, "source", d.Takeover.Source,
			"action", d.Verdict.Action, "reason", reason, "rule", d.Verdict.Rule, "status", d.Verdict.Status, "err", d.Err)
		if d.Verdict.Action != endpoint.Reject {
			return
		}
		ledger.Event(tenantOr(d.Tenant), actors.CallEvent{V: 1, ID: d.ID + ".rejected", Type: "call.rejected", At: time.Now(), Tenant: tenantOr(d.Tenant),
			Endpoint: d.Key, Data: map[string]any{"decision_id": d.ID, "status": d.Verdict.Status, "shown": d.Shown, "reason": d.Verdict.Reason, "rule": d.Verdict.Rule,
				"source": d.Takeover.Source.String(), "call_to_replace": d.Call}})
	}
}

// referred tells each decision about a REFER of a carrier's.
func (o observers) referred(d actors.ReferDecision) {
	o.metrics.Decisions.WithLabelValues(d.Verdict.Action.String(), string(d.Verdict.Reason)).Inc()
	o.log.Info("refer decided", "call_id", d.Call, "endpoint", d.Key, "tenant", d.Tenant, "target_host", d.Host, "action", d.Verdict.Action,
		"reason", d.Verdict.Reason, "status", d.Verdict.Status, "err", d.Err)
}

// consulted tells how each question to an owner's webhook ended.
func (o observers) consulted(c actors.Consultation) {
	action := "ruled"
	if c.Agent == "" {
		action = "refused"
	}
	o.metrics.Decisions.WithLabelValues(action, string(c.Reason)).Inc()
	o.metrics.Setup.WithLabelValues("webhook").Observe(c.Took.Seconds())
	o.log.Info("webhook asked", "decision_id", c.ID, "call_id", c.Call, "endpoint", c.Key, "tenant", c.Tenant, "action", action,
		"agent", c.Agent, "status", c.Status, "reason", c.Reason, "message", c.Message, "took", c.Took, "err", c.Err)
}
