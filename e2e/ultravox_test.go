package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// An ultravox is a client of Ultravox's API, with the key of the first start, at a
// node whose account refuses in the explicit style.
type ultravox struct {
	*bed
	key    string
	domain string
}

func newUltravox(t *testing.T, settings rig.Settings) *ultravox {
	t.Helper()
	all := rig.Settings{"sip.base_domain": "sip.example"}
	for key, value := range settings {
		all[key] = value
	}
	u := &ultravox{bed: newBed(t, all)}
	u.op.Account(t, rig.Fields{"refusal": "explicit"})
	u.key = u.AdminKey(t)
	u.domain, _ = u.ask(t, "PATCH", "/api/sip", `{"allowedCidrRanges":["127.0.0.0/8"]}`, 200)["domain"].(string)
	return u
}

// ask sends one request, which must be answered with a status, and returns the
// body of its reply.
func (u *ultravox) ask(t *testing.T, method, path, body string, status int) map[string]any {
	t.Helper()
	got, out := u.send(t, method, path, body)
	if got != status {
		t.Fatalf("%s %s: %d %v, want %d", method, path, got, out, status)
	}
	return out
}

// send sends one request and returns what it is answered.
func (u *ultravox) send(t *testing.T, method, path, body string) (status int, out map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+u.HTTP+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", u.key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || len(text) > 0 && json.Unmarshal(text, &out) != nil {
		t.Fatalf("%s %s: %d %s, %v", method, path, res.StatusCode, text, err)
	}
	return res.StatusCode, out
}

// place dials a user at the account's domain and returns the final status; a
// call that is answered is ended.
func (u *ultravox) place(t *testing.T, user string, headers ...string) int {
	t.Helper()
	invite := rig.Request{Method: "INVITE", URI: "sip:" + user + "@" + u.domain, Headers: headers, Body: rig.Offer(u.media)}.Fresh()
	carrier := u.Dial(t, "udp")
	final := carrier.Final(invite)
	if final.Status() != 200 {
		carrier.Send(invite.AckOf(final))
		return final.Status()
	}
	carrier.Send(invite.Within(final, "ACK", 1))
	(&talk{carrier, invite, final}).bye(t)
	return final.Status()
}

