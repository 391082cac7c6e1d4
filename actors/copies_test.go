package actors_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
)

// mark is what the node says of the one call that it tells of.
func (ph *phone) mark(t *testing.T) call.Mark {
	t.Helper()
	marks := ph.Young()
	if len(marks) != 1 {
		t.Fatalf("%d marks, want 1", len(marks))
	}
	return marks[0]
}

func TestAnUnansweredCallYieldsWithoutAWordToItsCarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.ring(t, "c1")
		ph.bridges[id].post(call.Event{Kind: call.AgentChosen})
		synctest.Wait()
		before := ph.log()
		ph.Yield(id, false)
		synctest.Wait()
		if ph.log() != before || ph.Count() != 0 || ph.Holds(id) {
			t.Errorf("sent %s after %s, %d calls", ph.log(), before, ph.Count())
		}
		if b := ph.bridges[id]; b.closed != 1 || !slices.Contains(b.heard, call.EventEnded) {
			t.Errorf("the agent's side: closed %d times, heard %v", b.closed, b.heard)
		}
		if len(ph.records) != 1 || ph.records[0].Cause != call.CauseMergedRequest || ph.records[0].Status != 482 {
			t.Errorf("records %+v", ph.records)
		}
		if got := ph.Offer(job("c1")); got.Status != 503 {
			t.Errorf("a copy, which belongs to the other node now: %+v", got)
		}
		if got := ph.Offer(cancelOf("c1")); got.Status != 481 {
			t.Errorf("its CANCEL: %+v", got)
		}
		if len(ph.Young()) != 0 {
			t.Error("others are still told of it")
		}
	})
}

func TestAnAnsweredCallYieldsWithAByeOnceItIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.answered(t, "c1") // and acknowledged
		ph.Yield(id, false)
		synctest.Wait()
		if ph.Count() != 1 {
			t.Fatalf("a call that its carrier has acknowledged gave way to one that it has not: %s", ph.log())
		}
		ph.Yield(id, true)
		synctest.Wait()
		if !ph.dialogs[id].byeSent {
			t.Errorf("sent %s", ph.log())
		}
	})
}

func TestOthersAreToldOfACallUntilNoCopyCanCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.ring(t, "c1")
		if got, want := ph.mark(t), (call.Mark{Digest: job("c1").Key.Digest()}); got != want {
			t.Errorf("ringing: %+v, want %+v", got, want)
		}
		if c, ok := ph.Copy(job("c1").Key.Digest()); !ok || c.ID != id || c.Key != job("c1").Key {
			t.Errorf("got %+v, %v", c, ok)
		}
		ph.Offer(cancelOf("c1"))
		synctest.Wait()
		if !ph.mark(t).Settled {
			t.Error("a call that its carrier gave up can be begun anew elsewhere")
		}
		failed := ph.ring(t, "c2")
		if err := ph.Hangup(failed, call.CauseOperator); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if ph.mark(t).Digest != job("c1").Key.Digest() {
			t.Error("a call that failed by itself speaks for another copy")
		}
		time.Sleep(64*t1 + 8*time.Second)
		if got := ph.Young(); len(got) != 0 {
			t.Errorf("after its time: %v", got)
		}
	})
}

func TestAnAcknowledgedCallIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		<-changed(ph, func() { ph.answered(t, "c1") })
		if !ph.mark(t).Settled {
			t.Error("the carrier's ACK is not told")
		}
	})
}

// changed does something and returns where the node says that others should
// hear of it.
func changed(ph *phone, do func()) <-chan struct{} {
	do()
	return ph.Changed()
}

func TestMarksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, func(l *actors.CallLimits) { l.MaxCalls = 10_000 })
		for i := range 4200 {
			ph.Offer(job(fmt.Sprint("c", i)))
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		if got := len(ph.Young()); got != 4096 {
			t.Errorf("%d marks", got)
		}
		if _, ok := ph.Copy(job("c0").Key.Digest()); ok {
			t.Error("the oldest was kept")
		}
		if _, ok := ph.Copy(job("c4199").Key.Digest()); !ok {
			t.Error("the newest was not")
		}
	})
}

func TestAJobThatMustBeKnownBeginsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		known := func(callID string) actors.Job {
			j := job(callID)
			j.Known, j.Agent = true, nil
			return j
		}
		if got := ph.Offer(known("c1")); got.Status != 481 || ph.Count() != 0 || ph.Remembered() != 0 {
			t.Errorf("%+v, %d calls, %d remembered", got, ph.Count(), ph.Remembered())
		}
		id := ph.ring(t, "c1")
		if got := ph.Offer(known("c1")); got.Status != 0 || got.ID != id || got.New {
			t.Errorf("the call is there: %+v", got)
		}
	})
}
