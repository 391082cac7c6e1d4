package cluster_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// TestCarryingNodesDie shows what the death of an edge and of a media node
// costs, and whom.
func TestCarryingNodesDie(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Plan{})
	t.Run("an edge killed during calls: audio goes on, and both sides can hang up", b.edgeDies)
	t.Run("a media node killed during calls: BYE and one record for its calls, nothing for others", b.mediaDies)
}

// A talk is a call that is up.
type talk struct {
	*rig.Dialled
	way rig.Way
}

// talks places calls at once, over both transports in turn, each through the
// next edge, and fails the test where one is not answered.
func (b *bed) talks(t *testing.T, count int, way func(i int) rig.Way) []*talk {
	t.Helper()
	carriers := map[string]*rig.Carrier{}
	for _, transport := range rig.Transports {
		carriers[transport] = b.Carrier(t, transport)
	}
	all := make([]*talk, count)
	var up sync.WaitGroup
	for i := range all {
		all[i] = &talk{carriers[rig.Transports[i%2]].Dial(b.uri(b.answered), i/2), way(i)}
		up.Go(func() {
			if !all[i].Invite(all[i].way) {
				t.Errorf("call %d is not up: %s", i, all[i].Close().Fault)
			}
		})
	}
	up.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// each runs f for every call at once and returns what became of them.
func each(talks []*talk, f func(i int, c *talk)) (all rig.Tally) {
	all = make(rig.Tally, len(talks))
	var done sync.WaitGroup
	for i, c := range talks {
		done.Go(func() { f(i, c); all[i] = c.Close() })
	}
	done.Wait()
	return all
}

// hears stays in the call until the other side ends it, where it must; else for a
// while in which it must not. Then it hangs up.
func (c *talk) hears(t *testing.T, bye bool, otherwise time.Duration) {
	hold := otherwise
	if bye {
		hold = settle
	}
	c.Expect(bye)
	c.Talk(t.Context(), hold)
	c.Bye()
}

// maxGap is the longest silence that is no gap, on a machine that does much
// else: audio that had to find another way would be away for longer.
const maxGap = time.Second

func (b *bed) edgeDies(t *testing.T) {
	const calls = 18
	byPeer := func(i int) bool { return i%3 == 0 } // hung up by the operator
	talks := b.talks(t, calls, func(i int) rig.Way { return rig.Way{Sound: true, ByPeer: byPeer(i)} })
	rig.Until(t, settle, func() (string, bool) {
		for _, c := range talks {
			if c.Sound().Heard < 20 {
				return "audio comes back in every call", false
			}
		}
		return "", true
	})
	victim := b.Edges[0]
	victim.Kill()
	killed := time.Now()
	time.Sleep(3 * time.Second)
	rig.Until(t, settle, func() (string, bool) {
		for i, c := range talks {
			if last := c.Sound().Last; last.Before(killed.Add(2500 * time.Millisecond)) {
				return fmt.Sprintf("audio goes on: the last packet of call %d came %v after the edge's death", i, last.Sub(killed)), false
			}
		}
		return "", true
	})
	live := map[string]control.CallView{}
	for _, v := range b.Op.Calls(t) {
		live[v.CallID] = v
	}
	var worst time.Duration
	all := each(talks, func(i int, c *talk) {
		if gap := c.Sound().Gap; gap > maxGap+b.Stall.Worst() {
			t.Errorf("call %d: the longest gap is %v", i, gap)
		}
		c.Via(1 + i%2) // an edge that lives
		if byPeer(i) {
			if err := b.Op.Try("call", "hangup", control.ID{ID: live[c.CallID()].ID.String()}, nil); err != nil {
				t.Errorf("call %d: hangup: %v", i, err)
			}
			c.Talk(t.Context(), settle)
			return
		}
		c.Bye()
	})
	var ends time.Duration
	for _, o := range all {
		worst, ends = max(worst, o.Sound.Gap), max(ends, o.Ended.Sub(killed)-3*time.Second)
	}
	t.Logf("%v; longest gap in the audio %v; BYE took %v at most", all, worst.Round(time.Millisecond), ends.Round(time.Millisecond))
	none(t, all)
	victim.Run()
	b.once(t, all)
}

func (b *bed) mediaDies(t *testing.T) {
	const (
		calls  = 24
		notice = 5 * time.Second // from the death to the BYE
	)
	talks := b.talks(t, calls, func(i int) rig.Way { return rig.Way{Sound: i%4 == 0} })
	on := b.Op.Kept(t, settle, calls)
	victim := b.Medias[0]
	victim.Kill()
	killed := time.Now()
	var slowest time.Duration
	all := each(talks, func(i int, c *talk) {
		lost := on[c.CallID()] == "media-1"
		c.hears(t, lost, 8*time.Second)
		if gap := c.Sound().Gap; !lost && gap > maxGap+b.Stall.Worst() {
			t.Errorf("call %d on the other node has a gap of %v in its audio", i, gap)
		}
	})
	lost := 0
	for i, o := range all {
		if on[o.CallID] != "media-1" {
			continue
		}
		lost++
		slowest = max(slowest, o.Ended.Sub(killed))
		if o.ByPeer && o.Ended.Sub(killed) > notice+b.Stall.Worst() {
			t.Errorf("call %d heard its BYE %v after its node's death, want %v at most", i, o.Ended.Sub(killed), notice)
		}
		if o.ByPeer && !strings.Contains(o.Reason, "Q.850;cause=") {
			t.Errorf("call %d: the BYE has Reason %q, want one of Q.850", i, o.Reason)
		}
	}
	t.Logf("%v; %d calls were on the node, the last heard its BYE after %v", all, lost, slowest.Round(time.Millisecond))
	if lost == 0 || lost == calls {
		t.Fatalf("%d of %d calls were on the node that died, want some", lost, calls)
	}
	none(t, all)
	for id, rec := range b.Op.OneRecordEach(t, settle, all) {
		want := call.CauseNormal
		if on[id] == "media-1" {
			want = call.CauseNodeLost
		}
		if rec.Cause != want || rec.Node != on[id] {
			t.Errorf("the record of a call on %s is of %s with the cause %s, want %s", on[id], rec.Node, rec.Cause.Word, want.Word)
		}
	}
	victim.Run()
	after := b.Carrier(t, "udp").Place(10, 20, func(int) (string, rig.Way) { return b.uri(b.answered), rig.Way{Hold: brief} }).Wait()
	none(t, after)
	b.once(t, after)
}
