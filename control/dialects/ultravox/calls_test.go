package ultravox_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/internal/testkit/desk"
	shape "patchbay/internal/ultravox"
)

const outgoing = `"medium":{"sip":{"outgoing":{"to":"sip:+15557654321@carrier.example.net:5060;transport=tcp","from":"+15550100"}}}`

func TestCallsArePlacedAsDocumented(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.ask(row{"call", "call-create-agent", "POST", "/api/agents/" + sales + "/calls", `{"templateContext":{"tier":"gold","order":{"n":7}},"metadata":{"src":"api"},` +
		`"joinTimeout":"45s","maxDuration":"600.5s","firstSpeakerSettings":{"user":{}},"recordingEnabled":false,"initialMessages":null,` +
		`"medium":{"sip":{"outgoing":{"to":"sip:bob@carrier.example.net","from":"sip:frontdesk@acme.sip.example.com","username":"acme-user","password":"hush-hush"}}}}`}, 201)
	s.ask(row{"call", "call-create-plain", "POST", "/api/agents/" + sales + "/calls", `{` + outgoing + `}`}, 201)
	s.ask(row{"call", "call-create-name", "POST", "/api/agents/" + sales + "/calls", `{"medium":{"sip":{"outgoing":{"to":"bob@carrier.example.net","from":"frontdesk"}}}}`}, 201)
	s.ask(row{"call", "call-create-no-agent", "POST", "/api/calls", `{"systemPrompt":"Take a message.",` + outgoing + `}`}, 400)
	desk.Native[control.AccountView](t, s.Desk, "acme", "account", "update", control.AccountChange{Patch: json.RawMessage(`{"sip":{"start_call_agent":"` + support + `"}}`)})
	s.ask(row{"call", "call-create", "POST", "/api/calls", `{"systemPrompt":"Take a message.","voice":"Ada","temperature":0.4,"languageHint":"en",` +
		`"firstSpeaker":"FIRST_SPEAKER_USER",` + outgoing + `}`}, 201)
	if len(s.sent.jobs) != 4 {
		t.Fatalf("%d calls were placed", len(s.sent.jobs))
	}
	a, plain, named, own := s.sent.jobs[0].Dial, s.sent.jobs[1].Dial, s.sent.jobs[2].Dial, s.sent.jobs[3]
	if a.To != "sip:bob@carrier.example.net" || a.From != "sip:frontdesk@acme.sip.example.com" || a.Username != "acme-user" || a.Password == "" ||
		strings.Contains(string(a.Password), "hush") || string(a.Context) != `{"tier":"gold","order":{"n":7}}` || string(a.Metadata) != `{"src":"api"}` ||
		a.RingTimeoutMs != 45_000 || a.MaxDurationMs != 600_500 || string(a.Settings) != `{"firstSpeakerSettings":{"user":{}},"recordingEnabled":false}` {
		t.Errorf("the media node is told %+v", a)
	}
	if plain.RingTimeoutMs != 30_000 || plain.MaxDurationMs != 0 || plain.From != "sip:+15550100@acme.sip.example.com" || plain.To != "sip:+15557654321@carrier.example.net:5060;transport=tcp" {
		t.Errorf("a call that says no more: %+v", plain)
	}
	if named.From != "sip:frontdesk@acme.sip.example.com" || named.To != "sip:bob@carrier.example.net" {
		t.Errorf("a name calls as %s", named.From)
	}
	session := string(own.Agent.WebRTC.Session)
	if own.Agent.ID != support || strings.Contains(session, "medium") || !strings.Contains(session, `"systemPrompt":"Take a message."`) || !strings.Contains(session, `"voice":"Ada"`) {
		t.Errorf("a call of the account's own making is %s's, with %s", own.Agent.ID, session)
	}
}

