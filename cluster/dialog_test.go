package cluster_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// bye sends an in-dialog request over a transport; what became of it comes by
// the channel.
func bye(r *cluster.Router, over call.Transport, slot call.Slot, id call.ID) <-chan error {
	out := make(chan error, 1)
	p := packet("BYE")
	p.Flow.Transport = over
	r.InDialog(slot, id, p, func(err error) { out <- err })
	return out
}

func inDialog(t testing.TB, r *cluster.Router, slot call.Slot, id call.ID) error {
	t.Helper()
	return await(t, bye(r, call.UDP, slot, id))
}

func TestAnInDialogMessageGoesToTheNodeOfItsToken(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	node := openCalls(t, c, 3)
	node.carry(42)
	r := newRouter(t, c, cluster.RouterObserver{})
	if err := inDialog(t, r, 3, 42); err != nil {
		t.Fatal(err)
	}
	if got := node.delivered(); len(got) != 1 || got[0] != "BYE" {
		t.Errorf("the call got %q", got)
	}
	node.fail(actors.ErrBusy)
	if err := inDialog(t, r, 3, 42); !errors.Is(err, actors.ErrBusy) {
		t.Errorf("a full mailbox is reported as %v", err)
	}
}

// steps notes what a router asks.
type steps struct {
	mu  sync.Mutex
	all []string
}

func (s *steps) observer() cluster.RouterObserver {
	return cluster.RouterObserver{Asked: func(step string, _ time.Duration, _ error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, step)
	}}
}

func (s *steps) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all
	s.all = nil
	return all
}

