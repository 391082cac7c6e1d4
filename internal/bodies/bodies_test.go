package bodies_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/internal/bodies"
	"patchbay/internal/golden"
)

const bot = "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001"

var invited = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

// record is a call that a carrier began and ended.
func record() call.Record {
	return call.Record{ID: 0x9a51c06f3be2d704, Tenant: "acme", Endpoint: "q7m3w2xq9dtz4hbnrs5vcy8fka", Agent: bot, Node: "pb-1",
		SIPCallID: "c1", Transport: call.UDP, Source: "203.0.113.7:5060", Codec: "PCMU", Status: 200, Cause: call.CauseNormal, EndedBy: call.ByCarrier,
		From:     call.Party{URI: "sip:+15550100@pbx.example.net", User: "+15550100", Host: "pbx.example.net", Display: "Bob"},
		To:       call.Party{URI: "sip:[redacted]@sip.example.com", User: "[redacted]"},
		Metadata: `{"src":"fb"}`,
		Stages:   call.Stages{Invited: invited, Answered: invited.Add(time.Second), Ended: invited.Add(62 * time.Second)}}
}

// event is one of its events as the stream holds it.
func event(t testing.TB, kind string, seq uint64, rec call.Record) bodies.Event {
	t.Helper()
	ev := actors.CallEvent{V: 1, ID: rec.ID.String() + "." + string(rune('0'+seq)), Call: rec.ID, Seq: seq, Type: kind, Tenant: rec.Tenant,
		Endpoint: endpoint.Key(rec.Endpoint), At: invited.Add(time.Minute), Facts: actors.FactsOf(rec)}
	raw, err := json.Marshal(ev)
	if kind == bodies.EventRecord {
		raw, err = json.Marshal(map[string]any{"v": 1, "id": rec.ID.String() + ".record", "call_id": rec.ID, "type": kind, "at": ev.At, "tenant": rec.Tenant,
			"endpoint": rec.Endpoint, "data": rec})
	}
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := bodies.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Company, parsed.AgentName = "0d4b6f82-9a1c-4e3d-8b7f-2c5e8a1d4f06", "Night bot"
	return parsed
}

// life are a call's events in order, each with what was known then.
func life(t testing.TB) []bodies.Event {
	t.Helper()
	over := record()
	begun, up := over, over
	begun.Stages = call.Stages{Invited: over.Stages.Invited}
	begun.Status, begun.Cause, begun.EndedBy, begun.Codec = 0, call.Cause{}, "", ""
	up.Stages.Ended, up.Cause, up.EndedBy = time.Time{}, call.Cause{}, ""
	return []bodies.Event{event(t, call.EventStarted, 1, begun), event(t, call.EventRinging, 2, begun), event(t, call.EventAnswered, 3, up),
		event(t, call.EventEnded, 4, over), event(t, bodies.EventRecord, 5, over)}
}

// TestEachKindHasItsOwnWordsAndBodies writes and checks every body of a whole
// call, in the words of each kind.
func TestEachKindHasItsOwnWordsAndBodies(t *testing.T) {
	t.Parallel()
	for kind, want := range map[endpoint.WebhookKind][]string{
		endpoint.WebhookNative:   {"call.started", "call.ringing", "call.answered", "call.ended", "call.record"},
		endpoint.WebhookUltravox: {"call.started", "", "call.joined", "call.ended", "call.billed"},
		endpoint.WebhookYappr:    {"call.started", "", "call.answered", "call.ended", ""},
	} {
		for i, ev := range life(t) {
			name := bodies.Name(kind, &ev)
			if name != want[i] {
				t.Errorf("%s: %s is %q, want %q", kind, ev.Type, name, want[i])
			}
			body, err := bodies.Render(kind, &ev)
			if name == "" {
				if err == nil {
					t.Errorf("%s: %s has a body and no name", kind, ev.Type)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(endpoint.EventNames(kind), name) {
				t.Errorf("%s: nobody can subscribe to %s", kind, name)
			}
			compare(t, string(kind)+"."+name, body)
		}
	}
}

// TestACallThatWePlacedSaysSo is about the words for direction and numbers.
func TestACallThatWePlacedSaysSo(t *testing.T) {
	t.Parallel()
	rec := record()
	rec.Direction, rec.From = actors.Outbound, call.Party{URI: "sip:+15550199@trunk.example.net", User: "+15550199"}
	rec.To = call.Party{URI: "sip:+15550100@trunk.example.net", User: "+15550100"}
	ev := event(t, call.EventEnded, 4, rec)
	for _, kind := range []endpoint.WebhookKind{endpoint.WebhookNative, endpoint.WebhookUltravox, endpoint.WebhookYappr} {
		body, err := bodies.Render(kind, &ev)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, string(kind)+".outbound", body)
	}
}

func compare(t *testing.T, name string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, body, "", "  "); err != nil {
		t.Fatalf("%s: %v in %s", name, err, body)
	}
	golden.Compare(t, "testdata/"+name+".json", append(b.Bytes(), '\n'))
}

