package actors_test

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// oracles are deciders that rule when a test says so.
type oracles struct {
	mu      sync.Mutex
	asked   []actors.Question
	done    []func(actors.Ruling)
	stopped int
}

func (o *oracles) Ask(q actors.Question, done func(actors.Ruling)) func() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked, o.done = append(o.asked, q), append(o.done, done)
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.stopped++
	}
}

func consultJob(callID string) actors.Job {
	j := job(callID)
	j.Agent, j.Consult = nil, &actors.Consult{Partition: 9, WithinMs: 8000}
	return j
}

// consult begins a call that waits for its ruling.
func consult(t *testing.T, change func(*actors.Job)) (*phone, *oracles, call.ID) {
	t.Helper()
	o := &oracles{}
	ph := newPhone(t, nil)
	ph.oracles = o
	j := consultJob("c1")
	if change != nil {
		change(&j)
	}
	taken := ph.Offer(j)
	if taken.Status != 0 || !taken.New {
		t.Fatalf("got %+v", taken)
	}
	synctest.Wait()
	return ph, o, taken.ID
}

func ruledAgent() actors.Ruling {
	return actors.Ruling{V: 1, Agent: &endpoint.Agent{ID: "bot", IsActive: true, JoinTimeoutMs: 4000, TrustCallerID: true},
		Context: json.RawMessage(`{"tier":"gold"}`), Metadata: json.RawMessage(`{"src":"fb"}`)}
}

func TestACallIsOursBeforeItsOwnerHasDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph, o, id := consult(t, nil)
		if ph.log() != "100" || ph.bridges[id] != nil || ph.Count() != 1 || len(ph.Live()["ep"]) != 1 {
			t.Errorf("sent %s, bridge %v, %d calls, census %v", ph.log(), ph.bridges[id], ph.Count(), ph.Live())
		}
		if q := o.asked[0]; q.Call != id || q.Tenant != "acme" || q.Endpoint != "ep" || q.Partition != 9 || q.DecisionID != "d1" || q.From.User != "alice" {
			t.Errorf("asked %+v", q)
		}
		time.Sleep(3 * time.Second)
		o.done[0](ruledAgent())
		synctest.Wait()
		req := ph.request[id]
		if req.Asked.Agent.ID != "bot" || !req.Invitation.From.Trusted || string(req.Asked.Metadata) != `{"src":"fb"}` ||
			string(req.Asked.Context) != `{"tier":"gold","ultravox":{"sip":{"caller_id":"alice"}}}` {
			t.Errorf("the bridge was opened for %+v: %s", req, req.Asked.Context)
		}
		ph.bridges[id].post(call.Event{Kind: call.AgentChosen})
		ph.bridges[id].post(call.Event{Kind: call.AgentJoined, Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
		synctest.Wait()
		ph.says(t, id, "ACK")
		ph.says(t, id, "BYE")
		if ph.log() != "100, 180, 200, 200 BYE" {
			t.Errorf("sent %s", ph.log())
		}
		if want := []string{"1 call.started", "2 call.ruled", "3 call.ringing", "4 call.answered", "5 call.ended"}; !slices.Equal(ph.events, want) {
			t.Errorf("events %q", ph.events)
		}
		if want := []string{"call.started", "call.ringing", "call.answered", "call.ended"}; !slices.Equal(ph.bridges[id].heard, want) {
			t.Errorf("the agent heard %q", ph.bridges[id].heard)
		}
		if rec := ph.records[0]; rec.Agent != "bot" || rec.Stages.Ruled.Sub(rec.Stages.Invited) != 3*time.Second {
			t.Errorf("record %+v", rec)
		}
	})
}

