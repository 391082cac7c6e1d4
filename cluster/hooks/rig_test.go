package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/hooks"
	"patchbay/cluster/hooks/plan"
	"patchbay/cluster/stream"
	"patchbay/cluster/subject"
	"patchbay/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// terms are those of a broker alone.
var terms = stream.Terms{Wait: patience}

// patience is the longest wait of a test for something that should happen.
const patience = 2 * time.Minute

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// A site is a NATS server that can be stopped and started again, on the same
// disk, under connections that stay.
type site struct {
	t   testing.TB
	dir string
	mu  sync.Mutex
	srv *server.Server // nil: down
}

func newSite(t testing.TB) *site {
	s := &site{t: t, dir: t.TempDir()}
	s.start()
	t.Cleanup(s.stop)
	js := s.connect()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: subject.StreamEvents, Subjects: []string{subject.EventAll}, Storage: jetstream.FileStorage})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) start() {
	s.t.Helper()
	srv, err := server.NewServer(&server.Options{ServerName: "site", DontListen: true, JetStream: true, StoreDir: s.dir, NoLog: true, NoSigs: true})
	if err != nil {
		s.t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(patience) {
		s.t.Fatal("NATS is not ready")
	}
	s.mu.Lock()
	s.srv = srv
	s.mu.Unlock()
}

func (s *site) stop() {
	s.mu.Lock()
	srv := s.srv
	s.srv = nil
	s.mu.Unlock()
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// InProcessConn implements nats.InProcessConnProvider.
func (s *site) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	srv := s.srv
	s.mu.Unlock()
	if srv == nil {
		return nil, errors.New("NATS is down")
	}
	return srv.InProcessConn()
}

func (s *site) connect() jetstream.JetStream {
	s.t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectBufSize(-1),
		nats.Timeout(patience))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}

// A directory is one tenant's webhooks, and its agent.
type directory struct {
	mu    sync.Mutex
	hooks []endpoint.Webhook
	agent *endpoint.Agent
	away  int // questions for a tenant's webhooks that are not answered
	once  [subject.EventShards]bool
}

func (d *directory) WebhooksOf(_ context.Context, tenant string) ([]endpoint.Webhook, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away > 0 {
		d.away--
		return nil, errors.New("the store does not answer")
	}
	var all []endpoint.Webhook
	for _, w := range d.hooks {
		if w.Tenant == tenant {
			all = append(all, w)
		}
	}
	return all, nil
}

func (d *directory) Webhook(_ context.Context, tenant, id string) (endpoint.Webhook, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.hooks {
		if w.ID == id && w.Tenant == tenant {
			return w, nil
		}
	}
	return endpoint.Webhook{}, endpoint.ErrNotFound
}

func (d *directory) Agent(_ context.Context, _, id string) (endpoint.Agent, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.agent == nil || d.agent.ID != id {
		return endpoint.Agent{}, endpoint.ErrNotFound
	}
	return *d.agent, nil
}

func (d *directory) Account(_ context.Context, tenant string) (endpoint.Account, error) {
	return endpoint.Account{ID: "account-of-" + tenant, Tenant: tenant}, nil
}

func (d *directory) HookedShards(context.Context) ([subject.EventShards]bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.once, nil // as the store's do, they stay when the last webhook has gone: something may wait
}

func (d *directory) add(tenant, id string, kind endpoint.WebhookKind, events ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(events) == 0 {
		events = []string{endpoint.AllEvents}
	}
	d.once[subject.EventShard(tenant)] = true
	d.hooks = append(d.hooks, endpoint.Webhook{V: 1, ID: id, Tenant: tenant, URL: "https://" + id + ".example/", Kind: kind, Events: events,
		Secrets: []endpoint.WebhookSecret{{ID: "s", Secret: "sealed"}}})
}

// refuse leaves the next n questions for a tenant's webhooks without an answer.
func (d *directory) refuse(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = n
}

func (d *directory) remove(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hooks = slices.DeleteFunc(d.hooks, func(w endpoint.Webhook) bool { return w.ID == id })
}

