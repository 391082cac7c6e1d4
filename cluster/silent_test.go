package cluster_test

import (
	"testing"
	"time"

	"patchbay/cluster"
	"patchbay/cluster/envelope"
)

// Brokers that start anew are away for all nodes, and one is back before the
// others: what it has not heard meanwhile says nothing about them.
func TestANodeThatWasCutOffCallsNobodyDeadBeforeItHasListened(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	beats := func(nodes ...string) {
		for _, n := range nodes {
			tb.media(n, envelope.CallLists{"k": {1}})
		}
	}
	tb.hear(envelope.Beat{Role: cluster.RoleEdge, Node: "e1"})
	beats("me", "m1", "m2")
	tb.now = tb.now.Add(10 * time.Second)
	beats("me")
	if list := tb.Silent(); len(list) != 0 {
		t.Errorf("back, and at once these are dead: %+v", list)
	}
	if runs, known := tb.Runs("m1", 1); runs || known {
		t.Errorf("m1 runs %v, which is known: %v", runs, known)
	}
	if tb.Gone("e1") {
		t.Error("back, and at once the edge is gone")
	}
	for range 6 { // m2 has died meanwhile, and the edge
		tb.now = tb.now.Add(500 * time.Millisecond)
		beats("me", "m1")
	}
	if list := tb.Silent(); len(list) != 1 || list[0].Node != "m2" {
		t.Errorf("once it has listened these are dead: %+v", list)
	}
	if runs, known := tb.Runs("m2", 1); runs || !known {
		t.Errorf("m2 runs %v, which is known: %v", runs, known)
	}
	if !tb.Gone("e1") {
		t.Error("the edge that has died is there")
	}
}

func TestANodeThatHasLeftIsDeadAtOnceWhateverWasHeardBefore(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	tb.media("m1", envelope.CallLists{"k": {1}})
	tb.hear(envelope.Beat{Role: cluster.RoleMedia, Node: "m1", Slot: 1, Capacity: 10, Calls: envelope.CallLists{"k": {1}}, Leaving: true})
	if list := tb.Silent(); len(list) != 1 {
		t.Errorf("got %+v", list)
	}
}