// heard follows what an agent is offered.
func (u *ultravox) heard(t *testing.T, agent string) *nats.Subscription {
	t.Helper()
	conn := u.Connect(t)
	sub, err := conn.SubscribeSync(subject.Offer(agent))
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// offered is what an agent is told of a call before it answers.
type offered struct {
	Context  map[string]any    `json:"context"`
	Metadata map[string]string `json:"call_metadata"`
	Session  map[string]any    `json:"session"`
	Settings map[string]any    `json:"call_settings"`
}

func nextOffer(t *testing.T, sub *nats.Subscription) (o offered) {
	t.Helper()
	m, err := sub.NextMsg(settle)
	if err != nil {
		t.Fatalf("the agent had no offer: %v", err)
	}
	if err := json.Unmarshal(m.Data, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestUltravoxsConfigurationDecidesWhoAnswers calls by its rules: who may call,
// patterns in their order, all agents, nobody.
func TestUltravoxsConfigurationDecidesWhoAnswers(t *testing.T) {
	t.Parallel()
	u := newUltravox(t, nil)
	if u.domain != "default.sip.example" {
		t.Fatalf("the domain is %q", u.domain)
	}
	second := u.op.Echo(t)
	anyone, both := "agent_"+u.echo.Agent, func(first, last string) string {
		return `{"allowedAgents":[` + first + `,` + last + `]}`
	}
	exact, part := `{"agentId":"`+u.echo.Agent+`","toUserPattern":"^sales$"}`, `{"agentId":"`+second.Agent+`","toUserPattern":"sales"}`
	for _, step := range []struct {
		name, patch, user string
		status, mine      int // of the first agent's offers
	}{
		{"nothing is allowed", `{}`, anyone, 404, 0},
		{"all agents", `{"allowAllAgents":true}`, anyone, 200, 1},
		{"all agents, another user", `{}`, "sales", 404, 0},
		{"no source", `{"allowedCidrRanges":[]}`, anyone, 403, 0},
		{"another source", `{"allowedCidrRanges":["198.51.100.0/24"]}`, anyone, 403, 0},
		{"one of the sources", `{"allowedCidrRanges":["198.51.100.0/24","127.0.0.1/32"],"allowAllAgents":false}`, anyone, 404, 0},
		{"the first pattern that fits", both(exact, part), "sales", 200, 1},
		{"the second pattern", `{}`, "presales", 200, 0},
		{"in their order", both(part, exact), "sales", 200, 0},
		{"the pattern by default", `{"allowedAgents":[{"agentId":"` + u.echo.Agent + `"}]}`, anyone, 200, 1},
		{"and nothing else", `{}`, "x" + anyone, 404, 0},
	} {
		u.ask(t, "PATCH", "/api/sip", step.patch, 200)
		mine, others := u.echo.Offers(), second.Offers()
		if status := u.place(t, step.user); status != step.status {
			t.Errorf("%s: %s got %d, want %d", step.name, step.user, status, step.status)
		}
		if step.status == 200 {
			rig.WaitFor(t, settle, "an agent had the offer", func() bool { return u.echo.Offers()+second.Offers() > mine+others })
		}
		if mine, others = u.echo.Offers()-mine, second.Offers()-others; mine != step.mine || step.status == 200 && mine+others != 1 {
			t.Errorf("%s: the agents had %d and %d offers", step.name, mine, others)
		}
	}
	u.Idle(t, settle)
}

// A receiver is somebody's server that checks what it gets as the vendor's
// sample does: a time without a zone, at most a minute old, and a signature by
// one of its secrets.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	secrets []string
	bad     []string
	bodies  [][]byte
	answer  func(body []byte) string
}

func newReceiver(t *testing.T, answer func(body []byte) string) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, body)
	stamp := req.Header.Get("X-Ultravox-Webhook-Timestamp")
	at, err := time.Parse("2006-01-02T15:04:05.999999", stamp)
	if err != nil || time.Since(at) > time.Minute || time.Until(at) > time.Second {
		r.bad = append(r.bad, "timestamp "+stamp)
	}
	got := strings.Split(req.Header.Get("X-Ultravox-Webhook-Signature"), ",")
	for _, secret := range r.secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		mac.Write([]byte(stamp))
		if !slices.Contains(got, hex.EncodeToString(mac.Sum(nil))) {
			r.bad = append(r.bad, "signature "+strings.Join(got, ","))
		}
	}
	if len(got) != len(r.secrets) {
		r.bad = append(r.bad, "as many signatures as secrets are wanted")
	}
	if r.answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	_, _ = io.WriteString(w, r.answer(body))
}

// by says which secrets sign from now on.
func (r *receiver) by(secrets any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = nil
	for _, s := range secrets.([]any) {
		r.secrets = append(r.secrets, s.(string))
	}
}

func (r *receiver) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bad) > 0 {
		t.Errorf("the receiver had %q", r.bad)
	}
}