// TestLateRefusalsAreTheCalls has the refusals that come after the 100: each
// is sent by the call's own transaction and leaves a record.
func TestLateRefusalsAreTheCalls(t *testing.T) {
	for name, c := range map[string]struct {
		ruling actors.Ruling
		sent   string
		by     string
		q850   int
	}{
		"by the owner":       {actors.Ruling{Status: 486, Reason: endpoint.ReasonWebhookRejected}, "100, 486", call.ByOwner, 21},
		"a timeout":          {actors.Ruling{Status: 504, Reason: endpoint.ReasonWebhookTimeout}, "100, 504", call.ByOwner, 102},
		"a bad reply":        {actors.Ruling{Status: 502, Reason: endpoint.ReasonWebhookReply}, "100, 502", call.ByOwner, 38},
		"no startCall agent": {actors.Ruling{Status: 502, Reason: endpoint.ReasonNoStartCallAgent}, "100, 502", call.ByOwner, 38},
		"suspended":          {actors.Ruling{Status: 502, Reason: endpoint.ReasonWebhookSuspended}, "100, 502", call.ByOwner, 47},
		"no decider":         {actors.Ruling{Status: 503, Reason: endpoint.ReasonUnavailable}, "100, 503", call.ByNode, 41},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ph, o, _ := consult(t, nil)
				o.done[0](c.ruling)
				synctest.Wait()
				rec := ph.records[0]
				if ph.log() != c.sent || rec.Status != c.ruling.Status || rec.Cause != (call.Cause{Q850: c.q850, Word: string(c.ruling.Reason)}) || rec.EndedBy != c.by {
					t.Errorf("sent %s, record %+v", ph.log(), rec)
				}
				if ph.Count() != 0 || len(ph.Live()) != 0 || len(ph.bridges) != 0 {
					t.Errorf("%d calls, %v counted, %d bridges", ph.Count(), ph.Live(), len(ph.bridges))
				}
				ph.Offer(consultJob("c1")) // the carrier has not heard it
				synctest.Wait()
				if want := c.sent + c.sent[len("100"):]; ph.log() != want {
					t.Errorf("a copy of the INVITE: sent %s, want %s", ph.log(), want)
				}
			})
		})
	}
}

func TestALateAcceptAfterCancelIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph, o, id := consult(t, nil)
		ph.Offer(cancelOf("c1"))
		synctest.Wait()
		if ph.log() != "100, 200 CANCEL, 487" || o.stopped != 1 {
			t.Errorf("sent %s; %d questions were given up", ph.log(), o.stopped)
		}
		o.done[0](ruledAgent())
		synctest.Wait()
		if ph.bridges[id] != nil || ph.log() != "100, 200 CANCEL, 487" || len(ph.records) != 1 || ph.records[0].Cause != call.CauseCancelled {
			t.Errorf("sent %s; bridge %v; %+v", ph.log(), ph.bridges[id], ph.records)
		}
	})
}

func TestNoRulingAtAllIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph, o, id := consult(t, nil)
		time.Sleep(8*time.Second - time.Millisecond)
		if ph.log() != "100" {
			t.Errorf("sent %s", ph.log())
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if rec := ph.records[0]; ph.log() != "100, 504" || rec.Cause != call.CauseWebhookTimeout || o.stopped != 1 {
			t.Errorf("sent %s, record %+v", ph.log(), rec)
		}
		o.done[0](ruledAgent())
		synctest.Wait()
		if ph.bridges[id] != nil {
			t.Error("a ruling that came too late opened a bridge")
		}
	})
}

func TestTheEndpointsWordOnTrustHoldsForARuledAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph, o, id := consult(t, func(j *actors.Job) { j.Consult.CallerIDTrusted = ptr(false) })
		o.done[0](ruledAgent())
		synctest.Wait()
		if req := ph.request[id]; req.Asked.Agent.TrustCallerID || req.Invitation.From.Trusted {
			t.Errorf("the agent is told to trust the caller: %+v", req.Asked.Agent)
		}
	})
}

func TestARuledAgentsOwnPatienceCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph, o, _ := consult(t, nil)
		time.Sleep(6 * time.Second)
		o.done[0](ruledAgent())
		time.Sleep(4*time.Second - time.Millisecond)
		if ph.log() != "100" {
			t.Errorf("sent %s", ph.log())
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if ph.log() != "100, 480" {
			t.Errorf("sent %s", ph.log())
		}
	})
}

