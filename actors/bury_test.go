package actors_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
)

// diedWith is the last snapshot of a call that ran on another node until now.
func diedWith(t *testing.T, run func(ph *phone) call.ID) actors.Snapshot {
	t.Helper()
	ph := newPhone(t, nil)
	run(ph)
	ph.mu.Lock()
	defer ph.mu.Unlock()
	if len(ph.kept) == 0 {
		t.Fatal("no snapshot was kept")
	}
	return ph.kept[len(ph.kept)-1]
}

func TestSnapshotsAreKeptAtThe100AndAtThe200(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		ph.answered(t, "c1")
		if len(ph.kept) != 2 {
			t.Fatalf("%d snapshots, want one at the 100 and one at the 200", len(ph.kept))
		}
		first, second := ph.kept[0], ph.kept[1]
		if first.Answered || string(first.Raw) != "INVITE" || len(first.Dialog) == 0 || first.Media != nil || first.Job.Agent == nil || first.Events != 1 {
			t.Errorf("at the 100: %+v", first)
		}
		if !second.Answered || second.Raw != nil || len(second.Dialog) == 0 || len(second.Media) == 0 || second.Record.Status != 200 || second.Events != 3 ||
			!second.Until.Equal(second.Record.Stages.Answered.Add(time.Hour)) {
			t.Errorf("at the 200: %+v", second)
		}
	})
}

func TestChangesOfADialogAreGatheredIntoOneSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.answered(t, "c1")
		for range 5 {
			ph.dialogs[id].revision++
			ph.says(t, id, "ACK")
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(ph.kept) != 3 {
			t.Errorf("%d snapshots, want a third one for all five changes", len(ph.kept))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(ph.kept) != 3 {
			t.Errorf("%d snapshots of a call that does not change", len(ph.kept))
		}
		ph.dialogs[id].revision++
		ph.says(t, id, "ACK")
		ph.says(t, id, "BYE")
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(ph.kept) != 3 {
			t.Errorf("%d snapshots: one was written after the end", len(ph.kept))
		}
	})
}

func TestABuriedCallSaysByeAndHasItsRecordAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := diedWith(t, func(ph *phone) call.ID { return ph.answered(t, "c1") })
		id := s.Record.ID
		ph := newPhone(t, nil)
		time.Sleep(3 * time.Second)
		if err := ph.Bury(&s, 2); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if ph.log() != "BYE node_lost" {
			t.Errorf("sent %s", ph.log())
		}
		if len(ph.records) != 1 || ph.records[0].Cause != call.CauseNodeLost || ph.records[0].EndedBy != call.ByNode || ph.records[0].Status != 200 ||
			ph.records[0].Codec != "PCMU" || ph.records[0].Stages.Ended.IsZero() {
			t.Errorf("records %+v", ph.records)
		}
		if want := []string{"1000001 call.ended"}; !slices.Equal(ph.events, want) {
			t.Errorf("events %q, want %q: no number that the dead node may have used", ph.events, want)
		}
		if len(ph.gone) != 1 || ph.gone[0].Agent.ID != "bot" || ph.gone[0].Worker != "w1" || ph.gone[0].Cause != call.CauseNodeLost {
			t.Errorf("the agent was told %+v", ph.gone)
		}
		if ph.Count() != 0 || len(ph.Live()) != 0 || !ph.Holds(id) {
			t.Errorf("%d live, %v counted, held %v: it lingers for the answer to its BYE and counts no more", ph.Count(), ph.Live(), ph.Holds(id))
		}
		ph.says(t, id, "200")
		synctest.Wait()
		if len(ph.records) != 1 {
			t.Errorf("%d records after the BYE was answered", len(ph.records))
		}
	})
}

func TestABuriedCallWithoutAnAnswerIs503AndItsCopiesAreToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := diedWith(t, func(ph *phone) call.ID { return ph.ring(t, "c1") })
		ph := newPhone(t, nil)
		if err := ph.Bury(&s, 2); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if taken := ph.Offer(job("c1")); taken.New || taken.ID != s.Record.ID {
			t.Errorf("a copy of the INVITE: %+v", taken)
		}
		synctest.Wait()
		if ph.log() != "503, 503" {
			t.Errorf("sent %s", ph.log())
		}
		if len(ph.records) != 1 || ph.records[0].Status != 503 || ph.records[0].Cause != call.CauseNodeLost {
			t.Errorf("records %+v", ph.records)
		}
	})
}

func TestACopyThatBeganAnotherCallIsNotRefusedForTheDeadOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := diedWith(t, func(ph *phone) call.ID { return ph.ring(t, "c1") })
		ph := newPhone(t, nil)
		ph.ids = 100 // another id than the dead node gave
		fresh := ph.ring(t, "c1")
		if err := ph.Bury(&s, 2); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if ph.log() != "100" {
			t.Errorf("sent %s, want the 100 of the new call alone", ph.log())
		}
		if len(ph.records) != 1 || ph.records[0].ID != s.Record.ID {
			t.Errorf("records %+v", ph.records)
		}
		if taken := ph.Offer(job("c1")); taken.ID != fresh || ph.Count() != 1 {
			t.Errorf("the next copy: %+v, %d live", taken, ph.Count())
		}
	})
}

func TestACallThatIsHereIsNotBuried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		ph.answered(t, "c1")
		s := ph.kept[1]
		if err := ph.Bury(&s, 2); !errors.Is(err, actors.ErrNotMine) {
			t.Errorf("got %v", err)
		}
		s.Dialog = []byte("{")
		if err := ph.Bury(&s, 2); err == nil {
			t.Error("a snapshot that makes no sense was buried")
		}
		synctest.Wait()
		if ph.Count() != 1 || len(ph.records) != 0 {
			t.Errorf("%d live, records %+v", ph.Count(), ph.records)
		}
	})
}

func TestACallThatAnotherNodeHasIsLetGoInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		mine, other := ph.answered(t, "c1"), ph.answered(t, "c2")
		before := ph.log()
		ph.Release(mine)
		ph.Release(mine)
		ph.Release(12345)
		synctest.Wait()
		if ph.log() != before || len(ph.records) != 0 || ph.Holds(mine) {
			t.Errorf("sent %s; records %+v; held %v", ph.log(), ph.records, ph.Holds(mine))
		}
		if b := ph.bridges[mine]; b.closed != 1 || b.cause != call.CauseNodeLost {
			t.Errorf("its media was closed %d times, for %v", b.closed, b.cause)
		}
		if ph.Count() != 1 || !ph.Holds(other) || ph.bridges[other].closed != 0 || !slices.Equal(ph.let, []call.ID{mine}) {
			t.Errorf("%d live; released %v", ph.Count(), ph.let)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if ph.log() != before || len(ph.records) != 0 {
			t.Errorf("later: sent %s; records %+v", ph.log(), ph.records)
		}
	})
}