// TestUltravoxsFallbackHandlerDecides has a handler that starts an agent's call
// and one of its own making, and that rejects; its agent hears what the SIP
// message said, which wins over the handler's context.
func TestUltravoxsFallbackHandlerDecides(t *testing.T) {
	t.Parallel()
	u := newUltravox(t, nil)
	closed := u.op.Echo(t)
	u.op.Do(t, "agent", "update", control.Change{ID: closed.Agent, Patch: json.RawMessage(
		`{"context_schema":{"type":"object","properties":{"customer_name":{"type":"string"}},"additionalProperties":false}}`)}, nil)
	u.op.Account(t, rig.Fields{"sip": rig.Fields{"start_call_agent": u.echo.Agent}})
	start := func(agent string) string {
		return `{"startAgentCall":{"agentId":"` + agent + `","templateContext":{"tier":"gold","customer_name":"Template"},"metadata":{"src":"fb"}}}`
	}
	answers := map[string]string{
		"gold": start(u.echo.Agent), "closed": start(closed.Agent), "inline": `{"startCall":{"systemPrompt":"Take a message.","voice":"Ada"}}`,
		"no": `{"reject":{}}`, "busy": `{"reject":{"sipRejectCode":486,"message":"all busy"}}`, "wrong": `{"reject":{"sipRejectCode":302}}`,
	}
	handler := newReceiver(t, func(body []byte) string {
		var q endpoint.Question
		_ = json.Unmarshal(body, &q)
		user, _, _ := strings.Cut(strings.TrimPrefix(*q.ToURI, "sip:"), "@")
		return answers[user]
	})
	made := u.ask(t, "PATCH", "/api/sip", `{"fallbackHandler":{"url":"`+handler.URL+`/sip"}}`, 200)
	handler.by(made["fallbackHandler"].(map[string]any)["secrets"])

	mine, theirs := u.heard(t, u.echo.Agent), u.heard(t, closed.Agent)
	headers := []string{"X-Customer-Name: Bob", `X-Complex-Value: {"subkey":"value"}`, "X-Count: 3"}
	if status := u.place(t, "gold", headers...); status != 200 {
		t.Fatalf("an agent's call got %d", status)
	}
	got := nextOffer(t, mine)
	caller := map[string]any{"sip": map[string]any{"caller_id": "15550001111"}}
	golden, _ := json.Marshal(map[string]any{"tier": "gold", "customer_name": "Bob", "complex_value": map[string]any{"subkey": "value"}, "count": 3})
	said := got.Context["ultravox"].(map[string]any)["sip"].(map[string]any)
	delete(got.Context, "ultravox")
	if rest, _ := json.Marshal(got.Context); string(rest) != string(golden) || said["caller_id"] != caller["sip"].(map[string]any)["caller_id"] ||
		!strings.HasPrefix(said["from_uri"].(string), "sip:15550001111@127.0.0.1") {
		t.Errorf("the agent is told %v and %v", got.Context, said)
	}
	if status := u.place(t, "closed", headers...); status != 200 {
		t.Errorf("the call of an agent with a closed schema got %d", status)
	}
	if got := nextOffer(t, theirs); len(got.Context) != 1 || got.Context["customer_name"] != "Bob" {
		t.Errorf("a closed schema lets in %v", got.Context)
	}
	if status := u.place(t, "inline"); status != 200 {
		t.Errorf("a call of the handler's own making got %d", status)
	}
	if got := nextOffer(t, mine); got.Session["systemPrompt"] != "Take a message." {
		t.Errorf("its agent is told %v", got.Session)
	}
	rotated := u.ask(t, "PATCH", "/api/sip", `{"fallbackHandler":{"url":"`+handler.URL+`/sip","secrets":["one","two"]}}`, 200)
	handler.by(rotated["fallbackHandler"].(map[string]any)["secrets"])
	for user, want := range map[string]int{"no": 603, "busy": 486, "wrong": 502} {
		if status := u.place(t, user); status != want {
			t.Errorf("%s got %d, want %d", user, status, want)
		}
	}
	handler.check(t)
	u.ask(t, "PATCH", "/api/sip", `{"fallbackHandler":null}`, 200)
	if status := u.place(t, "gold"); status != 404 {
		t.Errorf("without a handler the call got %d", status)
	}
	u.Idle(t, settle)
}

