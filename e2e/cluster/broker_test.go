package cluster_test

import (
	"fmt"
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"

	"patchbay/e2e/rig"
)

// TestBrokersDie shows that calls do not notice when NATS loses a broker.
func TestBrokersDie(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Plan{Edges: 2})
	t.Run("the broker that leads the streams killed under 10 calls a second", b.leaderDies)
	t.Run("a broker that hangs for 15 s under 10 calls a second", b.brokerHangs)
}

// leader is the broker that leads most streams.
func (b *bed) leader(t *testing.T) (*rig.Node, map[string]int) {
	t.Helper()
	var leads map[string]int
	rig.Until(t, settle, func() (string, bool) {
		leads = map[string]int{}
		streams, err := b.Op.Streams(t)
		for _, s := range streams {
			if s.Cluster != nil {
				leads[s.Cluster.Leader]++
			}
		}
		return fmt.Sprintf("each of %d streams has a leader: %v, %v", len(streams), leads, err), err == nil && len(leads) > 0 && leads[""] == 0
	})
	names := slices.SortedFunc(maps.Keys(leads), func(x, y string) int { return leads[y] - leads[x] })
	return b.Node(names[0]), leads
}

// traffic is calls over both transports, half of the rate over each, that last
// for hold; one in ten has audio.
func (b *bed) traffic(t *testing.T, rate float64, hold time.Duration) (stop func() rig.Tally) {
	t.Helper()
	var runs []*rig.Traffic
	for _, transport := range rig.Transports {
		runs = append(runs, b.Carrier(t, transport).Place(rate/2, 0, func(i int) (string, rig.Way) {
			return b.uri(b.answered), rig.Way{Hold: hold, Sound: i%10 == 0}
		}))
	}
	return func() (all rig.Tally) {
		for i, run := range runs {
			tally := run.Stop()
			t.Logf("over %s: %v", rig.Transports[i], tally)
			all = append(all, tally...)
		}
		return all
	}
}

// gap is the longest silence in the audio of calls.
func gap(all rig.Tally) (worst time.Duration) {
	for _, o := range all {
		worst = max(worst, o.Sound.Gap)
	}
	return worst
}

// whole fails the test for each call with a gap in its audio that is longer than
// the machine's own, and says when that was.
func (b *bed) whole(t *testing.T, all rig.Tally) {
	t.Helper()
	limit := maxGap + b.Stall.Worst()
	for _, o := range all {
		if s := o.Sound; s.Gap > limit {
			t.Errorf("call %s, answered at %s, hung up by us at %s: heard nothing for %v, want %v at most, from %s on; then another stream: %v", o.CallID,
				o.At.Add(o.Setup).Format(moments), o.Hung.Format(moments), s.Gap, limit, s.Since.Format(moments), s.Other)
		}
	}
}

// moments is how times within a test are shown, as a Tally does.
const moments = "15:04:05.000"

func (b *bed) leaderDies(t *testing.T) {
	victim, leads := b.leader(t)
	stop := b.traffic(t, 10, 2*time.Second)
	pause(t, 3*time.Second)
	victim.Kill()
	pause(t, 10*time.Second)
	victim.Launch()
	pause(t, 5*time.Second)
	all := stop()
	t.Logf("leaders of streams: %v; %s killed; longest gap in the audio %v", leads, victim.Name, gap(all).Round(time.Millisecond))
	none(t, all)
	b.whole(t, all)
	victim.Ready()
	b.once(t, all)
}

// delayed is a set-up that somebody notices.
const delayed = time.Second

func (b *bed) brokerHangs(t *testing.T) {
	const (
		hangs = 15 * time.Second
		costs = 5 * time.Second // calls placed later than that are not delayed
	)
	victim, _ := b.leader(t)
	stop := b.traffic(t, 10, 2*time.Second)
	pause(t, 3*time.Second)
	victim.Signal(syscall.SIGSTOP)
	hung := time.Now()
	pause(t, hangs)
	victim.Signal(syscall.SIGCONT)
	woke := time.Now()
	pause(t, 5*time.Second)
	all := stop()
	slow, early := all.Slow(delayed+b.Stall.Worst()), 0
	var last time.Duration
	for _, o := range slow {
		if at := o.At.Sub(hung); at > costs || at < -delayed {
			t.Errorf("call %s, placed %v after the broker hung, took %v", o.CallID, at, o.Setup)
		} else {
			early, last = early+1, max(last, at)
		}
	}
	t.Logf("%s hung for %v: %d calls took longer than %v, the last of them placed %v after it hung; longest gap in the audio %v",
		victim.Name, woke.Sub(hung).Round(time.Second), early, delayed, last.Round(time.Millisecond), gap(all).Round(time.Millisecond))
	none(t, all)
	b.whole(t, all)
	b.once(t, all)
}
