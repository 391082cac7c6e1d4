package cluster_test

import (
	"testing"
	"time"

	"patchbay/e2e/rig"
)

// The spray: calls of a carrier that sends every message, repetitions too, to
// another edge than the one before.
const (
	sprayed   = 500 // calls over each transport
	sprayRate = 10  // a second over each
)

func TestACallMayUseAnotherEdgeForEveryMessage(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Plan{})
	var runs []*rig.Traffic
	began := time.Now()
	for _, transport := range rig.Transports {
		runs = append(runs, b.Carrier(t, transport).Place(sprayRate, sprayed, func(i int) (string, rig.Way) {
			return b.sprayed(i)
		}))
	}
	var all rig.Tally
	for i, run := range runs {
		tally := run.Wait()
		t.Logf("over %s: %v", rig.Transports[i], tally)
		all = append(all, tally...)
	}
	t.Logf("%d calls in %v", len(all), time.Since(began).Round(time.Second))
	if failed := all.Failed(); len(all) != 2*sprayed || len(failed) != 0 {
		t.Errorf("%d of %d calls failed, want none of %d", len(failed), len(all), 2*sprayed)
	}
	b.Op.OneRecordEach(t, settle, all)
}

// sprayed is the way of call i: one in ten is given up while it rings, one in
// ten changes within, three in ten miss our first responses over UDP.
func (b *bed) sprayed(i int) (string, rig.Way) {
	way := rig.Way{Hold: 300 * time.Millisecond}
	switch i % 10 {
	case 0:
		way.Cancel = true
		return b.uri(b.ringing), way
	case 1:
		way.Modify = true
	case 2, 3, 4:
		way.Deaf = true
	}
	return b.uri(b.answered), way
}
