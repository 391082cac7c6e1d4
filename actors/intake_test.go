package actors_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
)

func TestThousandCopiesAtOnceAreOneCall(t *testing.T) {
	ph := newPhone(t, nil)
	var begun atomic.Int64
	var ids sync.Map
	var copies sync.WaitGroup
	for range 1000 {
		copies.Go(func() {
			taken := ph.Offer(job("c1"))
			if taken.New {
				begun.Add(1)
			}
			ids.Store(taken.ID, taken.Status)
		})
	}
	copies.Wait()
	n := 0
	ids.Range(func(_, status any) bool {
		n++
		if status != 0 {
			t.Errorf("a copy got %v", status)
		}
		return true
	})
	if begun.Load() != 1 || n != 1 || ph.Count() != 1 {
		t.Errorf("%d calls began, %d ids, %d live", begun.Load(), n, ph.Count())
	}
}

func TestRetransmissionGetsTheLastResponseOnItsOwnFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.ring(t, "c1")
		ph.bridges[id].post(call.Event{Kind: call.AgentChosen})
		synctest.Wait()
		again := job("c1")
		again.Packet.Flow = call.Flow{Edge: "e2"}
		if got := ph.Offer(again); got.ID != id || got.New || got.Status != 0 {
			t.Errorf("got %+v", got)
		}
		synctest.Wait()
		if ph.log() != "100, 180, 180" || ph.flows[2].Edge != "e2" {
			t.Errorf("sent %s, the last by %q", ph.log(), ph.flows[2].Edge)
		}
	})
}

func TestMergedRequestIs482(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		ph.ring(t, "c1")
		other := job("c1")
		other.Branch = "z9hG4bK-other"
		if got := ph.Offer(other); got.Status != 482 {
			t.Errorf("got %+v", got)
		}
		if ph.Count() != 1 {
			t.Errorf("%d calls", ph.Count())
		}
	})
}

func TestCancelReachesItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.ring(t, "c1")
		for range 2 { // and its retransmission
			if got := ph.Offer(cancelOf("c1")); got.ID != id || got.Status != 0 {
				t.Errorf("got %+v", got)
			}
			synctest.Wait()
		}
		if ph.log() != "100, 200 CANCEL, 487, 200 CANCEL" || ph.Count() != 0 || ph.bridges[id].closed != 1 {
			t.Errorf("sent %s; %d live; closed %d times", ph.log(), ph.Count(), ph.bridges[id].closed)
		}
		wrong := cancelOf("c1")
		wrong.Branch = "z9hG4bK-other" // RFC 3261 9.1
		if got := ph.Offer(wrong); got.Status != 481 {
			t.Errorf("a CANCEL of another branch: %+v", got)
		}
	})
}

func TestInviteThatComesAfterItsCancelIs487(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		for range 2 {
			if got := ph.Offer(cancelOf("c1")); got.Status != 481 {
				t.Errorf("the CANCEL got %+v", got)
			}
		}
		if ph.Remembered() != 1 {
			t.Errorf("%d keys are kept", ph.Remembered())
		}
		time.Sleep(64*t1 - time.Millisecond)
		if got := ph.Offer(job("c1")); got.Status != 487 {
			t.Errorf("got %+v", got)
		}
		other := job("c1")
		other.Branch = "z9hG4bK-other" // not the INVITE that was cancelled
		if got := ph.Offer(other); !got.New {
			t.Errorf("another INVITE got %+v", got)
		}
		_ = ph.Offer(cancelOf("c2"))
		time.Sleep(64 * t1)
		if got := ph.Offer(job("c2")); !got.New {
			t.Errorf("after 64*T1: %+v", got)
		}
	})
}

func TestLateCopyOfAFinishedCallBeginsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.ring(t, "c1")
		_ = ph.Hangup(id, call.CauseOperator)
		ph.says(t, id, "ACK")
		time.Sleep(6 * time.Second) // timer I is over
		synctest.Wait()
		if err := ph.InDialog(id, call.Packet{}); !errors.Is(err, actors.ErrNotMine) {
			t.Fatalf("the dialog is still there: %v", err)
		}
		if got := ph.Offer(job("c1")); got.New || got.Status != 0 || got.ID != id {
			t.Errorf("the late copy got %+v", got)
		}
		other := job("c1")
		other.Branch = "z9hG4bK-other"
		if got := ph.Offer(other); got.Status != 482 {
			t.Errorf("a late merged one got %+v", got)
		}
		if got := ph.Offer(cancelOf("c1")); got.Status != 481 {
			t.Errorf("a late CANCEL got %+v", got)
		}
		time.Sleep(64 * t1)
		if got := ph.Offer(job("c1")); !got.New {
			t.Errorf("after 64*T1: %+v", got)
		}
	})
}

func TestRememberedKeysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		for i := range 200_000 {
			_ = ph.Offer(cancelOf(fmt.Sprint("c", i)))
		}
		if n := ph.Remembered(); n > 1<<16 {
			t.Errorf("%d keys are kept, want at most %d", n, 1<<16)
		}
	})
}

func TestFullLoopIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, func(l *actors.CallLimits) { l.Loops, l.Mailbox = 1, 2 })
		id := ph.ring(t, "c1")
		hold := make(chan struct{})
		ph.notify = func(call.ID, string) { <-hold }
		ph.bridges[id].post(call.Event{Kind: call.AgentChosen})
		synctest.Wait() // the loop is stuck
		for range 2 {
			if err := ph.InDialog(id, call.Packet{Raw: []byte("ACK")}); err != nil {
				t.Fatal(err)
			}
		}
		if err := ph.InDialog(id, call.Packet{Raw: []byte("ACK")}); !errors.Is(err, actors.ErrBusy) {
			t.Errorf("a packet: %v", err)
		}
		if err := ph.Hangup(id, call.CauseOperator); !errors.Is(err, actors.ErrBusy) {
			t.Errorf("a hangup: %v", err)
		}
		if _, err := ph.List(t.Context()); !errors.Is(err, actors.ErrBusy) {
			t.Errorf("a list: %v", err)
		}
		if got := ph.Offer(job("c2")); got.Status != 503 {
			t.Errorf("a new call: %+v", got)
		}
		if got := ph.Offer(cancelOf("c1")); got.Status != 503 {
			t.Errorf("a CANCEL: %+v", got)
		}
		if len(ph.Live()["ep"]) != 1 || ph.Count() != 1 {
			t.Errorf("%v counted, %d live", ph.Live(), ph.Count())
		}
		ph.bridges[id].post(call.Event{Kind: call.AgentLeft}) // media's news are never refused
		ph.HangupAll(call.CauseDrain)
		close(hold)
		synctest.Wait()
		if ph.Count() != 0 {
			t.Errorf("%d live", ph.Count())
		}
		if got := ph.Offer(job("c2")); got.Status != 503 {
			t.Errorf("a copy of what went on to the next node: %+v", got)
		}
		if got := ph.Offer(job("c3")); !got.New {
			t.Errorf("the refused call left something behind: %+v", got)
		}
	})
}

func TestPanicCostsOneMessageOfOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, func(l *actors.CallLimits) { l.Loops = 1 })
		id, other := ph.answered(t, "c1"), ph.answered(t, "c2")
		_ = ph.InDialog(id, call.Packet{Raw: []byte("NONSENSE")})
		synctest.Wait()
		if ph.panics != 1 || ph.Count() != 2 {
			t.Errorf("%d panics, %d live", ph.panics, ph.Count())
		}
		ph.notify = func(of call.ID, name string) {
			if of == id && name == call.EventEnded {
				panic("agent")
			}
		}
		ph.write = func(rec call.Record) {
			if rec.ID == id {
				panic("ledger")
			}
		}
		ph.says(t, id, "BYE")
		ph.says(t, other, "BYE")
		if ph.panics != 3 || ph.Count() != 0 || ph.bridges[id].closed != 1 || len(ph.records) != 1 {
			t.Errorf("%d panics, %d live, bridge closed %d times, %d records", ph.panics, ph.Count(), ph.bridges[id].closed, len(ph.records))
		}
		ph.open = func(actors.BridgeRequest) { panic("switchboard") }
		ph.ring(t, "c3")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if ph.Count() != 0 || len(ph.records) != 2 {
			t.Errorf("a call without a bridge: %d live, %d records", ph.Count(), len(ph.records))
		}
	})
}

func TestFloodOfDigitsGivesWayToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.answered(t, "c1")
		hold := make(chan struct{})
		ph.receive = nil
		ph.notify = func(call.ID, string) { <-hold }
		for range 10_000 {
			ph.bridges[id].post(call.Event{Kind: call.Digit, Digit: "5"})
		}
		ph.bridges[id].post(call.Event{Kind: call.AgentLeft, Cause: call.CauseAgentLost})
		close(hold)
		synctest.Wait()
		if log := ph.log(); log != "100, 180, 200, BYE agent_lost" {
			t.Errorf("sent %s", log)
		}
		if n := len(ph.bridges[id].heard); n > 100 {
			t.Errorf("%d events reached the agent", n)
		}
	})
}

func TestHangupThatOvertakesTheBeginningIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		ph.refuse = func(call.Packet) error { ph.HangupAll(call.CauseDrain); return nil }
		ph.Offer(job("c1"))
		synctest.Wait()
		if ph.log() != "100, 503" || ph.Count() != 0 {
			t.Errorf("sent %s, %d live", ph.log(), ph.Count())
		}
	})
}

func BenchmarkOfferToTrying(b *testing.B) {
	ph := newPhone(b, func(l *actors.CallLimits) { l.MaxCalls = 1 << 30 })
	j := job("c")
	b.ReportAllocs()
	for b.Loop() {
		j.Key.CSeq++
		taken := ph.Offer(j)
		if !taken.New {
			b.Fatalf("got %+v", taken)
		}
		_ = ph.Hangup(taken.ID, call.CauseOperator)
	}
}
