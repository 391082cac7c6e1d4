package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/webhook"
)

// An owner is the webhook of the node's account: it answers by the user of To.
type owner struct {
	*httptest.Server
	secret string // told once, when the webhook was set
	mu     sync.Mutex
	calls  map[string]int // questions by Idempotency-Key
	bad    []string       // what was wrong with them
}

// own makes a webhook that decides about calls of the bed's account, and an
// endpoint that leaves its calls to it.
func own(t *testing.T, b *bed, answer map[string]http.HandlerFunc) (*owner, control.EndpointView) {
	t.Helper()
	o := &owner{calls: map[string]int{}}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var q endpoint.Question
		if err := json.Unmarshal(body, &q); err != nil || q.ToURI == nil {
			o.note("body %s", body)
			return
		}
		o.mu.Lock()
		o.calls[r.Header.Get(webhook.KeyHeader)]++
		secret := o.secret
		o.mu.Unlock()
		if got := r.Header.Get(webhook.SignatureHeader); got != webhook.Sign([]string{secret}, body, r.Header.Get(webhook.TimestampHeader)) {
			o.note("signature %s", got)
		}
		user, _, _ := strings.Cut(strings.TrimPrefix(*q.ToURI, "sip:"), "@")
		handle, ok := answer[user]
		if !ok {
			o.note("a question about %s", user)
			handle = says(`{"reject":{}}`)
		}
		handle(w, r)
	}))
	t.Cleanup(o.Close)
	var acct control.AccountView
	b.op.Do(t, "account", "update", control.AccountChange{Patch: json.RawMessage(
		`{"sip":{"fallback":{"url":"` + o.URL + `/sip","timeout_ms":5000}}}`)}, &acct)
	o.mu.Lock()
	o.secret = acct.SIP.Fallback.Secrets[0]
	o.mu.Unlock()
	ep := b.endpoint(t, rig.Fields{"handler": rig.Fields{"active": "route_rules"}})
	return o, ep
}

func (o *owner) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bad = append(o.bad, fmt.Sprintf(format, args...))
}

func (o *owner) check(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range o.bad {
		t.Errorf("the webhook was asked wrongly: %s", b)
	}
	for key, n := range o.calls {
		if n != 1 {
			t.Errorf("it was asked %d times about call %s", n, key)
		}
	}
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func later(after time.Duration, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(after):
			then(w, r)
		case <-r.Context().Done():
		}
	}
}

// to is an INVITE to a slug whose To names another user.
func (b *bed) to(t *testing.T, slug, user string) rig.Request {
	t.Helper()
	invite := b.invite(slug)
	invite.To = "<sip:" + user + "@acme.example>"
	return invite
}

// TestTheOwnersWebhookDecides has what each answer of a webhook becomes on the
// wire: 100 first, then the owed status, repeated until its ACK, and a record.
func TestTheOwnersWebhookDecides(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	agent := `{"startAgentCall":{"agentId":"` + b.echo.Agent + `","templateContext":{"tier":"gold"}}}`
	want := map[string]struct {
		handle http.HandlerFunc
		status int
	}{
		"agent":    {says(agent), 200},
		"slow":     {later(700*time.Millisecond, says(agent)), 200},
		"busy":     {says(`{"reject":{"sipRejectCode":486,"message":"all busy"}}`), 486},
		"no":       {says(`{"reject":{}}`), 603},
		"399":      {says(`{"reject":{"sipRejectCode":399}}`), 502},
		"two":      {says(`{"reject":{},"startCall":{}}`), 502},
		"empty":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 502},
		"foreign":  {says(`{"startAgentCall":{"agentId":"6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f00ff"}}`), 502},
		"inline":   {says(`{"startCall":{"voice":"Ada"}}`), 502}, // the account names no agent for it
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/else", http.StatusFound) }, 502},
		"silent":   {later(20*time.Second, says(agent)), 504},
	}
	answers := map[string]http.HandlerFunc{}
	for user, c := range want {
		answers[user] = c.handle
	}
	o, ep := own(t, b, answers)
	order := []string{"agent", "399", "busy", "two", "slow", "empty", "no", "foreign", "inline", "agent", "redirect", "silent"} // never 5 failures in a row
	both(t, func(t *testing.T, transport string) {
		for _, user := range order {
			carrier, invite := b.Dial(t, transport), b.to(t, ep.Slug, user)
			carrier.Send(invite)
			carrier.Status(100, "INVITE")
			final := carrier.Expect("final response", func(r rig.Response) bool { return r.Status() >= 200 })
			if final.Status() != want[user].status {
				t.Errorf("%s over %s: got %q, want %d", user, transport, final.Line(), want[user].status)
			}
			if final.Status() == 200 {
				carrier.Send(invite.Within(final, "ACK", 1))
				(&talk{carrier, invite, final}).bye(t)
				continue
			}
			if transport == "udp" { // the call repeats it until its ACK comes
				carrier.Status(final.Status(), "INVITE")
			}
			carrier.Send(invite.AckOf(final))
			carrier.Silent(700*time.Millisecond, "a response after the ACK", func(r rig.Response) bool { return r.Status() >= 300 })
		}
	})
	o.check(t)
	b.Idle(t, settle)
	b.records(t, 2*len(order))
}

