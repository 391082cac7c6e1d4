package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

const otherBot = "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0002"

// consulting is an account whose webhook decides, and an endpoint that leaves
// its calls to it.
func consulting(store *shelf) endpoint.Address {
	store.account.SIP.Fallback = &endpoint.FallbackHandler{URL: "https://route.example/sip"}
	store.agents = map[string]endpoint.Agent{otherBot: {ID: otherBot, IsActive: true, Name: "other"}, "off": {ID: "off"}}
	return store.put("desk", func(e *endpoint.Endpoint) { e.Handler = endpoint.Handler{Active: endpoint.HandlerRules} })
}

func question(to endpoint.Address, id call.ID) actors.Question {
	return actors.Question{V: 1, Call: id, Tenant: "acme", Endpoint: to.Key(), Partition: to.Partition(), DecisionID: "d1",
		From:    call.Party{URI: "sip:+15550100@pbx.example.net", User: "+15550100", Display: "Bob"},
		To:      call.Party{URI: "sip:sales@acme.sip.example.com", User: "sales"},
		Headers: []call.Header{{Name: "X-Customer-Name", Value: "Bob"}}}
}

// ask puts one question and waits for its ruling.
func (d *decider) ask(q actors.Question) actors.Ruling {
	out := make(chan actors.Ruling, 1)
	d.Consult(q, func(r actors.Ruling) { out <- r })
	return <-out
}

func TestAConsultedCallIsOfferedFirstAndAskedAboutLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		to := consulting(store)
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		if got := d.dial(to, "c1"); !got.Taken {
			t.Fatalf("got %+v", got)
		}
		job := desk.jobs[0]
		if job.Agent != nil || job.Consult == nil || job.Consult.Partition != to.Partition() || job.Consult.WithinMs != 8000 {
			t.Errorf("the job is %+v", job)
		}
		if v := d.last().Verdict; v.Action != endpoint.Consult || v.Rule != endpoint.RuleFallback {
			t.Errorf("the verdict was %+v", v)
		}
	})
}

// TestTheAccountsWebhookStandsBehindItsRules, and behind nothing else: an agent
// that an endpoint is bound to is not the account's policy.
func TestTheAccountsWebhookStandsBehindItsRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		to := consulting(store)
		store.account.SIP.Rules = []endpoint.RouteRule{{AgentID: otherBot, ToUserPattern: "^"}}
		store.account.Compile()
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		if got := d.dial(to, "c1"); !got.Taken || d.last().Verdict.Rule != endpoint.RuleRoute {
			t.Fatalf("got %+v, %+v", got, d.last())
		}
		if job := desk.jobs[0]; job.Agent == nil || job.Agent.ID != otherBot || job.Consult == nil || job.Consult.WithinMs != 8000 {
			t.Errorf("by rule: %+v", job)
		}
		store.agents["bot"] = endpoint.Agent{ID: "bot", IsActive: true}
		bound := store.put("bound", nil)
		if got := d.dial(bound, "c2"); !got.Taken || desk.jobs[1].Consult != nil || desk.jobs[1].Agent == nil {
			t.Errorf("bound: %+v, %+v", got, desk.jobs[1])
		}
	})
}