func TestMistakesInCallsAreNamed(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	medium := func(out string) string { return `{"medium":{"sip":{"outgoing":` + out + `}}}` }
	for name, body := range map[string]string{
		"no-medium":        `{}`,
		"webrtc":           `{"medium":{"webRtc":{}}}`,
		"incoming":         `{"medium":{"sip":{"incoming":{}}}}`,
		"nothing-outgoing": medium(`{}`),
		"number":           medium(`{"to":"+15557654321","from":"+15550100"}`),
		"to-no-uri":        medium(`{"to":"sip:bob@carrier.example?x=y","from":"+15550100"}`),
		"caller-not-owned": medium(`{"to":"sip:bob@carrier.example","from":"+15559999999"}`),
		"caller-foreign":   medium(`{"to":"sip:bob@carrier.example","from":"sip:frontdesk@bank.example"}`),
		"password-nobodys": medium(`{"to":"sip:bob@carrier.example","from":"+15550100","password":"x"}`),
		"join-no-duration": `{"joinTimeout":"30",` + outgoing + `}`,
		"duration-0":       `{"maxDuration":"0s",` + outgoing + `}`,
		"duration-long":    `{"maxDuration":"99999999s","joinTimeout":"301s",` + outgoing + `}`,
		"metadata-number":  `{"metadata":{"n":7},` + outgoing + `}`,
		"metadata-ours":    `{"metadata":{"ultravox.x":"y"},` + outgoing + `}`,
		"context-text":     `{"templateContext":"x",` + outgoing + `}`,
		"setting-type":     `{"recordingEnabled":"no","initialMessages":{},` + outgoing + `}`,
		"not-served":       `{"callbacks":{"ended":{"url":"https://x.example"}},"voice":"Ada",` + outgoing + `}`,
	} {
		s.ask(row{"UV-3", "call-wrong-" + name, "POST", "/api/agents/" + sales + "/calls", body}, 400)
	}
	s.ask(row{"UV-3", "call-wrong-parameter", "POST", "/api/calls?priorCallId=" + sales, `{` + outgoing + `}`}, 400)
	s.ask(row{"UV-3", "call-agent-foreign", "POST", "/api/agents/" + foreign + "/calls", `{` + outgoing + `}`}, 404)
	s.ask(row{"UV-3", "call-agent-no-uuid", "POST", "/api/agents/sales/calls", `{` + outgoing + `}`}, 404)
	if len(s.sent.jobs) != 0 {
		t.Errorf("%d calls were placed", len(s.sent.jobs))
	}
}

func TestACallForWhichThereIsNoRoomMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.sent.full = &control.Error{Code: control.CodeLimit, Message: "the account has as many calls as it may"}
	s.ask(row{"call", "call-over-cap", "POST", "/api/agents/" + sales + "/calls", `{` + outgoing + `}`}, 429)
	s.sent.full = fmt.Errorf("every node is full: %w", control.ErrUnavailable)
	s.ask(row{"call", "call-no-node", "POST", "/api/agents/" + sales + "/calls", `{` + outgoing + `}`}, 503)
}

func TestAThrottleBoundsTheCallsThatNameIt(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	made := desk.Native[control.ThrottleView](t, s.Desk, "acme", "throttle", "create", control.NewThrottle{Spec: json.RawMessage(`{"name":"campaign","rules":[{"max_calls":2,"window_seconds":60}]}`)})
	s.ask(row{"call", "call-throttle-name", "POST", "/api/agents/" + sales + "/calls?throttle=campaign", `{` + outgoing + `}`}, 201)
	if w := s.Ask(t, "POST", "/api/agents/"+sales+"/calls?throttle="+made.ID, `{`+outgoing+`}`); w.Code != 201 {
		t.Errorf("by its id: %d %s", w.Code, w.Body)
	}
	s.ask(row{"call", "call-throttled", "POST", "/api/agents/" + sales + "/calls?throttle=campaign", `{` + outgoing + `}`}, 429)
	s.ask(row{"call", "call-throttle-unknown", "POST", "/api/agents/" + sales + "/calls?throttle=nothing", `{` + outgoing + `}`}, 400)
	if len(s.sent.jobs) != 2 {
		t.Errorf("%d calls were placed", len(s.sent.jobs))
	}
	s.Pass(time.Minute)
	if w := s.Ask(t, "POST", "/api/agents/"+sales+"/calls?throttle=campaign", `{`+outgoing+`}`); w.Code != 201 {
		t.Errorf("a minute later: %d %s", w.Code, w.Body)
	}
}

