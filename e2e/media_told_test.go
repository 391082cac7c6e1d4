package e2e_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/caller"
)

// secret is the part of an endpoint's slug that nobody but its carriers knows.
func secret(ep control.EndpointView) string { return ep.Slug[len(ep.Slug)-24:] }

func TestAnAgentLearnsWhatTheCallerClaims(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for name, c := range map[string]struct {
		agent   rig.Fields
		trusted bool
	}{
		"as claims":         {rig.Fields{"metadata": rig.Fields{"shop": "7"}}, false},
		"with owner's word": {rig.Fields{"metadata": rig.Fields{"shop": "7"}, "trust_caller_id": true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := s.worker(t, []string{"PCMU"}, c.agent, echo)
			ep := s.endpoint(t, w)
			got, started := s.asked(t, w, ep)
			for _, what := range []told{got.told, started} {
				if what.From.User != "4930123456" || !strings.HasPrefix(what.From.URI, "sip:4930123456@127.0.0.1") {
					t.Errorf("from is %+v, want the caller", what.From)
				}
				if what.From.Trusted != c.trusted || what.To.Trusted {
					t.Errorf("from is trusted: %t, to: %t, want %t and false", what.From.Trusted, what.To.Trusted, c.trusted)
				}
				if what.To.Host != s.SIP.String() && what.To.Host != s.SIP.Addr().String() {
					t.Errorf("to is at %q, want what was dialled", what.To.Host)
				}
				want := []header{
					{"P-Asserted-Identity", `"Alice" <sip:+4930123456@carrier.example>`},
					{"X-Account", "42"}, {"x-empty", ""},
					{"X-Original-To", "<sip:" + ep.Slug[:4] + "****@127.0.0.1>"},
				}
				for _, h := range want {
					if !slices.Contains(what.Headers, h) {
						t.Errorf("headers are %v, want %v among them", what.Headers, h)
					}
				}
				if len(what.Headers) != len(want) {
					t.Errorf("headers are %v, want no others: these are not the agent's business", what.Headers)
				}
			}
			if got.told.Trusted != c.trusted || got.told.Metadata["shop"] != "7" || got.told.V != 1 {
				t.Errorf("the offer is v%d, trusted %t, metadata %v, want v1, %t, shop 7", got.told.V, got.told.Trusted, got.told.Metadata, c.trusted)
			}
		})
	}
}

func TestAnAgentThatWantsNoMetadataGetsNone(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	w := s.worker(t, []string{"PCMU"}, rig.Fields{"metadata": rig.Fields{"shop": "7"}, "webrtc": rig.Fields{"connector": "nats", "no_metadata": true}}, echo)
	got, started := s.asked(t, w, s.endpoint(t, w))
	for _, word := range []string{"4930123456", "Alice", "shop", "X-Account"} {
		if strings.Contains(string(got.offer), word) || strings.Contains(started.raw, word) {
			t.Errorf("the agent was told of %q in\n%s\n%s", word, got.offer, started.raw)
		}
	}
}

// asked places a call with many headers and returns what its agent was told: in
// the offer, and first of all on the data channel. The slug is in neither, nor
// in any later event.
func (s *stage) asked(t *testing.T, w *worker, ep control.EndpointView) (*session, told) {
	t.Helper()
	rep := s.dial(t, ep.Slug, caller.Options{Codecs: []string{"PCMU"}, Talk: 500 * time.Millisecond, From: "4930123456", Headers: []string{
		"X-Account: 42", "x-empty:", "X-Original-To: <sip:" + strings.ToUpper(ep.Slug) + "@127.0.0.1>", "Subject: nobody's business",
		`P-Asserted-Identity: "Alice" <sip:+4930123456@carrier.example>`, "Authorization: Digest username=nobody",
	}})
	answered(t, rep, "PCMU")
	c := w.next(t)
	started := c.expect(t, "call.started")
	end := c.expect(t, "call.ended")
	for _, text := range []string{string(c.offer), started.raw, end.raw} {
		if strings.Contains(strings.ToLower(text), secret(ep)) {
			t.Errorf("the agent was told the slug: %s", text)
		}
	}
	if started.CallID != c.told.CallID {
		t.Errorf("call.started is about %q, want %q", started.CallID, c.told.CallID)
	}
	return c, readTold(t, started.raw)
}

func readTold(t *testing.T, raw string) told {
	t.Helper()
	what := told{raw: raw}
	if err := json.Unmarshal([]byte(raw), &what); err != nil {
		t.Errorf("%v: %s", err, raw)
	}
	return what
}