// TestASecondCallIsDecidedWhileAWebhookIsAsked holds the webhook of one call
// and places others to the same slug: one that its webhook answers at once, and
// one that is cancelled, whose late accept changes nothing.
func TestASecondCallIsDecidedWhileAWebhookIsAsked(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	agent := `{"startAgentCall":{"agentId":"` + b.echo.Agent + `"}}`
	release := make(chan struct{})
	var held atomic.Int64
	hold := func(w http.ResponseWriter, r *http.Request) {
		held.Add(1)
		select {
		case <-release:
			_, _ = io.WriteString(w, agent)
		case <-r.Context().Done():
		}
	}
	_, ep := own(t, b, map[string]http.HandlerFunc{"held": hold, "gone": hold, "quick": says(`{"reject":{"sipRejectCode":486}}`)})
	b.op.Do(t, "account", "update", control.AccountChange{Patch: json.RawMessage(`{"sip":{"fallback":{"timeout_ms":15000}}}`)}, nil)

	first, invite := b.Dial(t, "udp"), b.to(t, ep.Slug, "held")
	first.Send(invite)
	first.Status(100, "INVITE")
	gone, cancelled := b.Dial(t, "udp"), b.to(t, ep.Slug, "gone")
	gone.Send(cancelled)
	gone.Status(100, "INVITE")
	rig.WaitFor(t, settle, "both wait for the webhook", func() bool { return held.Load() == 2 })

	start := time.Now()
	second, quick := b.Dial(t, "udp"), b.to(t, ep.Slug, "quick")
	final := second.Final(quick)
	second.Send(quick.AckOf(final))
	if took := time.Since(start); final.Status() != 486 || took > 10*time.Second { // others wait for 15 s
		t.Errorf("the second call got %q after %v", final.Line(), took)
	}

	gone.Send(cancelled.Cancel())
	gone.Status(200, "CANCEL")
	final = gone.Status(487, "INVITE")
	gone.Send(cancelled.AckOf(final))

	close(release)
	answer := first.Expect("the answer", func(r rig.Response) bool { return r.Status() >= 200 })
	if answer.Status() != 200 {
		t.Fatalf("the first call got %q", answer.Line())
	}
	first.Send(invite.Within(answer, "ACK", 1))
	gone.Silent(time.Second, "an answer after CANCEL", func(r rig.Response) bool { return r.Status()/100 == 2 && r.Header("CSeq") == "1 INVITE" })
	(&talk{first, invite, answer}).bye(t)
	if n := b.echo.Offers(); n != 1 {
		t.Errorf("the agent had %d offers, want 1", n)
	}
	b.Idle(t, settle)
}

// TestTheWebhookStandsBehindTheAgentOfARule has a rule whose agent has no
// worker, and one whose agent is full: the webhook gives the calls to another.
func TestTheWebhookStandsBehindTheAgentOfARule(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	o, ep := own(t, b, map[string]http.HandlerFunc{
		"sales": says(`{"startAgentCall":{"agentId":"` + b.echo.Agent + `"}}`), "support": says(`{"reject":{"sipRejectCode":486}}`)})
	full, none := b.op.Agent(t, "nats", nil), b.op.Agent(t, "nats", rig.Fields{"join_timeout_ms": 1000})
	refuse(t, b.op, full.ID)
	b.op.Do(t, "account", "update", control.AccountChange{Patch: json.RawMessage(`{"sip":{"rules":[{"agent_id":"` + full.ID +
		`","to_user_pattern":"^sales$"},{"agent_id":"` + none.ID + `","to_user_pattern":"^support$"}]}}`)}, nil)
	for user, want := range map[string]int{"sales": 200, "support": 486} {
		carrier, invite := b.Dial(t, "udp"), b.to(t, ep.Slug, user)
		final := carrier.Final(invite)
		if final.Status() != want {
			t.Errorf("%s: got %q, want %d", user, final.Line(), want)
		}
		if final.Status() != 200 {
			carrier.Send(invite.AckOf(final))
			continue
		}
		carrier.Send(invite.Within(final, "ACK", 1))
		(&talk{carrier, invite, final}).bye(t)
	}
	o.check(t)
	b.records(t, 2)
}

