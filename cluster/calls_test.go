package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
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
	"patchbay/cluster/placement"
)

type natsMsg = nats.Msg

// fakeCalls are the calls of a media node, as a table.
type fakeCalls struct {
	mu     sync.Mutex
	status map[call.ID]actors.CallStatus
	raws   []string
	err    error
	jobs   []actors.Job
	taken  func(actors.Job) actors.Taken
	hung   []call.ID
	moved  []call.Transfer
}

func openCalls(t testing.TB, c *cluster.Conn, slot call.Slot) *fakeCalls {
	t.Helper()
	f := &fakeCalls{status: map[call.ID]actors.CallStatus{}}
	more := map[string]cluster.Operation{"echo": func(_ context.Context, cmd envelope.Command) envelope.Result {
		if cmd.Call == 0 {
			return envelope.Result{Code: "no_call", Message: "which one?"}
		}
		return envelope.Result{Body: cmd.Body}
	}}
	door, err := cluster.OpenCallDoor(c, slot, f, more, cluster.DoorObserver{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.Close)
	flush(t, c)
	return f
}

func (f *fakeCalls) carry(id call.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status[id] = actors.CallStatus{V: 1, ID: id, Tenant: "acme", Since: time.Unix(int64(id), 0).UTC()}
}

func (f *fakeCalls) drop(id call.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.status, id)
}

func (f *fakeCalls) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeCalls) delivered() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.raws
}

func (f *fakeCalls) offered() []actors.Job {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.jobs
}

func (f *fakeCalls) Offer(job actors.Job) actors.Taken {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jobs = append(f.jobs, job)
	return f.taken(job)
}

func (f *fakeCalls) InDialog(id call.ID, p call.Packet) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	if _, ok := f.status[id]; !ok {
		return actors.ErrNotMine
	}
	f.raws = append(f.raws, string(p.Raw))
	return nil
}

func (f *fakeCalls) Holds(id call.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.status[id]
	return ok
}

func (f *fakeCalls) Get(_ context.Context, id call.ID) (actors.CallStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.status[id]
	if !ok {
		return s, actors.ErrNotMine
	}
	return s, nil
}

func (f *fakeCalls) List(context.Context) ([]actors.CallStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []actors.CallStatus
	for _, s := range f.status {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b actors.CallStatus) int { return a.Since.Compare(b.Since) })
	return all, nil
}

func (f *fakeCalls) Transfer(id call.ID, t call.Transfer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moved = append(f.moved, t)
	return nil
}

func (f *fakeCalls) Hangup(id call.ID, cause call.Cause) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cause != call.CauseOperator {
		return errors.New("wrong cause")
	}
	f.hung = append(f.hung, id)
	return nil
}

func nodes(n ...placement.Node) func() []placement.Node {
	return func() []placement.Node { return n }
}

func newIntake(t testing.TB, c *cluster.Conn, of func() []placement.Node) *cluster.Intake {
	t.Helper()
	return intakeOf(t, c, of, patience)
}

// intakeOf waits that long for a node.
func intakeOf(t testing.TB, c *cluster.Conn, of func() []placement.Node, wait time.Duration) *cluster.Intake {
	t.Helper()
	return observedIntake(t, c, of, wait, cluster.IntakeObserver{})
}