// Receivers are where occasions go, by the host of their URL. Each answers as
// its function says, and what it has taken is kept.
type receivers struct {
	t      testing.TB
	mu     sync.Mutex
	answer map[string]func(ctx context.Context, o webhook.Occasion, try int) webhook.Receipt
	tries  map[string]int // by receiver and delivery
	taken  map[string][]string
	busy   map[string]bool // receiver and delivery under way
	most   map[string]int  // at once
	now    map[string]int
}

func newReceivers(t testing.TB) *receivers {
	return &receivers{t: t, answer: map[string]func(context.Context, webhook.Occasion, int) webhook.Receipt{}, tries: map[string]int{}, taken: map[string][]string{},
		busy: map[string]bool{}, most: map[string]int{}, now: map[string]int{}}
}

// nameOf is the receiver of https://<name>.example/.
func nameOf(o webhook.Occasion) string { return o.URL[len("https://") : len(o.URL)-len(".example/")] }

// told is an event as a body names it.
func told(o webhook.Occasion) string {
	var line struct {
		ID, Type, Event string
		Seq             int
		Call            call.ID `json:"call_id"`
	}
	_ = json.Unmarshal(o.Body, &line)
	switch {
	case line.Type != "":
		return line.ID
	}
	return line.Event
}

func (r *receivers) tell(ctx context.Context, o webhook.Occasion) webhook.Receipt {
	name := nameOf(o)
	key := name + " " + o.ID
	r.mu.Lock()
	if r.busy[key] {
		r.t.Errorf("two deliver %s to %s at once", told(o), name)
	}
	r.busy[key] = true
	r.tries[key]++
	r.now[name]++
	r.most[name] = max(r.most[name], r.now[name])
	answer, try := r.answer[name], r.tries[key]
	r.mu.Unlock()
	receipt := webhook.Receipt{Status: 200}
	if answer != nil {
		receipt = answer(ctx, o, try)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now[name]--
	delete(r.busy, key)
	if receipt.Failure == "" {
		r.taken[name] = append(r.taken[name], told(o))
	}
	return receipt
}

func (r *receivers) set(name string, answer func(ctx context.Context, o webhook.Occasion, try int) webhook.Receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer[name] = answer
}

// got is what a receiver has taken, in order.
func (r *receivers) got(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken[name])
}

// triesOf is how often a receiver was told of anything.
func (r *receivers) triesOf(name string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, tries := range r.tries {
		if strings.HasPrefix(key, name+" ") {
			n += tries
		}
	}
	return n
}

// atOnce is how many deliveries were under way to a receiver at most.
func (r *receivers) atOnce(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most[name]
}

// fails is a receiver that says 500 to the first tries of each event.
func fails(n int) func(context.Context, webhook.Occasion, int) webhook.Receipt {
	return func(_ context.Context, _ webhook.Occasion, try int) webhook.Receipt {
		if try <= n {
			return webhook.Receipt{Status: 500, Failure: "HTTP status 500"}
		}
		return webhook.Receipt{Status: 200}
	}
}

// hangs is one that does not answer the first tries of each.
func hangs(n int) func(context.Context, webhook.Occasion, int) webhook.Receipt {
	return func(ctx context.Context, _ webhook.Occasion, try int) webhook.Receipt {
		if try <= n {
			<-ctx.Done()
			return webhook.Receipt{Failure: "no reply in time"}
		}
		return webhook.Receipt{Status: 200}
	}
}

// quick are the documented terms with seconds for hours.
func quick() plan.Terms {
	return plan.Terms{First: 5 * time.Millisecond, Retries: 10, AtOnce: 64, PerTarget: 4, BreakAfter: 5, BreakFor: 20 * time.Millisecond, Waiting: 1000, PerTenant: 5000}
}

// ended reports that as many deliveries to a tenant's webhook have ended one way,
// as the owner is told: a node that loses its lease in between does not count them.
func ended(t testing.TB, js jetstream.JetStream, tenant, id, end string, n int) func() bool {
	return func() bool {
		got, err := (&hooks.Desk{JetStream: js}).Deliveries(t.Context(), tenant, id, end, 200)
		return err == nil && len(got) == n
	}
}

// ends counts how deliveries ended.
type ends struct {
	mu   sync.Mutex
	all  map[string]int
	wait func(end string) // nil: none is held up
}

