package cluster_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// TestMediaNodesThatComeBack shows what becomes of calls whose node was only
// away, or is started again while others end them: one BYE, one record.
func TestMediaNodesThatComeBack(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Plan{Edges: 2, Actors: 1})
	t.Run("a media node that is paused for 10 s lets go of the calls that others have ended", b.mediaIsPaused)
	t.Run("a media node that is killed and started again at once", b.mediaRestarts)
	t.Run("the calls of a media node that is killed while they ring get 503", b.mediaDiesWhileTheyRing)
	t.Run("both media nodes killed, and one started again", b.allMediaDie)
}

// lost waits until the calls of a node have heard a BYE from elsewhere, hangs
// the others up, and checks that each has one record that says how it ended.
func (b *bed) lost(t *testing.T, talks []*talk, on map[string]string, dead func(node string) bool, within time.Duration) rig.Tally {
	t.Helper()
	from := time.Now()
	all := each(talks, func(_ int, c *talk) { c.hears(t, dead(on[c.CallID()]), within+3*time.Second) })
	none(t, all)
	lost := 0
	for _, o := range all {
		if !dead(on[o.CallID]) {
			continue
		}
		lost++
		if took := o.Ended.Sub(from); took > within+b.Stall.Worst() || !strings.Contains(o.Reason, "Q.850;cause=41") {
			t.Errorf("a call heard its BYE after %v, want %v at most and %v for the machine, for %q", took, within, b.Stall.Worst(), o.Reason)
		}
	}
	if lost == 0 {
		t.Fatal("no call was on the node")
	}
	for id, rec := range b.Op.OneRecordEach(t, settle, all) {
		want := call.CauseNormal
		if dead(on[id]) {
			want = call.CauseNodeLost
		}
		if rec.Cause != want {
			t.Errorf("the record of a call on %s says %s, want %s", on[id], rec.Cause.Word, want.Word)
		}
	}
	return all
}

// up places calls and says which node carries each, once JetStream knows all.
func (b *bed) up(t *testing.T, calls int) ([]*talk, map[string]string) {
	t.Helper()
	talks := b.talks(t, calls, func(int) rig.Way { return rig.Way{} })
	return talks, b.Op.Kept(t, settle, calls)
}

func is(name string) func(string) bool { return func(node string) bool { return node == name } }

const notice = 5 * time.Second // from a death to the BYE

func (b *bed) mediaIsPaused(t *testing.T) {
	talks, on := b.up(t, 16)
	victim := b.Medias[0]
	victim.Signal(syscall.SIGSTOP)
	stopped := time.Now()
	all := b.lost(t, talks, on, is(victim.Name), notice)
	pause(t, 10*time.Second-time.Since(stopped))
	victim.Signal(syscall.SIGCONT)
	b.idle(t) // its ports, too
	again := b.Carrier(t, "udp").Place(10, 20, func(int) (string, rig.Way) { return b.uri(b.answered), rig.Way{Hold: brief} }).Wait()
	none(t, again)
	b.idle(t)
	b.Op.OneRecordEach(t, settle, append(all, again...))
}

func (b *bed) mediaRestarts(t *testing.T) {
	talks, on := b.up(t, 16)
	victim := b.Medias[0]
	victim.Kill()
	victim.Launch()
	all := b.lost(t, talks, on, is(victim.Name), notice)
	victim.Ready()
	b.idle(t)
	pause(t, 5*time.Second) // whoever is late does nothing twice
	b.Op.OneRecordEach(t, settle, all)
}

func (b *bed) mediaDiesWhileTheyRing(t *testing.T) {
	const calls = 12
	carrier := b.Carrier(t, "udp")
	done := make(chan rig.Outcome, calls)
	for i := range calls {
		go func() { done <- carrier.Dial(b.uri(b.ringing), i).Run(t.Context(), rig.Way{}) }()
	}
	rig.Eventually(t, settle, "live calls", calls, func() float64 { return rig.Sum(b.Medias, rig.CallsLive) })
	on := b.Op.Kept(t, settle, calls)
	victim := b.Medias[0]
	victim.Kill()
	// Their carrier takes each to another edge, as a 503 asks it to (RFC 3263 4.3),
	// and rings again.
	rig.Eventually(t, notice+settle/4, "live calls", calls, func() float64 { return b.Medias[1].Metric(rig.CallsLive) })
	var page control.Page[control.CallView]
	rig.Until(t, settle, func() (string, bool) { // an error names a node that the control node has not missed yet
		page = control.Page[control.CallView]{}
		err := b.Op.Try("call", "list", control.PageRequest{}, &page)
		return fmt.Sprintf("%d calls are listed, want %d: %v", len(page.Items), calls, err), err == nil && len(page.Items) == calls
	})
	for _, v := range page.Items {
		if err := b.Op.Try("call", "hangup", control.ID{ID: v.ID.String()}, nil); err != nil {
			t.Errorf("hangup: %v", err)
		}
	}
	lost := 0
	for range calls {
		o := <-done
		passed := 0
		if on[o.CallID] == victim.Name {
			passed = 1
			lost++
		}
		if o.Status != 480 || o.Passed != passed {
			t.Errorf("a call on %s got %d and %d times 503, want 480 and %d", on[o.CallID], o.Status, o.Passed, passed)
		}
	}
	if lost == 0 {
		t.Error("no call was on the node")
	}
	victim.Run()
	b.idle(t)
}

func (b *bed) allMediaDie(t *testing.T) {
	talks, on := b.up(t, 12)
	for _, n := range b.Medias {
		n.Kill()
	}
	b.Medias[0].Run()
	b.lost(t, talks, on, func(string) bool { return true }, 2*notice)
	b.Medias[1].Run()
	b.idle(t)
}