// TestHowACallEndedIsSaidInTheVendorsWords has a row for each line of
// docs/apis.md, Events, of a call that nobody answered.
func TestHowACallEndedIsSaidInTheVendorsWords(t *testing.T) {
	t.Parallel()
	for status, want := range map[int][3]string{
		486: {"call.failed", "unjoined", "SIP_TERMINATION_BUSY"},
		600: {"call.failed", "unjoined", "SIP_TERMINATION_BUSY"},
		487: {"call.no_answer", "unjoined", "SIP_TERMINATION_CANCELED"},
		404: {"call.failed", "unjoined", "SIP_TERMINATION_INVALID_NUMBER"},
		408: {"call.no_answer", "timeout", "SIP_TERMINATION_TIMEOUT"},
		480: {"call.failed", "unjoined", "SIP_TERMINATION_DESTINATION_UNAVAILABLE"},
		503: {"call.failed", "unjoined", "SIP_TERMINATION_DESTINATION_UNAVAILABLE"},
		603: {"call.failed", "unjoined", "SIP_TERMINATION_REJECTED"},
		403: {"call.failed", "unjoined", "SIP_TERMINATION_REJECTED"},
		400: {"call.failed", "unjoined", "SIP_TERMINATION_UNKNOWN"},
	} {
		rec := record()
		rec.Status, rec.Stages.Answered, rec.Cause = status, time.Time{}, call.CauseNoAgent
		ev := event(t, call.EventEnded, 2, rec)
		if got := bodies.Name(endpoint.WebhookYappr, &ev); got != want[0] {
			t.Errorf("%d: yappr says %s, want %s", status, got, want[0])
		}
		theirs, err := bodies.Render(endpoint.WebhookYappr, &ev)
		if err != nil || strings.Contains(string(theirs), `"error":"`+call.CauseNoAgent.Word+`"`) != (want[0] == "call.failed") {
			t.Errorf("%d: %v: yappr says %s, want the error of call.failed alone", status, err, theirs)
		}
		body, err := bodies.Render(endpoint.WebhookUltravox, &ev)
		if err != nil {
			t.Fatal(err)
		}
		var told struct {
			Call struct {
				EndReason  string
				SIPDetails struct{ TerminationReason string }
			}
		}
		if err := json.Unmarshal(body, &told); err != nil || told.Call.EndReason != want[1] || told.Call.SIPDetails.TerminationReason != want[2] {
			t.Errorf("%d: ultravox says %+v, %v, want %q", status, told, err, want)
		}
	}
}

// TestNoBodyHoldsASlug gives the renderers calls to a bearer slug, as the call
// actor knows them: redacted, whatever else is in them.
func TestNoBodyHoldsASlug(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		rec := record()
		rec.From.User = rapid.String().Draw(rt, "from")
		rec.Status = rapid.IntRange(0, 699).Draw(rt, "status")
		rec.EndedBy = rapid.String().Draw(rt, "by")
		for _, kind := range []endpoint.WebhookKind{endpoint.WebhookNative, endpoint.WebhookYappr, endpoint.WebhookUltravox} {
			for _, what := range []string{call.EventStarted, call.EventAnswered, call.EventEnded, bodies.EventRecord, bodies.EventTest} {
				ev := event(t, what, 1, rec)
				if bodies.Name(kind, &ev) == "" {
					continue
				}
				body, err := bodies.Render(kind, &ev)
				if err != nil || !json.Valid(body) {
					rt.Fatalf("%s %s: %v: %s", kind, what, err, body)
				}
				if kind == endpoint.WebhookYappr && !strings.Contains(string(body), `"to_number":null`) {
					rt.Errorf("a slug's number: %s", body)
				}
			}
		}
	})
}