func TestTheOwnersTermsComeBeforeTheAgents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph, o, id := consult(t, nil)
		r := ruledAgent()
		r.Agent.MaxDurationMs, r.Settings = 3_600_000, json.RawMessage(`{"recordingEnabled":false}`)
		r.Terms = endpoint.CallTerms{JoinTimeoutMs: 9000, MaxDurationMs: 20_000}
		o.done[0](r)
		time.Sleep(8 * time.Second)
		if ph.log() != "100" || string(ph.request[id].Asked.Settings) != `{"recordingEnabled":false}` {
			t.Errorf("sent %s, the bridge was opened for %+v", ph.log(), ph.request[id])
		}
		ph.bridges[id].post(call.Event{Kind: call.AgentJoined, Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
		synctest.Wait()
		ph.says(t, id, "ACK")
		time.Sleep(20*time.Second - time.Millisecond)
		if ph.log() != "100, 200" {
			t.Errorf("sent %s before the call's time was over", ph.log())
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if ph.log() != "100, 200, BYE max_duration" {
			t.Errorf("sent %s after it", ph.log())
		}
	})
}

// TestACallWhoseAgentsDoNotTakeItIsItsOwnersAgain has a webhook asked after the
// agents of a rule, and its agent asked with what the webhook gave.
func TestACallWhoseAgentsDoNotTakeItIsItsOwnersAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oracles{}
		ph := newPhone(t, nil)
		ph.oracles = o
		j := job("c1")
		j.Consult = &actors.Consult{Partition: 9, WithinMs: 8000}
		id := ph.Offer(j).ID
		synctest.Wait()
		if len(o.asked) != 0 {
			t.Fatal("the webhook was asked before the agent")
		}
		ph.bridges[id].post(call.Event{Kind: call.AgentFailed, Cause: call.CauseAgentBusy, Dispatch: 1})
		synctest.Wait()
		if len(o.asked) != 1 || o.asked[0].Partition != 9 || o.asked[0].Call != id {
			t.Fatalf("asked %+v", o.asked)
		}
		r := ruledAgent()
		r.Agent.ID, r.Failover = "spare", []endpoint.Agent{{ID: "last", IsActive: true}}
		o.done[0](r)
		synctest.Wait()
		asked := ph.bridges[id].asked
		if len(asked) != 1 || asked[0].Agent.ID != "spare" || asked[0].Number != 2 || string(asked[0].Metadata) != `{"src":"fb"}` ||
			asked[0].Cause != call.CauseAgentBusy || asked[0].Patient {
			t.Fatalf("asked %+v", asked)
		}
		ph.bridges[id].post(call.Event{Kind: call.AgentFailed, Cause: call.CauseNoAgent, Dispatch: 2})
		synctest.Wait()
		ph.bridges[id].post(call.Event{Kind: call.AgentFailed, Cause: call.CauseNoAgent, Dispatch: 3})
		synctest.Wait()
		if ph.log() != "100, 480" || len(o.asked) != 1 || len(ph.records) != 1 || ph.records[0].Agent != "last" || ph.bridges[id].closed != 1 {
			t.Errorf("sent %s, asked %d times, records %+v", ph.log(), len(o.asked), ph.records)
		}
	})
}

func TestAnOperatorEndsACallThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph, o, id := consult(t, nil)
		if got, err := ph.Get(t.Context(), id); err != nil || got.State != call.StateDeciding {
			t.Errorf("got %+v, %v", got, err)
		}
		ph.HangupAll(call.CauseDrain)
		synctest.Wait()
		if ph.log() != "100, 503" || o.stopped != 1 || ph.Count() != 0 {
			t.Errorf("sent %s", ph.log())
		}
	})
}

func TestANodeWithoutDecidersTakesNoSuchCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := actors.NewCalls("m1", actors.CallLimits{Loops: 1, Mailbox: 1, MaxCalls: 1, T1: t1}, actors.CallPorts{}, nil, actors.CallObserver{})
		defer calls.Stop()
		if taken := calls.Offer(consultJob("c1")); taken.Status != 500 || calls.Count() != 0 {
			t.Errorf("got %+v", taken)
		}
	})
}