func TestCallsAreShownWhileTheyLastAndAfter(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	up := exampleCall(0x9a51c06f3be2d704, 42*time.Second)
	over := exampleRecord(0x9a51c06f3be2d705, time.Hour)
	s.live.calls, s.past.records = []control.CallView{up}, []call.Record{over}
	at := func(id call.ID) string { return "/api/calls/" + shape.CallID(id) }
	s.ask(row{"call", "call-get-live", "GET", at(up.ID), ""}, 200)
	s.ask(row{"call", "call-get-over", "GET", at(over.ID), ""}, 200)
	s.ask(row{"call", "call-get-none", "GET", at(7), ""}, 404)
	s.ask(row{"call", "call-get-no-call", "GET", "/api/calls/" + sales, ""}, 404)
	s.ask(row{"call", "call-list", "GET", "/api/calls", ""}, 200)
	s.ask(row{"call", "call-list-of-agent", "GET", "/api/agents/" + support + "/calls", ""}, 200)
	s.ask(row{"call", "call-list-filtered", "GET", "/api/calls?agentIds=" + sales + "&agentIds=" + foreign, ""}, 200)
	s.ask(row{"call", "call-list-wrong-filter", "GET", "/api/calls?search=bob", ""}, 400)
	s.ask(row{"call", "call-list-wrong-agent", "GET", "/api/calls?agentIds=bob", ""}, 400)
	s.ask(row{"call", "call-logs-live", "GET", at(up.ID) + "/sip_logs", ""}, 425)
	s.ask(row{"call", "call-logs-over", "GET", at(over.ID) + "/sip_logs", ""}, 404)
	s.ask(row{"call", "call-logs-none", "GET", at(7) + "/sip_logs", ""}, 404)
	s.ask(row{"call", "call-delete-live", "DELETE", at(up.ID), ""}, 204)
	s.ask(row{"call", "call-delete-over", "DELETE", at(over.ID), ""}, 409)
	if len(s.live.ended) != 1 || s.live.ended[0] != up.ID {
		t.Errorf("ended %v", s.live.ended)
	}
	s.as(t, "other", endpoint.ScopeAll)
	s.ask(row{"call", "call-of-another", "GET", at(up.ID), ""}, 404)
}

func TestAllCallsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	want := map[string]bool{}
	for i := range 7 {
		id := call.ID(100 + i)
		if want[shape.CallID(id)] = true; i < 3 {
			s.live.calls = append(s.live.calls, exampleCall(id, time.Duration(i)*time.Second))
			continue
		}
		s.past.records = append(s.past.records, exampleRecord(id, time.Duration(i)*time.Hour))
	}
	for _, size := range []int{1, 2, 3, 4, 5, 200} {
		seen := map[string]bool{}
		path := fmt.Sprintf("/api/calls?pageSize=%d", size)
		for pages := 0; path != "" && pages < 20; pages++ {
			var p struct {
				Next    *string
				Results []struct{ CallID string }
			}
			w := s.Ask(t, "GET", path, "")
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 || len(p.Results) > size {
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
			for _, c := range p.Results {
				if seen[c.CallID] {
					t.Errorf("pages of %d: %s is there twice", size, c.CallID)
				}
				seen[c.CallID] = true
			}
			if path = ""; p.Next != nil {
				path = *p.Next
			}
		}
		if len(seen) != len(want) {
			t.Errorf("pages of %d: %d calls, want %d", size, len(seen), len(want))
		}
	}
}
