package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"patchbay/e2e/rig"
)

// TestRollingRestart replaces every process of a cluster in turn.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Plan{})
	b.replaceAll(t, 10, 3*time.Second)
}

// replaceAll stops and starts every process under a rate of calls that last for
// hold.
func (b *bed) replaceAll(t *testing.T, rate float64, hold time.Duration) {
	t.Helper()
	stop := b.traffic(t, rate, hold)
	began := time.Now()
	for _, n := range b.Nodes() {
		replaced(t, n)
		b.replicated(t)
	}
	took := time.Since(began)
	all := stop()
	t.Logf("%d processes replaced in %v; longest gap in the audio %v", len(b.Nodes()), took.Round(time.Second), gap(all).Round(time.Millisecond))
	none(t, all)
	b.whole(t, all)
	b.once(t, all)
}

// replicated waits until every stream has a leader and whole replicas, as an
// operator does before he stops the next broker.
func (b *bed) replicated(t *testing.T) {
	t.Helper()
	rig.Until(t, 2*settle, func() (string, bool) {
		streams, err := b.Op.Streams(t)
		if err != nil || len(streams) == 0 {
			return fmt.Sprintf("%d streams: %v", len(streams), err), false
		}
		for _, s := range streams {
			if s.Cluster == nil || s.Cluster.Leader == "" {
				return "stream " + s.Config.Name + " has no leader", false
			}
			for _, r := range s.Cluster.Replicas {
				if !r.Current || r.Offline {
					return fmt.Sprintf("stream %s: replica on %s is not current", s.Config.Name, r.Name), false
				}
			}
		}
		return "", true
	})
}