func observedIntake(t testing.TB, c *cluster.Conn, of func() []placement.Node, wait time.Duration, obs cluster.IntakeObserver) *cluster.Intake {
	t.Helper()
	in, err := cluster.NewIntake(c, of, wait, 256, obs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

func offer(t testing.TB, in *cluster.Intake, job actors.Job) actors.Taken {
	t.Helper()
	type answer struct {
		taken actors.Taken
		err   error
	}
	out := make(chan answer, 1)
	in.Offer(t.Context(), job, func(taken actors.Taken, err error) { out <- answer{taken, err} })
	a := await(t, out)
	if a.err != nil {
		t.Fatal(a.err)
	}
	return a.taken
}

func job(callID string) actors.Job {
	return actors.Job{Key: call.TransactionKey{CallID: callID, FromTag: "f", CSeq: 1}, Branch: "z9hG4bKb", Tenant: "acme",
		Agent: &endpoint.Agent{V: 1, ID: "a1"}, Packet: packet("INVITE " + callID)}
}

func take(status int, id call.ID) func(actors.Job) actors.Taken {
	return func(actors.Job) actors.Taken { return actors.Taken{Status: status, ID: id, New: status == 0} }
}

func TestAJobArrivesWholeAtTheNodeOfItsTransaction(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	node := openCalls(t, c, 1)
	node.taken = take(0, 77)
	got := offer(t, newIntake(t, c, nodes(placement.Node{Name: "m1", Slot: 1, Capacity: 10})), job("c1"))
	if got.ID != 77 || !got.New || got.Status != 0 {
		t.Errorf("got %+v", got)
	}
	j := node.offered()[0]
	if string(j.Packet.Raw) != "INVITE c1" || j.Packet.Flow != packet("").Flow || j.Agent.ID != "a1" || j.Key != job("c1").Key {
		t.Errorf("the node saw %+v", j)
	}
}

func TestTheNextNodeIsAskedWhenOneIsFullSilentOrGone(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	full, last := openCalls(t, c, 1), openCalls(t, c, 2)
	full.taken, last.taken = take(503, 0), take(0, 5)
	of := nodes(placement.Node{Name: "full", Slot: 1, Capacity: 1 << 40}, placement.Node{Name: "gone", Slot: 9, Capacity: 1 << 20},
		placement.Node{Name: "last", Slot: 2, Capacity: 1}) // weights this far apart order the nodes
	in := newIntake(t, c, of)
	if got := offer(t, in, job("c1")); got.ID != 5 {
		t.Fatalf("got %+v", got)
	}
	full.taken = take(0, 6)
	if got := offer(t, in, job("c1")); got.ID != 5 {
		t.Errorf("a copy began a second call at the node that has room again: %+v", got)
	}
	if got := offer(t, in, job("c2")); got.ID != 6 {
		t.Errorf("another call did not go to its first node: %+v", got)
	}
}

func TestASilentNodeIsAskedAgainBeforeAJobIs503(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	slow, full := openCalls(t, c, 1), openCalls(t, c, 2)
	var asked atomic.Int32
	next := make(chan string, 8)
	slow.taken = func(actors.Job) actors.Taken {
		if asked.Add(1) == 1 {
			await(t, next) // longer than the intake waits, and it has the call
		}
		return actors.Taken{ID: 7}
	}
	full.taken = take(503, 0)
	in := observedIntake(t, c, nodes(placement.Node{Name: "slow", Slot: 1, Capacity: 1 << 40}, placement.Node{Name: "full", Slot: 2, Capacity: 1}), 4*time.Second,
		cluster.IntakeObserver{Next: func(node string) { next <- node }})
	if got := offer(t, in, job("c1")); got.Status != 0 || got.ID != 7 {
		t.Errorf("got %+v, want the call that the slow node took", got)
	}
	if n := len(full.offered()); n != 1 {
		t.Errorf("the full node was asked %d times, want once: it has answered", n)
	}
}

func TestANodeThatStaysSilentCostsABoundedTime(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	sub, err := c.Hot().Subscribe("pb.v1.call.1.intake", func(*nats.Msg) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	flush(t, c)
	began := time.Now()
	got := offer(t, intakeOf(t, c, nodes(placement.Node{Name: "m", Slot: 1, Capacity: 1}), 100*time.Millisecond), job("c1"))
	if took := time.Since(began); got.Status != 503 || took < time.Second {
		t.Errorf("got %+v after %v, want 503 after 1.5 s", got, took)
	}
}

func TestWithoutAnyNodeAJobIs503(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	if got := offer(t, newIntake(t, c, nodes()), job("c1")); got.Status != 503 {
		t.Errorf("no nodes: %+v", got)
	}
	openCalls(t, c, 1).taken = take(503, 0)
	if got := offer(t, newIntake(t, c, nodes(placement.Node{Name: "m", Slot: 1, Capacity: 1})), job("c1")); got.Status != 503 {
		t.Errorf("a full node: %+v", got)
	}
}

func TestACancelIsShownToTheNextNodeBeforeItIs481(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	a, b := openCalls(t, c, 1), openCalls(t, c, 2)
	a.taken, b.taken = take(481, 0), take(481, 0)
	in := newIntake(t, c, nodes(placement.Node{Name: "a", Slot: 1, Capacity: 1 << 40}, placement.Node{Name: "b", Slot: 2, Capacity: 1}))
	cancel := job("c1")
	cancel.Cancel = true
	if got := offer(t, in, cancel); got.Status != 481 {
		t.Errorf("unknown everywhere: %+v", got)
	}
	b.taken = take(0, 8)
	if got := offer(t, in, cancel); got.ID != 8 {
		t.Errorf("known to the second: %+v", got)
	}
}

// newCommander is one for calls that are there, however late their nodes say so.
func newCommander(c *cluster.Conn, n ...placement.Node) *cluster.Commander {
	cmd := cluster.NewCommander(c, nodes(n...))
	cmd.WaitLonger(patience)
	return cmd
}

func TestOperatorsReachACallWhereverItIs(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	one, two := openCalls(t, c, 1), openCalls(t, c, 2)
	for id := call.ID(1); id <= 3; id++ {
		one.carry(id)
		two.carry(id + 10)
	}
	m1, m2 := placement.Node{Name: "m1", Slot: 1}, placement.Node{Name: "m2", Slot: 2}
	cmd, missing := newCommander(c, m1, m2), cluster.NewCommander(c, nodes(m1, m2))
	ctx := t.Context()
	if s, err := cmd.Get(ctx, "acme", 12); err != nil || s.ID != 12 {
		t.Errorf("get: %+v, %v", s, err)
	}
	if _, err := missing.Get(ctx, "other", 12); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("another tenant's call: %v", err)
	}
	if _, err := missing.Get(ctx, "acme", 99); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("no such call: %v", err)
	}
	if err := cmd.Hangup(ctx, "acme", 2); err != nil || len(one.hung) != 1 || one.hung[0] != 2 {
		t.Errorf("hangup: %v, hung up %v", err, one.hung)
	}
	if err := missing.Hangup(ctx, "other", 2); !errors.Is(err, endpoint.ErrNotFound) || len(one.hung) != 1 {
		t.Errorf("hangup by another tenant: %v, hung up %v", err, one.hung)
	}
	all, err := cmd.List(ctx, "acme", 4)
	if err != nil || len(all) != 4 || all[0].ID != 1 || all[3].ID != 11 {
		t.Errorf("list: %v, %v", all, err)
	}
	if all, err := cmd.List(ctx, "other", 4); err != nil || len(all) != 0 {
		t.Errorf("list of another tenant: %v, %v", all, err)
	}
}

func TestALongListComesInPagesThatFitAMessage(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	node := openCalls(t, c, 1)
	for id := call.ID(1); id <= 900; id++ { // 400 KB
		node.carry(id)
	}
	cmd := cluster.NewCommander(c, nodes(placement.Node{Name: "m1", Slot: 1}))
	all, err := cmd.List(t.Context(), "acme", 1000)
	if err != nil || len(all) != 900 || all[899].ID != 900 {
		t.Errorf("got %d calls, %v", len(all), err)
	}
	for id := call.ID(1); id <= 900; id++ {
		node.hold(actors.CallStatus{ID: id, Tenant: "acme", From: call.Party{User: "+15551230100", URI: strings.Repeat("x", 300)}})
	}
	found, err := cmd.Find(t.Context(), "acme", "15551230100", 1000)
	if err != nil || len(found) != 900 || found[899].ID != 900 {
		t.Errorf("found %d calls, %v", len(found), err)
	}
}

func TestOtherCommandsGoToWhoeverServesThem(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	openCalls(t, c, 1).carry(5)
	cmd := newCommander(c)
	body, err := cmd.Do(t.Context(), "acme", 5, "echo", json.RawMessage(`{"sdp":"v=0"}`))
	if err != nil || string(body) != `{"sdp":"v=0"}` {
		t.Errorf("got %s, %v", body, err)
	}
	one := cluster.NewCommander(c, nodes(placement.Node{Name: "m1", Slot: 1}, placement.Node{Name: "gone", Slot: 9}))
	if _, err := one.Each(t.Context(), "acme", "echo", nil); err == nil || !strings.Contains(err.Error(), "no_call") || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a question to every node: %v", err)
	}
	var refused *cluster.CommandError
	if _, err := cmd.Do(t.Context(), "acme", 5, "juggle", nil); !errors.As(err, &refused) || refused.Code != envelope.CodeBad {
		t.Errorf("an operation that nobody serves: %v", err)
	}
}
