package cluster_test

import (
	"testing"

	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/envelope"
)

func TestABeatThatCameTwiceOrTooLateSaysNothingNew(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	say := func(seq uint64, calls envelope.CallLists, leaving bool) {
		data, err := envelope.EncodeBeat(envelope.Beat{Role: cluster.RoleMedia, Node: "m1", Boot: 1, Seq: seq, Slot: 1, Capacity: 10, Calls: calls, Leaving: leaving})
		if err != nil {
			t.Fatal(err)
		}
		tb.Hear(data)
	}
	one, two := envelope.CallLists{"k": {call.ID(1)}}, envelope.CallLists{"k": {call.ID(1), call.ID(2)}}
	say(1, one, false)
	say(2, two, false)
	say(2, two, false) // by another broker
	say(1, one, false) // overtaken
	if got := tb.count("k"); got != 2 {
		t.Errorf("%d calls, want 2", got)
	}
	if got := tb.Beats("m1"); got != 2 {
		t.Errorf("%d reports, want 2: a copy is none", got)
	}
	say(3, nil, true)
	say(2, two, false)
	if len(tb.Alive(cluster.RoleMedia)) != 0 {
		t.Error("an old beat brought back a node that has left")
	}
}
