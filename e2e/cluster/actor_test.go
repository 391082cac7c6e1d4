package cluster_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"patchbay/e2e/rig"
)

// TestDecidersDie shows that it does not matter to a call who decides about
// it, or whether he lives to see it.
func TestDecidersDie(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Plan{})
	t.Run("two copies of an INVITE through two edges at once are one call", b.twins)
	t.Run("two deciders that take the same INVITE make one call", b.twoDeciders)
	t.Run("an owner killed between an INVITE and its repetition", b.ownerDiesBeforeTheRepetition)
	t.Run("a CANCEL through another edge after the owner's death", b.cancelAfterTheOwner)
	t.Run("an endpoint that is deleted, and its owner killed", b.aDeletedEndpointIsRefusedEverywhere)
	t.Run("an actor node killed under 20 calls a second", b.actorDiesUnderLoad)
}

// brief is how long calls last that are only placed.
const brief = 300 * time.Millisecond

func (b *bed) twins(t *testing.T) {
	const each = 50
	var all rig.Tally
	for name, way := range map[string]rig.Way{
		"the same branch":  {Hold: brief, Twin: true},
		"another branch":   {Hold: brief, Fork: true},
		"given up, a twin": {Cancel: true, Twin: true},
		"missed at first":  {Hold: brief, Twin: true, Deaf: true},
	} {
		slug := b.answered
		if way.Cancel {
			slug = b.ringing
		}
		tally := b.Carrier(t, "udp").Place(20, each, func(int) (string, rig.Way) { return b.uri(slug), way }).Wait()
		t.Logf("%s: %v", name, tally)
		all = append(all, tally...)
	}
	none(t, all)
	b.once(t, all)
}

// none fails the test for every call that failed.
func none(t *testing.T, all rig.Tally) {
	t.Helper()
	if failed := all.Failed(); len(failed) != 0 {
		t.Errorf("%d of %d calls failed: %v", len(failed), len(all), failed)
	}
}

// once waits until no call is live, and checks that each that was placed was
// one call, with one record.
func (b *bed) once(t *testing.T, all rig.Tally) {
	t.Helper()
	b.idle(t)
	for id, rec := range b.Op.OneRecordEach(t, settle, all) {
		for _, o := range all {
			if o.CallID == id && rec.Status != o.Status {
				t.Errorf("the record of call %s says status %d, and its carrier had %d", id, rec.Status, o.Status)
			}
		}
	}
}

// idle waits until no media node carries a call or holds a port.
func (b *bed) idle(t *testing.T) {
	t.Helper()
	rig.Until(t, settle, func() (string, bool) {
		live, ports := rig.Sum(b.Medias, rig.CallsLive), rig.Sum(b.Medias, rig.PortsInUse)
		return fmt.Sprintf("%v calls live, %v RTP ports in use, want none", live, ports), live == 0 && ports == 0
	})
}

// owner is the actor node that decides about an endpoint: a call shows it.
func (b *bed) owner(t *testing.T, slug string) *rig.Node {
	t.Helper()
	before := make([]float64, len(b.Actors))
	for i, n := range b.Actors {
		before[i] = n.Metric(rig.Decisions)
	}
	probe := b.Carrier(t, "udp").Dial(b.uri(slug), 0)
	if probe.Invite(rig.Way{Cancel: slug != b.answered}) {
		probe.Bye()
	}
	if out := probe.Close(); out.Fault != "" {
		t.Fatalf("a call that asks who decides: %s", out.Fault)
	}
	var owner *rig.Node
	rig.WaitFor(t, settle, "an actor node counts the decision", func() bool {
		for i, n := range b.Actors {
			if n.Metric(rig.Decisions) > before[i] {
				owner = n
			}
		}
		return owner != nil
	})
	return owner
}

// rounds is how often what needs the death of a process is repeated.
const rounds = 3

func (b *bed) twoDeciders(t *testing.T) {
	const calls = 20
	var all rig.Tally
	both := 0 // rounds in which both nodes decided; not so where the edges had not yet heard of the owner, and asked anybody
	for tried := 0; both < rounds; tried++ {
		if tried == 3*rounds {
			t.Fatalf("both nodes decided in %d of %d rounds", both, tried)
		}
		owner := b.owner(t, b.answered)
		before := rig.Sum(b.Actors, rig.Decisions)
		owner.Signal(syscall.SIGSTOP)
		carrier := b.Carrier(t, "udp")
		talking, hangUp := context.WithCancel(t.Context())
		var mu sync.Mutex
		var up sync.WaitGroup
		for i := range calls {
			up.Go(func() {
				d := carrier.Dial(b.uri(b.answered), i)
				if d.Invite(rig.Way{Twin: i%2 == 0}) {
					d.Talk(talking, 2*settle) // the owner wakes
					d.Bye()
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, d.Close())
			})
		}
		rig.Until(t, settle, func() (string, bool) {
			live := rig.Sum(b.Medias, rig.CallsLive)
			return fmt.Sprintf("%v calls are live, want %d", live, calls), live >= calls
		})
		owner.Signal(syscall.SIGCONT)
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if rig.Sum(b.Actors, rig.Decisions)-before > calls {
				both++
				break
			}
		}
		hangUp()
		rig.Until(t, settle, func() (string, bool) { // a copy that two media nodes made ends
			live := rig.Sum(b.Medias, rig.CallsLive)
			return fmt.Sprintf("%v calls are live, want %d at most", live, calls), live <= calls
		})
		up.Wait()
	}
	t.Logf("%v", all)
	none(t, all)
	b.once(t, all)
}

// dies kills the owner of an endpoint at the first response to an INVITE,
// starts it anew after the call, and returns what became of the call.
func (b *bed) dies(t *testing.T, slug string, way rig.Way) rig.Outcome {
	t.Helper()
	owner := b.owner(t, slug)
	way.First = owner.Kill
	out := b.Carrier(t, "udp").Dial(b.uri(slug), 0).Run(context.Background(), way)
	owner.Run()
	return out
}

func (b *bed) ownerDiesBeforeTheRepetition(t *testing.T) {
	var all rig.Tally
	for i := range 2 * rounds {
		slug, way := b.answered, rig.Way{Hold: brief, Deaf: true}
		if i%2 == 0 { // the repetition meets a call that only rings
			slug, way = b.ringing, rig.Way{Cancel: true, Deaf: true}
		}
		all = append(all, b.dies(t, slug, way))
	}
	t.Logf("%v", all)
	none(t, all)
	b.once(t, all)
}

func (b *bed) cancelAfterTheOwner(t *testing.T) {
	var all rig.Tally
	for range rounds {
		all = append(all, b.dies(t, b.ringing, rig.Way{Cancel: true}))
	}
	t.Logf("%v", all)
	none(t, all)
	b.once(t, all)
}

func (b *bed) actorDiesUnderLoad(t *testing.T) {
	var runs []*rig.Traffic
	for _, transport := range rig.Transports {
		runs = append(runs, b.Carrier(t, transport).Place(10, 0, func(int) (string, rig.Way) {
			return b.uri(b.answered), rig.Way{Hold: time.Second}
		}))
	}
	victim := b.owner(t, b.answered)
	pause(t, 3*time.Second)
	victim.Kill()
	pause(t, 6*time.Second)
	victim.Run()
	pause(t, 4*time.Second)
	var all rig.Tally
	for i, run := range runs {
		tally := run.Stop()
		t.Logf("over %s: %v", rig.Transports[i], tally)
		all = append(all, tally...)
	}
	none(t, all)
	b.once(t, all)
}

// pause lets traffic run.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
