package cluster_test

import (
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// counsel answers questions as a test says.
type counsel struct {
	consult func(q actors.Question, reply func(actors.Ruling))
	asked   atomic.Int64
}

func (c *counsel) Consult(q actors.Question, reply func(actors.Ruling)) {
	c.asked.Add(1)
	c.consult(q, reply)
}

func (c *counsel) Explain(tenant string, inv endpoint.Invite, reply func(actors.Explanation)) {
	reply(actors.Explanation{V: 1, Tenant: tenant, Key: inv.Address.Key(), Verdict: endpoint.Verdict{Action: endpoint.Accept, Agent: "bot", Rule: endpoint.RuleHandler}})
}

func openCounsel(t testing.TB, c *cluster.Conn, consult func(actors.Question, func(actors.Ruling))) *counsel {
	t.Helper()
	who := &counsel{consult: consult}
	openAll(t, c, cluster.NewRulingDoor(c, who, cluster.DoorObserver{Malformed: func(subject string, err error) { t.Errorf("%s: %v", subject, err) }}))
	return who
}

func newRulings(t testing.TB, c *cluster.Conn, limit int, obs cluster.RulingObserver) *cluster.Rulings {
	t.Helper()
	r, err := cluster.NewRulings(c, limit, obs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	r.WaitLonger(patience) // where nobody hangs, a busy machine may be late to show progress
	return r
}

var aQuestion = actors.Question{V: 1, Call: call.ID(7), Tenant: "acme", Endpoint: "k", Partition: 9, DecisionID: "d1", From: call.Party{User: "alice"}}

func askRuling(r *cluster.Rulings) <-chan actors.Ruling {
	out := make(chan actors.Ruling, 4)
	r.Ask(aQuestion, func(got actors.Ruling) { out <- got })
	return out
}

func TestAQuestionReachesADeciderAndItsRulingComesBack(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	openCounsel(t, c, func(q actors.Question, reply func(actors.Ruling)) {
		if q.Call != aQuestion.Call || q.Tenant != "acme" || q.From.User != "alice" {
			t.Errorf("asked %+v", q)
		}
		reply(actors.Ruling{V: 1, Agent: &endpoint.Agent{ID: "bot"}, Context: json.RawMessage(`{"tier":"gold"}`)})
	})
	got := await(t, askRuling(newRulings(t, c, 10, cluster.RulingObserver{})))
	if got.Agent == nil || got.Agent.ID != "bot" || string(got.Context) != `{"tier":"gold"}` {
		t.Errorf("got %+v", got)
	}
}

// TestAWebhookMayTakeLongerThanADecidersSilence keeps a decider at work for
// longer than one may be silent: nobody else is asked, for it shows progress.
func TestAWebhookMayTakeLongerThanADecidersSilence(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	who := openCounsel(t, c, func(_ actors.Question, reply func(actors.Ruling)) {
		time.AfterFunc(5*time.Second, func() { reply(actors.Ruling{V: 1, Status: 486, Reason: endpoint.ReasonWebhookRejected}) })
	})
	r := newRulings(t, c, 10, cluster.RulingObserver{Next: func(int) { t.Error("another decider was asked") }})
	r.WaitLonger(4 * time.Second)
	got := await(t, askRuling(r))
	if got.Status != 486 || who.asked.Load() != 1 {
		t.Errorf("got %+v after %d questions", got, who.asked.Load())
	}
}

// TestAnotherDeciderIsAskedWhereTheOwnerIsSilent lets the owner take the
// question and hang.
func TestAnotherDeciderIsAskedWhereTheOwnerIsSilent(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	hung, err := c.Control().Subscribe(subject.Ruling(9), func(*nats.Msg) {})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hung.Unsubscribe() }()
	var keys []string
	var mu sync.Mutex
	any, err := c.Control().Subscribe(subject.RulingAny, func(m *nats.Msg) {
		q, err := envelope.DecodeQuestion(m.Data)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		keys = append(keys, q.Call.String())
		mu.Unlock()
		b, _ := envelope.EncodeRuling(actors.Ruling{Status: 603, Reason: endpoint.ReasonWebhookRejected})
		_ = m.Respond(b)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = any.Unsubscribe() }()
	flush(t, c)
	r := newRulings(t, c, 10, cluster.RulingObserver{})
	r.WaitLonger(3 * time.Second)
	start := time.Now()
	got := await(t, askRuling(r))
	if took := time.Since(start); got.Status != 603 || took < 3*time.Second {
		t.Errorf("got %+v after %v", got, took)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(keys) != 1 || keys[0] != aQuestion.Call.String() {
		t.Errorf("the second decider was asked about %v", keys)
	}
}

func TestWithoutDecidersTheRulingIs503(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	none := make(chan struct{}, 1)
	r := newRulings(t, c, 10, cluster.RulingObserver{None: func() { none <- struct{}{} }})
	if got := await(t, askRuling(r)); got.Status != 503 || got.Reason != endpoint.ReasonUnavailable {
		t.Errorf("got %+v", got)
	}
	await(t, none)
}

func TestQuestionsAreBoundedAndCanBeGivenUp(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	replies := make(chan func(actors.Ruling), 4)
	openCounsel(t, c, func(_ actors.Question, reply func(actors.Ruling)) { replies <- reply })
	r := newRulings(t, c, 1, cluster.RulingObserver{})
	first := make(chan actors.Ruling, 1)
	stop := r.Ask(aQuestion, func(got actors.Ruling) { first <- got })
	reply := await(t, replies)
	if got := await(t, askRuling(r)); got.Status != 503 {
		t.Errorf("beyond the limit: %+v", got)
	}
	stop()
	stop()
	reply(actors.Ruling{V: 1, Status: 603})
	second := askRuling(r)
	await(t, replies)(actors.Ruling{V: 1, Status: 604})
	if got := await(t, second); got.Status != 604 || len(first) != 0 {
		t.Errorf("got %+v; %d rulings of what was given up", got, len(first))
	}
	r.Close()
	if got := await(t, askRuling(r)); got.Status != 503 {
		t.Errorf("after the end: %+v", got)
	}
}

func TestARulingThatFitsIntoNoMessageIsTheWebhooksFault(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	openCounsel(t, c, func(_ actors.Question, reply func(actors.Ruling)) {
		reply(actors.Ruling{V: 1, Agent: &endpoint.Agent{ID: "bot", Name: strings.Repeat("x", 300<<10)}})
	})
	if got := await(t, askRuling(newRulings(t, c, 10, cluster.RulingObserver{}))); got.Status != 502 || got.Reason != endpoint.ReasonWebhookReply {
		t.Errorf("got %+v", got)
	}
}

func TestADecisionIsExplainedAcrossNodes(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	x := cluster.NewExplainer(c)
	inv := endpoint.Invite{Address: endpoint.SlugAddress("demo-abcdefghjkmnpqrstuvwxyz2"), CallID: "c1"}
	if _, err := x.Explain(t.Context(), "acme", inv); err == nil {
		t.Error("explained without a decider")
	}
	openCounsel(t, c, nil)
	got, err := x.Explain(t.Context(), "acme", inv)
	if err != nil || got.Tenant != "acme" || got.Key != inv.Address.Key() || got.Verdict.Agent != "bot" {
		t.Errorf("got %+v, %v", got, err)
	}
}
