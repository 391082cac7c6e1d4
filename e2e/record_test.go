package e2e_test

import (
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/internal/caller"
)

// TestARecordTellsWhatBecameOfACall talks for two seconds and reads what is left:
// who, when, how well and why.
func TestARecordTellsWhatBecameOfACall(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	ep := b.endpoint(t, nil)
	rep, err := caller.Call(t.Context(), caller.Options{URI: b.URI(ep.Slug), Talk: 2 * time.Second})
	if err != nil || !rep.OK() {
		t.Fatalf("the call: %+v, %v", rep, err)
	}
	rec := b.records(t, 1)[rep.CallID]
	if rec.Status != 200 || rec.Cause != call.CauseNormal || rec.EndedBy != call.ByCarrier || rec.Agent != b.echo.Agent || rec.Endpoint != string(ep.Key) ||
		rec.Codec != rep.Codec || rec.Codec == "" || rec.DecisionID != endpoint.DecisionID(rep.CallID) || rec.Node == "" || rec.Transport != call.UDP {
		t.Errorf("the record is %+v", rec)
	}
	s := rec.Stages
	order := []time.Time{s.Invited, s.AgentChosen, s.Answered, s.Ended}
	for i, at := range order {
		if at.IsZero() || i > 0 && at.Before(order[i-1]) {
			t.Errorf("stage %d came at %v: %+v", i, at, s)
		}
	}
	for what, at := range map[string]time.Time{"acked": s.Acked, "first RTP": s.FirstRTP, "first RTP of the agent": s.FirstAgentRTP} {
		if at.Before(s.Answered.Add(-time.Second)) || at.After(s.Ended) { // audio may come a little before the ACK
			t.Errorf("%s came at %v: %+v", what, at, s)
		}
	}
	if q := rec.Quality; q.PacketsReceived < 50 || q.PacketsSent < 50 || q.LossPercent > 10 {
		t.Errorf("the quality of 2 s is %+v", q)
	}
	var one call.Record
	b.op.Do(t, "record", "get", control.ID{ID: rec.ID.String()}, &one)
	if one.ID != rec.ID || one.SIPCallID != rep.CallID {
		t.Errorf("by its id: %+v", one)
	}
}