func TestACallThatMovedIsFoundOnceAndThenRemembered(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	openCalls(t, c, 3)
	there := openCalls(t, c, 4)
	there.carry(42)
	var asked steps
	r := newRouter(t, c, asked.observer())
	r.WaitLonger(patience, patience) // somebody always claims it
	for range 2 {
		if err := inDialog(t, r, 3, 42); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := asked.take(), []string{"call", "find", "call", "call"}; !equal(got, want) {
		t.Errorf("asked %v, want %v", got, want)
	}
	if err := inDialog(t, r, 9, 42); err != nil {
		t.Errorf("a slot that nobody has: %v", err)
	}
	openCalls(t, c, 5).carry(42) // it moves again
	there.drop(42)
	asked.take()
	if err := inDialog(t, r, 3, 42); err != nil {
		t.Errorf("moved twice: %v", err)
	}
	if got, want := asked.take(), []string{"call", "find", "call"}; !equal(got, want) {
		t.Errorf("asked %v, want %v", got, want)
	}
}

func TestAHungNodeIsPassedOver(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	sub, err := c.Hot().Subscribe(subject.InDialog(3), func(*natsMsg) {})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	openCalls(t, c, 4).carry(42)
	r := newRouter(t, c, cluster.RouterObserver{})
	r.WaitLonger(5*time.Second, patience) // the one that hangs is waited for too
	if err := inDialog(t, r, 3, 42); err != nil {
		t.Errorf("the node that adopted the call was not asked: %v", err)
	}
}

func TestOverUDPNobodyHears481BeforeFiveSecondsOfDoubt(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	node := openCalls(t, c, 3)
	var asked steps
	r := newRouter(t, c, asked.observer())
	began := time.Now()
	err := inDialog(t, r, 3, 42)
	if !errors.Is(err, cluster.ErrInDoubt) || errors.Is(err, actors.ErrNotMine) {
		t.Fatalf("the first copy: %v", err)
	}
	for searched := true; searched; { // on a busy machine a copy may be too late to count as right behind
		asked.take()
		if err := inDialog(t, r, 3, 42); !errors.Is(err, cluster.ErrInDoubt) {
			t.Fatalf("every copy right behind was searched for again: %v", err)
		}
		searched = len(asked.take()) != 0
	}
	for !errors.Is(err, actors.ErrNotMine) {
		time.Sleep(400 * time.Millisecond) // real: the sender's timer
		if err = inDialog(t, r, 3, 42); err == nil || time.Since(began) > patience {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
	}
	if took := time.Since(began); took < 5*time.Second {
		t.Errorf("called off after %v", took)
	}
	if err := inDialog(t, r, 3, 42); !errors.Is(err, actors.ErrNotMine) {
		t.Errorf("once it is certain: %v", err)
	}
	node.carry(42)
	if err := inDialog(t, r, 3, 42); err != nil {
		t.Errorf("somebody has it after all: %v", err)
	}
	node.drop(42)
	if err := inDialog(t, r, 3, 42); !errors.Is(err, cluster.ErrInDoubt) {
		t.Errorf("what was doubted before counts no more: %v", err)
	}
}

func TestOverAReliableTransportAMessageWaitsForItsCall(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	openCalls(t, c, 3)
	r := newRouter(t, c, cluster.RouterObserver{})
	held := bye(r, call.TCP, 9, 42)
	select {
	case err := <-held:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(time.Second): // real: an adoption
	}
	late := openCalls(t, c, 4)
	late.carry(42)
	if err := await(t, held); err != nil {
		t.Errorf("got %v", err)
	}
	if got := late.delivered(); len(got) != 1 {
		t.Errorf("the call got %q", got)
	}
}

func TestOverAReliableTransportAMessageWaitsFiveSecondsAtMost(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	openCalls(t, c, 3)
	r := newRouter(t, c, cluster.RouterObserver{})
	began := time.Now()
	if err := inDialog(t, r, 3, 42); !errors.Is(err, cluster.ErrInDoubt) { // since when it is in doubt, however long this search took
		t.Fatalf("the first copy: %v", err)
	}
	if err := await(t, bye(r, call.TLS, 3, 42)); !errors.Is(err, actors.ErrNotMine) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took < 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Without any media node that listens, nobody has said that the call is gone.
func TestWithoutAnybodyToAskNoCallIsCalledGone(t *testing.T) {
	t.Parallel()
	r := newRouter(t, newConn(t), cluster.RouterObserver{})
	if err := inDialog(t, r, 3, 42); !errors.Is(err, cluster.ErrUnavailable) || errors.Is(err, actors.ErrNotMine) {
		t.Errorf("over UDP: %v", err)
	}
	began := time.Now()
	err := await(t, bye(r, call.TCP, 3, 42))
	if !errors.Is(err, cluster.ErrUnavailable) || errors.Is(err, actors.ErrNotMine) {
		t.Errorf("over TCP: %v", err)
	}
	if took := time.Since(began); took < 5*time.Second {
		t.Errorf("it was held for %v", took)
	}
}

func TestClosingEndsWhatIsHeld(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	openCalls(t, c, 3)
	r, err := cluster.NewRouter(c, cluster.RouterConfig{MaxPending: 1024, OwnerTimeout: time.Second}, cluster.RouterObserver{})
	if err != nil {
		t.Fatal(err)
	}
	held := bye(r, call.TCP, 3, 42)
	time.Sleep(500 * time.Millisecond) // real: it is held by now
	r.Close()
	if err := await(t, held); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestMoreThanAnEdgeCanHoldIsBusy(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	sub, err := c.Hot().Subscribe(subject.InDialog(3), func(m *natsMsg) {
		b, _ := envelope.EncodeDelivery(envelope.NotMine)
		_ = m.Respond(b)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	openCalls(t, c, 4)
	r := newRouter(t, c, cluster.RouterObserver{})
	giveOne := r.FillHeld()
	var late []<-chan error
	for id := range call.ID(10) {
		late = append(late, bye(r, call.TCP, 3, id+1))
	}
	for _, one := range late {
		if err := await(t, one); !errors.Is(err, actors.ErrBusy) {
			t.Fatalf("got %v", err)
		}
	}
	if err := inDialog(t, r, 3, 11); !errors.Is(err, cluster.ErrInDoubt) {
		t.Errorf("over UDP nothing is held: %v", err)
	}
	giveOne()
	one := bye(r, call.TCP, 3, 12)
	select {
	case err := <-one:
		t.Errorf("there was room to hold it: %v", err)
	case <-time.After(2 * time.Second): // real: it was asked about
	}
	r.Close()
	if err := await(t, one); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
