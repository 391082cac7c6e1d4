package actors_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

func ptr[T any](v T) *T { return &v }

// A shelf is a store of one account and as many endpoints as a test needs.
type shelf struct {
	mu        sync.Mutex
	endpoints map[endpoint.Key]endpoint.Endpoint
	account   endpoint.Account
	agent     *endpoint.Agent
	agents    map[string]endpoint.Agent // beside agent, by id
	domains   map[endpoint.Key]string
	hosts     map[endpoint.Key]string
	numbers   map[endpoint.Key]endpoint.Claims
	reads     int
	read      func(ctx context.Context, key endpoint.Key) error // before each read of an endpoint
}

func newShelf() *shelf {
	return &shelf{endpoints: map[endpoint.Key]endpoint.Endpoint{}, account: endpoint.Account{Tenant: "acme"},
		agent: &endpoint.Agent{ID: "bot", IsActive: true}}
}

// put stores an open endpoint after change, and returns its address.
func (s *shelf) put(name string, change func(*endpoint.Endpoint)) endpoint.Address {
	ep := endpoint.Endpoint{Tenant: "acme", IsActive: true, IP: endpoint.IPPolicy{Mode: endpoint.IPAny},
		Handler: endpoint.Handler{Active: endpoint.HandlerAgent, AgentID: ptr("bot")}}
	if change != nil {
		change(&ep)
	}
	address := endpoint.SlugAddress(endpoint.Slug(name))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints[address.Key()] = ep
	return address
}

func (s *shelf) Endpoint(ctx context.Context, key endpoint.Key, _ uint8) (endpoint.Endpoint, error) {
	if s.read != nil {
		if err := s.read(ctx, key); err != nil {
			return endpoint.Endpoint{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	ep, ok := s.endpoints[key]
	if !ok {
		return endpoint.Endpoint{}, fmt.Errorf("get %s: %w", key, endpoint.ErrNotFound)
	}
	return ep, nil
}

func (s *shelf) Account(context.Context, string) (endpoint.Account, error) { return s.account, nil }

func (s *shelf) Agent(_ context.Context, _, id string) (endpoint.Agent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.agents[id]; ok {
		return a, nil
	}
	if s.agent == nil || s.agents != nil {
		return endpoint.Agent{}, fmt.Errorf("get %s: %w", id, endpoint.ErrNotFound)
	}
	return *s.agent, nil
}

func (s *shelf) Domain(_ context.Context, key endpoint.Key, _ uint8) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tenant, ok := s.domains[key]; ok {
		return tenant, nil
	}
	return "", fmt.Errorf("get %s: %w", key, endpoint.ErrNotFound)
}

func (s *shelf) Host(_ context.Context, key endpoint.Key, _ uint8) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if label, ok := s.hosts[key]; ok {
		return label, nil
	}
	return "", fmt.Errorf("get %s: %w", key, endpoint.ErrNotFound)
}

func (s *shelf) Number(_ context.Context, key endpoint.Key, _ uint8) (endpoint.Claims, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if claims, ok := s.numbers[key]; ok {
		return claims, nil
	}
	return endpoint.Claims{}, fmt.Errorf("get %s: %w", key, endpoint.ErrNotFound)
}

// warm is a shelf that answers from memory.
type warm struct{ *shelf }

func known[T any](v T, err error) (*T, bool) {
	if err != nil {
		return nil, true
	}
	return &v, true
}

func (w warm) CachedEndpoint(key endpoint.Key, _ uint8) (*endpoint.Endpoint, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ep, ok := w.endpoints[key]
	if !ok {
		return nil, true
	}
	return &ep, true
}

func (w warm) CachedAccount(string) (*endpoint.Account, bool) { return &w.account, true }

func (w warm) CachedAgent(tenant, id string) (*endpoint.Agent, bool) {
	return known(w.Agent(context.Background(), tenant, id))
}

func (w warm) CachedDomain(key endpoint.Key, k uint8) (string, bool) {
	tenant, _ := w.Domain(context.Background(), key, k)
	return tenant, true
}

func (w warm) CachedHost(key endpoint.Key, k uint8) (string, bool) {
	label, _ := w.Host(context.Background(), key, k)
	return label, true
}

func (w warm) CachedNumber(key endpoint.Key, k uint8) (*endpoint.Claims, bool) {
	return known(w.Number(context.Background(), key, k))
}

type intakeFunc func(ctx context.Context, job actors.Job, done func(actors.Taken, error))

func (f intakeFunc) Offer(ctx context.Context, job actors.Job, done func(actors.Taken, error)) {
	f(ctx, job, done)
}

// A desk is an intake that takes everything, and the load that it makes.
type desk struct {
	mu     sync.Mutex
	calls  map[call.TransactionKey]call.ID
	jobs   []actors.Job
	shown  map[endpoint.Key]map[call.ID]struct{}
	beats  uint64
	answer func(job actors.Job) (actors.Taken, error) // nil: take it
	delay  func() time.Duration
}

func newDesk() *desk {
	return &desk{calls: map[call.TransactionKey]call.ID{}, shown: map[endpoint.Key]map[call.ID]struct{}{}}
}

func (d *desk) Offer(_ context.Context, job actors.Job, done func(actors.Taken, error)) {
	if d.delay == nil {
		done(d.take(job))
		return
	}
	wait := d.delay()
	go func() {
		time.Sleep(wait)
		done(d.take(job))
	}()
}

func (d *desk) take(job actors.Job) (actors.Taken, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.jobs = append(d.jobs, job)
	if d.answer != nil {
		return d.answer(job)
	}
	if id, ok := d.calls[job.Key]; ok {
		return actors.Taken{ID: id, Node: "m1"}, nil
	}
	id := call.ID(len(d.calls) + 1)
	d.calls[job.Key] = id
	return actors.Taken{ID: id, New: true, Node: "m1"}, nil
}

// report shows calls in the node's next report; nil shows none.
func (d *desk) report(keys ...endpoint.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.beats++
	clear(d.shown)
	for _, key := range keys {
		d.shown[key] = map[call.ID]struct{}{}
		for _, id := range d.calls {
			d.shown[key][id] = struct{}{}
		}
	}
}

func (d *desk) Active(key endpoint.Key) map[call.ID]struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shown[key]
}

