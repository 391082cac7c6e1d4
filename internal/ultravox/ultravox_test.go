package ultravox_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/internal/golden"
	"patchbay/internal/ultravox"
)

func TestACallsIDIsAUUIDAndLeadsBackToIt(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-000000000000$`)
	rapid.Check(t, func(t *rapid.T) {
		id := call.ID(rapid.Uint64().Draw(t, "id"))
		text := ultravox.CallID(id)
		if back, ok := ultravox.ParseCallID(text); !ok || back != id || !form.MatchString(text) {
			t.Fatalf("%x: %s leads to %x, %v", uint64(id), text, uint64(back), ok)
		}
	})
	for _, foreign := range []string{"", "x", "3c90c3cc-0d44-4b50-8888-8dd25736052a", "9a51c06f3be28d708400000000000000", "9a51c06f-3be2-8d70-8400-000000000001"} {
		if _, ok := ultravox.ParseCallID(foreign); ok {
			t.Errorf("%q is taken for a call", foreign)
		}
	}
}

var began = time.Date(2026, 1, 2, 3, 4, 5, 600_000, time.UTC)

// shown renders the call of a record and reads it back.
func shown(t *testing.T, f ultravox.Facts) (got struct {
	EndReason, BilledDuration *string
	BillingStatus             string
	SIPDetails                struct{ BilledDuration, TerminationReason *string }
}) {
	t.Helper()
	b, err := json.Marshal(ultravox.Render(f))
	if err == nil {
		err = json.Unmarshal(b, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func said(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// TestWordsForHowACallEnded is the column of Ultravox in docs/apis.md, Events.
func TestWordsForHowACallEnded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		answered bool
		status   int
		cause    call.Cause
		reason   string
		sip      string
	}{
		{"the caller hangs up", true, 200, call.CauseNormal, "hangup", "SIP_TERMINATION_NORMAL"},
		{"the caller's carrier clears", true, 200, call.CauseCarrier, "hangup", "SIP_TERMINATION_NORMAL"},
		{"the API hangs up", true, 200, call.CauseOperator, "hangup", "SIP_TERMINATION_NORMAL"},
		{"the agent hangs up", true, 200, call.CauseAgentHangup, "agent_hangup", "SIP_TERMINATION_NORMAL"},
		{"the longest duration", true, 200, call.CauseMaxDuration, "timeout", "SIP_TERMINATION_NORMAL"},
		{"the carrier falls silent", true, 200, call.CauseRTPTimeout, "connection_error", "SIP_TERMINATION_UNKNOWN"},
		{"the agent breaks", true, 200, call.CauseAgentLost, "connection_error", "SIP_TERMINATION_UNKNOWN"},
		{"the node dies", true, 200, call.CauseNodeLost, "system_error", "SIP_TERMINATION_UNKNOWN"},
		{"busy", false, 486, call.Cause{Q850: 17, Word: "busy"}, "unjoined", "SIP_TERMINATION_BUSY"},
		{"busy everywhere", false, 600, call.Cause{Q850: 17, Word: "busy"}, "unjoined", "SIP_TERMINATION_BUSY"},
		{"the caller gives up", false, 487, call.CauseCancelled, "unjoined", "SIP_TERMINATION_CANCELED"},
		{"no such number", false, 404, call.Cause{Q850: 1, Word: "not_found"}, "unjoined", "SIP_TERMINATION_INVALID_NUMBER"},
		{"incomplete", false, 484, call.Cause{Q850: 28, Word: "incomplete"}, "unjoined", "SIP_TERMINATION_INVALID_NUMBER"},
		{"nowhere", false, 604, call.Cause{Q850: 1, Word: "not_found"}, "unjoined", "SIP_TERMINATION_INVALID_NUMBER"},
		{"nobody answers", false, 408, call.Cause{Q850: 18, Word: "no_answer"}, "timeout", "SIP_TERMINATION_TIMEOUT"},
		{"nobody answers, and we give up", false, 487, call.CauseCalledNoAnswer, "timeout", "SIP_TERMINATION_TIMEOUT"},
		{"the API gives up", false, 487, call.CauseOperator, "unjoined", "SIP_TERMINATION_CANCELED"},
		{"no agent", false, 480, call.CauseNoAgent, "unjoined", "SIP_TERMINATION_DESTINATION_UNAVAILABLE"},
		{"gone", false, 410, call.Cause{Q850: 22, Word: "gone"}, "unjoined", "SIP_TERMINATION_DESTINATION_UNAVAILABLE"},
		{"a server fails", false, 502, call.Cause{Q850: 41, Word: "failed"}, "unjoined", "SIP_TERMINATION_DESTINATION_UNAVAILABLE"},
		{"our node is full", false, 503, call.CauseOverload, "system_error", "SIP_TERMINATION_DESTINATION_UNAVAILABLE"},
		{"declined", false, 603, call.Cause{Q850: 21, Word: "declined"}, "unjoined", "SIP_TERMINATION_REJECTED"},
		{"forbidden", false, 403, call.Cause{Q850: 21, Word: "forbidden"}, "unjoined", "SIP_TERMINATION_REJECTED"},
		{"no codec in common", false, 488, call.CauseNoCodec, "unjoined", "SIP_TERMINATION_UNKNOWN"},
	} {
		f := ultravox.Facts{Created: began, Ended: began.Add(10 * time.Second), Status: c.status, Cause: c.cause, Billed: true}
		if c.answered {
			f.Joined = began.Add(time.Second)
		}
		got := shown(t, f)
		if said(got.EndReason) != c.reason || said(got.SIPDetails.TerminationReason) != c.sip {
			t.Errorf("%s: %s, %s, want %s, %s", c.name, said(got.EndReason), said(got.SIPDetails.TerminationReason), c.reason, c.sip)
		}
	}
}

func TestCallsAreBilledByBegunDeciminutesAndOutgoingLegsFromTheirStart(t *testing.T) {
	t.Parallel()
	out := &ultravox.Outgoing{To: "sip:bob@carrier.example"}
	for _, c := range []struct {
		name              string
		ring, talk        time.Duration
		out               *ultravox.Outgoing
		status, call, leg string
	}{
		{"incoming", time.Second, 61 * time.Second, nil, "BILLING_STATUS_BILLED", "66s", "66s"},
		{"outgoing", 20 * time.Second, 100 * time.Second, out, "BILLING_STATUS_BILLED", "102s", "120s"},
		{"outgoing, unanswered", 20 * time.Second, 0, out, "BILLING_STATUS_FREE_ZERO_EFFECTIVE_DURATION", "0s", "24s"},
		{"incoming, unanswered", 20 * time.Second, 0, nil, "BILLING_STATUS_FREE_ZERO_EFFECTIVE_DURATION", "0s", "0s"},
	} {
		f := ultravox.Facts{Created: began, Ended: began.Add(c.ring + c.talk), Outgoing: c.out, Status: 480, Cause: call.CauseNormal, Billed: true}
		if c.talk > 0 {
			f.Joined = began.Add(c.ring)
		}
		got := shown(t, f)
		if got.BillingStatus != c.status || said(got.BilledDuration) != c.call || said(got.SIPDetails.BilledDuration) != c.leg {
			t.Errorf("%s: %s %s %s", c.name, got.BillingStatus, said(got.BilledDuration), said(got.SIPDetails.BilledDuration))
		}
		f.Billed = false
		if got := shown(t, f); got.BillingStatus != "BILLING_STATUS_PENDING" || got.BilledDuration != nil {
			t.Errorf("%s, not billed yet: %s %s", c.name, got.BillingStatus, said(got.BilledDuration))
		}
	}
}

func TestDurationsAreReadAsTheDocumentsWriteThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"30s": 30 * time.Second, "1.5s": 1500 * time.Millisecond, "0s": 0,
		"0.000000001s": 1, "999999999999s": 366 * 24 * time.Hour, "-1s": -time.Second} {
		if got, ok := ultravox.ParseSeconds(text); !ok || got != want {
			t.Errorf("%s: %v %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "30", "30m", "03s", "1.s", ".5s", "+1s", "1e3s", "1234567890123s", "30s "} {
		if got, ok := ultravox.ParseSeconds(text); ok {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
	for d, want := range map[time.Duration]string{30 * time.Second: "30s", 1500 * time.Millisecond: "1.5s", time.Hour: "3600s", 0: "0s"} {
		if got := ultravox.Seconds(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}

// TestEventBodies pins the body of each event.
func TestEventBodies(t *testing.T) {
	t.Parallel()
	live := ultravox.Facts{ID: 0x9a51c06f3be2d704, Created: began, AgentID: "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001", AgentName: "Sales <b>",
		Metadata: map[string]string{"src": "fb"}}
	joined := live
	joined.Joined = began.Add(time.Second)
	over := joined
	over.Ended, over.Status, over.Cause = began.Add(62*time.Second), 200, call.CauseNormal
	bill := over
	bill.Billed = true
	bill.Outgoing = &ultravox.Outgoing{To: "sip:bob@carrier.example", From: "sip:+15550100@acme.sip.example.com", Username: "acme"}
	for name, f := range map[string]ultravox.Facts{"call.started": live, "call.joined": joined, "call.ended": over, "call.billed": bill} {
		var body bytes.Buffer
		enc := json.NewEncoder(&body)
		enc.SetEscapeHTML(false) // as what is sent is written
		if err := enc.Encode(ultravox.Event{Event: name, Call: ultravox.Render(f)}); err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, "testdata/"+name+".json", body.Bytes())
	}
}

func TestARecordIsToldWithWhomItWasForAndItsMetadata(t *testing.T) {
	t.Parallel()
	r := call.Record{ID: 7, Agent: "a", Direction: actors.Outbound, To: call.Party{URI: "sip:bob@carrier.example"}, From: call.Party{URI: "sip:me@acme.example"},
		Status: 486, Cause: call.Cause{Q850: 17, Word: "busy"}, Metadata: `{"order":"7","n":7}`, Stages: call.Stages{Invited: began, Ended: began.Add(time.Second)}}
	f := ultravox.OfRecord(r)
	if f.Outgoing == nil || *f.Outgoing != (ultravox.Outgoing{To: r.To.URI, From: r.From.URI}) || len(f.Metadata) != 1 || f.Metadata["order"] != "7" ||
		!f.Billed || f.Cause != r.Cause || f.Status != 486 || !f.Ended.Equal(r.Stages.Ended) {
		t.Errorf("%+v", f)
	}
	r.Direction = ""
	if f := ultravox.OfRecord(r); f.Outgoing != nil {
		t.Errorf("an incoming call is for %+v", f.Outgoing)
	}
}