// add counts one, and holds it up where the test says so.
func (e *ends) add(end string) {
	e.mu.Lock()
	e.all[end]++
	wait := e.wait
	e.mu.Unlock()
	if wait != nil {
		wait(end)
	}
}

// hold has the ends from now on held up by wait.
func (e *ends) hold(wait func(end string)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wait = wait
}

func (e *ends) of(end string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[end]
}

// node runs a deliverer. stop ends it as SIGTERM does; it may be called twice.
func node(t testing.TB, js jetstream.JetStream, name string, d *directory, r *receivers, change ...func(*hooks.Config)) (_ *hooks.Deliverer, e *ends, stop func()) {
	t.Helper()
	e = &ends{all: map[string]int{}}
	cfg := hooks.Config{Node: name, Plan: quick(), Timeout: 100 * time.Millisecond, LeaseTTL: time.Minute, GapWait: 500 * time.Millisecond,
		Directory: d, Tell: r.tell, Unseal: func(s endpoint.SecretRef) (string, error) { return string(s), nil }}
	for _, c := range change {
		c(&cfg)
	}
	h, err := hooks.Open(t.Context(), js, cfg, testLog(t), hooks.Observer{
		Ended: e.add,
		Panic: func(v any) { t.Errorf("panic: %v", v) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := h.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return h, e, stop
}

// life is the events of a call that is answered, as the stream gets them.
var life = []string{call.EventStarted, call.EventRinging, call.EventAnswered, call.EventEnded}

func event(tenant string, id call.ID, seq int) actors.CallEvent {
	at := time.Now()
	f := &actors.CallFacts{Direction: actors.Inbound, Agent: "bot", Created: at, From: call.Party{User: "+15550100"}}
	if seq >= 3 {
		f.Answered, f.Status = at, 200
	}
	if seq == 4 {
		f.Ended, f.Cause = at, &call.CauseNormal
	}
	return actors.CallEvent{V: 1, ID: fmt.Sprintf("%s.%d", id, seq), Call: id, Seq: uint64(seq), Type: life[seq-1], At: at, Tenant: tenant, Facts: f}
}

func encode(t testing.TB, ev actors.CallEvent) []byte {
	t.Helper()
	data, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func publish(t testing.TB, js jetstream.JetStream, ev actors.CallEvent) {
	t.Helper()
	data := encode(t, ev)
	to := subject.Event(subject.EventShard(ev.Tenant), ev.Tenant, ev.Type)
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) { // as the ledger's spool does
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Second)
		_, err := js.PublishMsg(ctx, &nats.Msg{Subject: to, Data: data}, jetstream.WithMsgID(ev.ID))
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("publish %s: %v", ev.ID, err)
		}
	}
}

// publishAll publishes the lives of calls, interleaved.
func publishAll(t testing.TB, js jetstream.JetStream, tenant string, from, to int) {
	t.Helper()
	for seq := 1; seq <= len(life); seq++ {
		for id := from; id < to; id++ {
			publish(t, js, event(tenant, call.ID(id), seq))
		}
	}
}

// inOrder fails unless every event of the calls was taken, those of each call in
// order; repetitions do not count.
func inOrder(t testing.TB, name string, got []string, from, to int) {
	t.Helper()
	var seen []string
	for _, id := range got {
		if !slices.Contains(seen, id) {
			seen = append(seen, id)
		}
	}
	for id := from; id < to; id++ {
		last := -1
		for seq := 1; seq <= len(life); seq++ {
			at := slices.Index(seen, fmt.Sprintf("%s.%d", call.ID(id), seq))
			switch {
			case at < 0:
				t.Errorf("%s has not heard of %s.%d", name, call.ID(id), seq)
			case at < last:
				t.Errorf("%s has heard of %s.%d too early", name, call.ID(id), seq)
			}
			last = at
		}
	}
}

func heardAll(r *receivers, name string, from, to int) func() bool {
	return func() bool {
		got := r.got(name)
		for id := from; id < to; id++ {
			for seq := 1; seq <= len(life); seq++ {
				if !slices.Contains(got, fmt.Sprintf("%s.%d", call.ID(id), seq)) {
					return false
				}
			}
		}
		return true
	}
}

// testLog shows what a node says in the output of a test that fails.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