func (d *desk) taken() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.calls)
}

// counting is the load of a desk that counts its reports.
type counting struct{ *desk }

func (c counting) Beats(string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.beats
}

type fallbackFunc func(ctx context.Context, req actors.FallbackRequest) (endpoint.Answer, error)

func (f fallbackFunc) Ask(ctx context.Context, req actors.FallbackRequest) (endpoint.Answer, error) {
	return f(ctx, req)
}

// A decider is endpoint actors under test, and what they said.
type decider struct {
	*actors.Endpoints
	fallback  fallbackFunc
	mu        sync.Mutex
	consulted []actors.Consultation
	decisions []actors.Decision
	takeovers []actors.TakeoverDecision
	refers    []actors.ReferDecision
	panics    int
}

func newDecider(t testing.TB, limits actors.EndpointLimits, store actors.Store, intake actors.Intake, load actors.Load) *decider {
	d := &decider{}
	if limits.Mailbox == 0 {
		limits.Mailbox = 4096
	}
	if limits.Remembered == 0 {
		limits.Remembered = 4096
	}
	limits.StoreTimeout = 100 * time.Millisecond
	ports := actors.EndpointPorts{Store: store, Intake: intake, Load: load, Fallback: fallbackFunc(func(ctx context.Context, req actors.FallbackRequest) (endpoint.Answer, error) {
		if d.fallback == nil {
			return endpoint.Answer{}, &actors.WebhookError{Reason: endpoint.ReasonWebhookFailed, Why: "none in this test"}
		}
		return d.fallback(ctx, req)
	})}
	d.Endpoints = actors.NewEndpoints(limits, ports, actors.EndpointObserver{
		HostObserver: actors.HostObserver{Panicked: func(int, any, []byte) { d.mu.Lock(); d.panics++; d.mu.Unlock() }},
		Consulted:    func(n actors.Consultation) { d.mu.Lock(); d.consulted = append(d.consulted, n); d.mu.Unlock() },
		Referred:     func(n actors.ReferDecision) { d.mu.Lock(); d.refers = append(d.refers, n); d.mu.Unlock() },
		Takeover:     func(n actors.TakeoverDecision) { d.mu.Lock(); d.takeovers = append(d.takeovers, n); d.mu.Unlock() },
		Decided:      func(n actors.Decision) { d.mu.Lock(); d.decisions = append(d.decisions, n); d.mu.Unlock() },
	})
	t.Cleanup(d.Stop)
	return d
}

// last is the latest decision. Observers hear of it after the reply, so it may
// still be on its way: in virtual time the pause ends when all else rests.
func (d *decider) last() actors.Decision {
	time.Sleep(time.Millisecond)
	for {
		d.mu.Lock()
		n := len(d.decisions)
		if n > 0 {
			defer d.mu.Unlock()
			return d.decisions[n-1]
		}
		d.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

func invite(to endpoint.Address, callID string) endpoint.Invite {
	return endpoint.Invite{Address: to, CallID: callID, FromTag: "f", CSeq: 1, Branch: "z9hG4bK-" + callID,
		Source: netip.MustParseAddrPort("203.0.113.9:5060"), Transport: "udp"}
}

// dial sends one INVITE, in a bubble, and waits for its outcome and for all
// that is told of it.
func (d *decider) dial(to endpoint.Address, callID string) actors.Outcome {
	defer synctest.Wait()
	return d.send(invite(to, callID))
}

func (d *decider) send(inv endpoint.Invite) actors.Outcome {
	out := make(chan actors.Outcome, 1)
	d.Invite(inv, call.Packet{}, func(o actors.Outcome) { out <- o })
	return <-out
}

// goroutines counts those that run something of this package: all others are
// the runtime's and of tests that are just ending.
func goroutines() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n := 0
	for one := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(one, []byte("patchbay/actors.")) {
			n++
		}
	}
	return n
}

// grown returns how many more goroutines there are than before, in a bubble.
// One that is just ending is given the time to.
func grown(before int) int {
	for range 1000 {
		synctest.Wait()
		if goroutines() <= before { // fewer: one of the test before was just ending
			return 0
		}
		runtime.Gosched()
	}
	return goroutines() - before
}