// TestUltravoxsCallsArePlaced places calls by its API: one that is answered, with
// what its agent is told and its owner sees of it, one that is busy, one that is
// deleted while it rings.
func TestUltravoxsCallsArePlaced(t *testing.T) {
	t.Parallel()
	u := newUltravox(t, nil)
	callee, offers := rig.NewCallee(t, rig.Loopback()), u.heard(t, u.echo.Agent)
	create := func(path, more string) (id string, made map[string]any) {
		made = u.ask(t, "POST", path, `{`+more+`"medium":{"sip":{"outgoing":{"to":"`+callee.URI("bob")+`","from":"acme-user","username":"acme-user","password":"hush-hush"}}}}`, 201)
		return made["callId"].(string), made
	}
	id, made := create("/api/agents/"+u.echo.Agent+"/calls", `"templateContext":{"tier":"gold"},"metadata":{"order":"7"},"firstSpeakerSettings":{"user":{}},`)
	if asked, _ := json.Marshal(made); strings.Contains(string(asked), "hush-hush") || made["joined"] != nil || made["endReason"] != nil {
		t.Errorf("the new call is %s", asked)
	}
	invite := callee.Next("INVITE")
	if !strings.Contains(invite.Header("From"), "sip:acme-user@") {
		t.Errorf("it is from %s", invite.Header("From"))
	}
	invite.Reply("180 Ringing", "a", "")
	live := invite.Answer("a")
	live.Heard(20)
	if got := nextOffer(t, offers); got.Context["tier"] != "gold" || got.Context["ultravox"] != nil || got.Metadata["order"] != "7" || got.Settings["firstSpeakerSettings"] == nil {
		t.Errorf("the agent is told %+v", got)
	}
	u.ask(t, "GET", "/api/calls/"+id+"/sip_logs", "", 425)
	if got := u.ask(t, "GET", "/api/calls/"+id, "", 200); got["joined"] == nil || got["ended"] != nil || got["metadata"].(map[string]any)["order"] != "7" {
		t.Errorf("the live call is %v", got)
	}
	if all := u.ask(t, "GET", "/api/calls", "", 200)["results"].([]any); len(all) != 1 || all[0].(map[string]any)["callId"] != id {
		t.Errorf("the list has %v", all)
	}
	live.Bye(u.SIP)
	over := u.over(t, id)
	details := over["sipDetails"].(map[string]any)
	if over["endReason"] != "hangup" || details["terminationReason"] != "SIP_TERMINATION_NORMAL" || over["billedDuration"] != billed(t, over) || over["agent"].(map[string]any)["name"] == "" {
		t.Errorf("what remains is %v", over)
	}
	u.ask(t, "GET", "/api/calls/"+id+"/sip_logs", "", 404)
	u.ask(t, "DELETE", "/api/calls/"+id, "", 409)

	u.op.Account(t, rig.Fields{"sip": rig.Fields{"start_call_agent": u.echo.Agent}})
	id, _ = create("/api/calls", `"systemPrompt":"Hello.",`)
	callee.Next("INVITE").Reply("486 Busy Here", "b", "")
	callee.Next("ACK")
	if got := u.over(t, id); got["endReason"] != "unjoined" || got["sipDetails"].(map[string]any)["terminationReason"] != "SIP_TERMINATION_BUSY" {
		t.Errorf("a busy callee: %v", got)
	}
	id, _ = create("/api/calls", "")
	invite = callee.Next("INVITE")
	invite.Reply("180 Ringing", "c", "")
	rig.WaitFor(t, settle, "it rings", func() bool {
		all := u.op.Calls(t)
		return len(all) == 1 && all[0].State == "ringing"
	})
	u.ask(t, "DELETE", "/api/calls/"+id, "", 204)
	callee.Next("CANCEL").Reply("200 OK", "c", "")
	invite.Reply("487 Request Terminated", "c", "")
	if got := u.over(t, id); got["endReason"] != "unjoined" || got["sipDetails"].(map[string]any)["terminationReason"] != "SIP_TERMINATION_CANCELED" {
		t.Errorf("a call that is deleted: %v", got)
	}
	u.Idle(t, settle)
}

// billed is the time that was talked, in whole steps of 6 s.
func billed(t *testing.T, call map[string]any) string {
	t.Helper()
	joined, err := time.Parse(time.RFC3339Nano, fmt.Sprint(call["joined"]))
	ended, err2 := time.Parse(time.RFC3339Nano, fmt.Sprint(call["ended"]))
	if err != nil || err2 != nil || !ended.After(joined) {
		t.Fatalf("joined %v, ended %v", call["joined"], call["ended"])
	}
	const step = 6 * time.Second
	return fmt.Sprintf("%ds", int(((ended.Sub(joined) + step - 1) / step * step).Seconds()))
}

// over waits until a call is over and returns what remains of it.
func (u *ultravox) over(t *testing.T, id string) (got map[string]any) {
	t.Helper()
	rig.Until(t, settle, func() (string, bool) { // between its end and its record there is nothing to show
		var status int
		status, got = u.send(t, "GET", "/api/calls/"+id, "")
		return fmt.Sprintf("the call is over: %d %v", status, got), status == 200 && got["ended"] != nil
	})
	return got
}