// TestRulings has what each answer of a webhook becomes.
func TestRulings(t *testing.T) {
	told := func(why endpoint.Reason) error { return &actors.WebhookError{Reason: why, Why: "as asked"} }
	agent := func(id string) endpoint.Answer {
		return endpoint.Answer{Agent: &endpoint.StartAgent{AgentID: id, Context: json.RawMessage(`{"tier":"gold"}`), Metadata: json.RawMessage(`{"src":"fb"}`)}}
	}
	for name, c := range map[string]struct {
		answer  endpoint.Answer
		err     error
		account func(*endpoint.SipSettings)
		status  int
		reason  endpoint.Reason
		agent   string
	}{
		"an agent of the account": {answer: agent(otherBot), agent: otherBot},
		"a foreign agent":         {answer: agent("6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f00ff"), status: 502, reason: endpoint.ReasonWebhookAgent},
		"an agent that is off":    {answer: agent("off"), status: 603, reason: endpoint.ReasonAgentInactive},
		"reject":                  {answer: endpoint.Answer{Reject: &endpoint.Rejection{Status: 486}}, status: 486, reason: endpoint.ReasonWebhookRejected},
		"startCall without an agent for it": {answer: endpoint.Answer{StartCall: json.RawMessage(`{"voice":"Ada"}`)},
			status: 502, reason: endpoint.ReasonNoStartCallAgent},
		"startCall": {answer: endpoint.Answer{StartCall: json.RawMessage(`{"voice":"Ada"}`)},
			account: func(s *endpoint.SipSettings) { s.StartCallAgent = otherBot }, agent: otherBot},
		"timeout":   {err: told(endpoint.ReasonWebhookTimeout), status: 504, reason: endpoint.ReasonWebhookTimeout},
		"failed":    {err: told(endpoint.ReasonWebhookFailed), status: 502, reason: endpoint.ReasonWebhookFailed},
		"bad reply": {err: told(endpoint.ReasonWebhookReply), status: 502, reason: endpoint.ReasonWebhookReply},
		"suspended": {err: told(endpoint.ReasonWebhookSuspended), status: 502, reason: endpoint.ReasonWebhookSuspended},
		"stopping":  {err: context.Canceled, status: 503, reason: endpoint.ReasonUnavailable},
		"the webhook was taken away meanwhile": {account: func(s *endpoint.SipSettings) { s.Fallback = nil },
			status: 404, reason: endpoint.ReasonNoRoute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, desk := newShelf(), newDesk()
				to := consulting(store)
				if c.account != nil {
					c.account(&store.account.SIP)
				}
				d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
				var got actors.FallbackRequest
				d.fallback = func(_ context.Context, req actors.FallbackRequest) (endpoint.Answer, error) {
					got = req
					return c.answer, c.err
				}
				r := d.ask(question(to, 7))
				synctest.Wait()
				if r.Status != c.status || r.Reason != c.reason || (r.Agent != nil) != (c.agent != "") {
					t.Fatalf("got %+v", r)
				}
				if n := d.consulted; len(n) != 1 || n[0].ID != "d1" || n[0].Call != 7 || n[0].Tenant != "acme" || n[0].Status != c.status ||
					n[0].Agent != c.agent || !errors.Is(n[0].Err, c.err) {
					t.Errorf("told as %+v", n)
				}
				if c.agent == "" {
					return
				}
				if c.answer.StartCall != nil && string(r.Agent.WebRTC.Session) != `{"voice":"Ada"}` {
					t.Errorf("session data %s", r.Agent.WebRTC.Session)
				}
				if c.answer.Agent != nil && (string(r.Context) != `{"tier":"gold"}` || string(r.Metadata) != `{"src":"fb"}`) {
					t.Errorf("context %s, metadata %s", r.Context, r.Metadata)
				}
				const body = `{"callerId":"+15550100","fromDisplayName":"Bob","fromUri":"sip:+15550100@pbx.example.net","toUri":"sip:sales@acme.sip.example.com","sipHeaders":{"X-Customer-Name":"Bob"}}`
				if got.Call != 7 || got.Tenant != "acme" || got.Handler.URL != "https://route.example/sip" || string(got.Body) != body {
					t.Errorf("the webhook was asked %+v: %s", got, got.Body)
				}
			})
		})
	}
}

// TestAWebhookNeverBlocksTheMailbox keeps one call's webhook waiting and dials
// the same slug again: the second call is decided meanwhile, and so are others
// of the same partition.
func TestAWebhookNeverBlocksTheMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		to := consulting(store)
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		d.fallback = func(ctx context.Context, _ actors.FallbackRequest) (endpoint.Answer, error) {
			time.Sleep(4900 * time.Millisecond)
			return endpoint.Answer{Reject: &endpoint.Rejection{Status: 603}}, nil
		}
		start := time.Now()
		var first time.Duration
		d.Consult(question(to, 1), func(actors.Ruling) { first = time.Since(start) })
		synctest.Wait()
		if got := d.dial(to, "c2"); !got.Taken || time.Since(start) != 0 {
			t.Errorf("the second call: %+v after %v", got, time.Since(start))
		}
		if r := d.ask(question(to, 2)); r.Status != 603 || time.Since(start) != 4900*time.Millisecond {
			t.Errorf("its ruling: %+v after %v", r, time.Since(start))
		}
		synctest.Wait()
		if first != 4900*time.Millisecond {
			t.Errorf("the first ruling came after %v", first)
		}
	})
}

func TestCallsThatWaitForAWebhookAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		to := consulting(store)
		other := store.put("other", func(e *endpoint.Endpoint) { e.Handler = endpoint.Handler{Active: endpoint.HandlerRules} })
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		release := make(chan struct{})
		d.fallback = func(context.Context, actors.FallbackRequest) (endpoint.Answer, error) {
			<-release
			return endpoint.Answer{Reject: &endpoint.Rejection{Status: 603}}, nil
		}
		var done, busy atomic.Int64
		for i := range 70 {
			d.Consult(question(to, call.ID(i)), func(r actors.Ruling) {
				if r.Status == 486 && r.Reason == endpoint.ReasonWebhookBusy {
					busy.Add(1)
				}
				done.Add(1)
			})
		}
		synctest.Wait()
		if busy.Load() != 6 || done.Load() != 6 {
			t.Errorf("%d were refused of %d, want 6", busy.Load(), done.Load())
		}
		asked := make(chan actors.Ruling, 1)
		d.Consult(question(other, 100), func(r actors.Ruling) { asked <- r })
		synctest.Wait()
		if len(asked) != 0 {
			t.Errorf("another endpoint was refused: %+v", <-asked)
		}
		close(release)
		synctest.Wait()
		if r := <-asked; r.Status != 603 || done.Load() != 70 {
			t.Errorf("got %+v; %d rulings", r, done.Load())
		}
		if r := d.ask(question(to, 101)); r.Status != 603 {
			t.Errorf("the places were not given back: %+v", r)
		}
		time.Sleep(time.Minute)
		if eps, _ := d.Resident(); eps != 0 {
			t.Errorf("%d endpoints stay in memory", eps)
		}
	})
}

func TestCapsCountACallThatWaitsForItsWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		consulting(store)
		to := store.put("capped", func(e *endpoint.Endpoint) {
			e.Handler, e.MaxConcurrentCalls = endpoint.Handler{Active: endpoint.HandlerRules}, ptr(1)
		})
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		if got := d.dial(to, "c1"); !got.Taken {
			t.Fatalf("got %+v", got)
		}
		if got := d.dial(to, "c2"); got.Status != 486 {
			t.Errorf("a second call beside it: %+v", got)
		}
	})
}

func TestTheSameCallIsOneQuestionToItsOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		to := consulting(store)
		one := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		two := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		var keys []string
		for _, d := range []*decider{one, two} { // the second is asked where the first gives no sign
			d.fallback = func(_ context.Context, req actors.FallbackRequest) (endpoint.Answer, error) {
				keys = append(keys, req.Call.String())
				return endpoint.Answer{Reject: &endpoint.Rejection{Status: 603}}, nil
			}
			d.ask(question(to, 7))
		}
		if fmt.Sprint(keys) != fmt.Sprint([]string{call.ID(7).String(), call.ID(7).String()}) {
			t.Errorf("keys %v", keys)
		}
	})
}

func TestAPanicOfAWebhookCostsItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		to := consulting(store)
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		d.fallback = func(context.Context, actors.FallbackRequest) (endpoint.Answer, error) { panic("ouch") }
		if r := d.ask(question(to, 7)); r.Status != 500 || r.Reason != endpoint.ReasonInternal {
			t.Errorf("got %+v", r)
		}
		synctest.Wait()
		if d.panics != 1 {
			t.Errorf("%d panics were told", d.panics)
		}
	})
}

func TestStopWaitsForWebhooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		to := consulting(store)
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		d.fallback = func(ctx context.Context, _ actors.FallbackRequest) (endpoint.Answer, error) {
			<-ctx.Done()
			return endpoint.Answer{}, ctx.Err()
		}
		var got actors.Ruling
		d.Consult(question(to, 7), func(r actors.Ruling) { got = r })
		synctest.Wait()
		d.Stop()
		if got.Status != 503 {
			t.Errorf("got %+v", got)
		}
		if r := d.ask(question(to, 8)); r.Status != 503 {
			t.Errorf("after the end: %+v", r)
		}
	})
}
