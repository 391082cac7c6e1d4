package main

import (
	"testing"
	"time"

	"patchbay/cluster"
	"patchbay/cluster/journal"
)

func TestAStartOfThisNodeIsGoneWhateverItsClockSaid(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	g := &ground{boot: 100, presence: cluster.NewPresence(time.Minute, func() time.Time { return now }, cluster.PresenceObserver{})}
	g.cfg.Node.Name = "n1"
	now = now.Add(time.Minute) // whoever lives has been heard
	for boot, want := range map[uint64]bool{99: true, 100: false, 101: true} {
		if got := g.gone(journal.Head{Node: "n1", Boot: boot}); got != want {
			t.Errorf("start %d of this node, whose start is 100: gone %v, want %v", boot, got, want)
		}
	}
}