// TestUltravoxsWebhooksHearOfCalls places a call and takes one; a webhook hears of
// each, in order, as the API shows it.
func TestUltravoxsWebhooksHearOfCalls(t *testing.T) {
	t.Parallel()
	u := newUltravox(t, nil)
	hook := newReceiver(t, nil)
	made := u.ask(t, "POST", "/api/webhooks", `{"url":"`+hook.URL+`/u","events":["call.started","call.joined","call.ended","call.billed"]}`, 201)
	hook.by(made["secrets"])
	callee := rig.NewCallee(t, rig.Loopback())
	id := u.ask(t, "POST", "/api/agents/"+u.echo.Agent+"/calls", `{"metadata":{"order":"7"},"medium":{"sip":{"outgoing":{"to":"`+callee.URI("bob")+
		`","from":"acme-user","username":"acme-user"}}}}`, 201)["callId"].(string)
	up := callee.Next("INVITE").Answer("a")
	up.Heard(10)
	up.Bye(u.SIP)
	over := u.over(t, id)
	events := hook.about(t, id, 4)
	delete(over, "agent") // events know agents by id
	for name, want := range map[string]struct{ joined, ended, billed bool }{"call.started": {}, "call.joined": {joined: true},
		"call.ended": {joined: true, ended: true}, "call.billed": {true, true, true}} {
		call := events[name]
		if (call["joined"] != nil) != want.joined || (call["ended"] != nil) != want.ended || (call["billedDuration"] != nil) != want.billed {
			t.Errorf("%s is about %v", name, call)
		}
		if sip := call["medium"].(map[string]any)["sip"].(map[string]any); sip["outgoing"].(map[string]any)["to"] != callee.URI("bob") || call["metadata"].(map[string]any)["order"] != "7" {
			t.Errorf("%s is about %v", name, call)
		}
	}
	billed := events["call.billed"]
	delete(billed, "agent")
	if a, b := asText(billed), asText(over); a != b {
		t.Errorf("call.billed tells %s, the API %s", a, b)
	}
	u.ask(t, "PATCH", "/api/sip", `{"allowAllAgents":true}`, 200)
	if status := u.place(t, "agent_"+u.echo.Agent); status != 200 {
		t.Fatalf("an incoming call got %d", status)
	}
	var incoming string
	rig.WaitFor(t, settle, "the incoming call is in the list", func() bool {
		for _, c := range u.ask(t, "GET", "/api/calls", "", 200)["results"].([]any) {
			if other := c.(map[string]any)["callId"].(string); other != id {
				incoming = other
			}
		}
		return incoming != ""
	})
	if got := hook.about(t, incoming, 4)["call.billed"]; got["medium"].(map[string]any)["sip"].(map[string]any)["incoming"] == nil || got["endReason"] != "hangup" {
		t.Errorf("of the incoming call it heard %v", got)
	}
	if got := u.ask(t, "GET", "/api/webhooks/"+made["webhookId"].(string), "", 200); got["status"] != "normal" || len(got["recentFailures"].([]any)) != 0 {
		t.Errorf("the webhook is %v", got)
	}
	hook.check(t)
}

func asText(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// about waits for n events of a call and returns the call that each shows, by
// the event's name; they have to come in their order.
func (r *receiver) about(t *testing.T, id string, n int) map[string]map[string]any {
	t.Helper()
	order := []string{"call.started", "call.joined", "call.ended", "call.billed"}
	events := map[string]map[string]any{}
	rig.WaitFor(t, 3*settle, "a webhook hears of the call", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		clear(events)
		last := 0
		for _, body := range r.bodies {
			var e struct {
				Event string
				Call  map[string]any
			}
			if err := json.Unmarshal(body, &e); err != nil || e.Call["callId"] != id {
				continue
			}
			if at := slices.Index(order, e.Event); at < last {
				t.Errorf("%s came after %s", e.Event, order[last])
			} else {
				last = at
			}
			events[e.Event] = e.Call
		}
		return len(events) == n
	})
	return events
}