// TestNumbersDomainsAndExplain dials an endpoint by number, a user at the
// account's domain and the account's rules, and asks explain first: it says
// what then happens.
func TestNumbersDomainsAndExplain(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Settings{"sip.base_domain": "sip.example"})
	ep := b.endpoint(t, nil)
	var acct control.AccountView
	b.op.Do(t, "account", "update", control.AccountChange{Patch: json.RawMessage(`{"sip":{"domain_label":"acme","custom_domains":["pbx.acme.example"],"ingress":{"mode":"any"},` +
		`"rules":[{"agent_id":"` + b.echo.Agent + `","to_user_pattern":"^sales$"}]}}`)}, &acct)
	var user control.EndpointView
	b.op.Do(t, "endpoint", "create", control.NewEndpoint{User: "closed", AgentID: b.echo.Agent, Spec: json.RawMessage(`{"is_active":false}`)}, &user)
	if user.SIPURI != "sip:closed@acme.sip.example" {
		t.Errorf("the user's URI is %s", user.SIPURI)
	}
	b.op.Do(t, "number", "create", control.NewNumber{Number: "+15551234567", Trunk: "127.0.0.0/8", EndpointID: ep.ID}, nil)
	if err := b.op.Try("number", "create", control.NewNumber{Number: "15551234567", Trunk: "127.0.0.0/8", EndpointID: ep.ID}, nil); err == nil {
		t.Error("a second claim was taken")
	}
	for uri, want := range map[string]struct {
		rule   endpoint.Rule
		status int
	}{
		b.URI("+15551234567"):                  {endpoint.RuleHandler, 200},
		b.URI("15551234567"):                   {endpoint.RuleHandler, 200},
		b.URI("+15559999999"):                  {endpoint.RuleExists, 404},
		"sip:sales@acme.sip.example":           {endpoint.RuleRoute, 200},
		"sip:closed@acme.sip.example":          {endpoint.RuleActive, 404}, // uniform
		"sip:sales@pbx.acme.example":           {endpoint.RuleRoute, 200},
		"sip:closed@pbx.acme.example":          {endpoint.RuleActive, 404},
		"sip:+15551234567@pbx.acme.example":    {endpoint.RuleFallback, 404}, // the account's own affair
		"sip:+15551234567@pbx.other.example":   {endpoint.RuleHandler, 200},
		"sip:sales@pbx.other.example":          {endpoint.RuleExists, 404},
		"sip:" + ep.Slug + "@pbx.acme.example": {endpoint.RuleHandler, 200},
		"sip:nobody@acme.sip.example":          {endpoint.RuleFallback, 404},
		"sip:sales@nobody.sip.example":         {endpoint.RuleExists, 404},
		b.URI(ep.Slug[:len(ep.Slug)-1]):        {endpoint.RuleExists, 404},
	} {
		invite := b.invite("x")
		invite.URI, invite.To = uri, "<"+uri+">"
		var x control.ExplanationView
		b.op.Do(t, "call", "explain", control.ExplainRequest{URI: uri, Source: "127.0.0.1", Headers: map[string]string{"Call-ID": invite.CallID}}, &x)
		carrier := b.Dial(t, "udp")
		final := carrier.Final(invite)
		if x.Rule != want.rule || final.Status() != want.status {
			t.Errorf("%s: explained as %+v, got %q, want %s and %d", uri, x, final.Line(), want.rule, want.status)
		}
		if final.Status() == 200 {
			carrier.Send(invite.Within(final, "ACK", 1))
			(&talk{carrier, invite, final}).bye(t)
			continue
		}
		carrier.Send(invite.AckOf(final))
		if x.ShownStatus != final.Status() || x.DecisionID != endpoint.DecisionID(invite.CallID) {
			t.Errorf("%s: explain shows %d", uri, x.ShownStatus)
		}
	}
}

// TestARejectionIsFoundByItsDecisionID looks for the event and the log line of
// a rejected call, knowing only the Call-ID, and asks the command line why.
func TestARejectionIsFoundByItsDecisionID(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	ep := b.endpoint(t, rig.Fields{"is_active": false})
	events, err := b.op.Conn.SubscribeSync("pb.v1.evt.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.op.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	carrier, invite := b.Dial(t, "udp"), b.invite(ep.Slug)
	carrier.Send(invite.AckOf(carrier.Final(invite)))
	id := endpoint.DecisionID(invite.CallID)
	var found actors.CallEvent
	for end := time.Now().Add(settle); found.Type == "" && time.Now().Before(end); {
		m, err := events.NextMsg(time.Until(end))
		if err != nil {
			break
		}
		var ev actors.CallEvent
		if json.Unmarshal(m.Data, &ev) == nil && ev.Data["decision_id"] == id {
			found = ev
		}
	}
	if found.Type != "call.rejected" || found.Data["reason"] != "endpoint_inactive" || found.Data["rule"] != "active" || found.Data["shown"] != 404.0 ||
		found.Tenant != rig.Tenant || found.Endpoint != ep.Key {
		t.Errorf("the event is %+v", found)
	}
	rig.WaitFor(t, settle, "the log line", func() bool {
		for line := range strings.SplitSeq(b.Log(), "\n") {
			if strings.Contains(line, `"decision_id":"`+id+`"`) && strings.Contains(line, `"reason":"endpoint_inactive"`) {
				return true
			}
		}
		return false
	})
	out, code := rig.Patchbay(t, "explain", b.URI(ep.Slug), "--from", "127.0.0.1", "--nats", "nats://"+b.NATS, "--header", "Call-ID: "+invite.CallID)
	for _, want := range []string{"reject", "active", "603", "endpoint_inactive", "404", id} {
		if code != 0 || !strings.Contains(out, want) {
			t.Fatalf("patchbay explain does not say %q, exit code %d:\n%s", want, code, out)
		}
	}
}
