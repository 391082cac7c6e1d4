package cluster

import (
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/placement"
)

// A peer is one incarnation of a node in one role.
type peer struct {
	role, name string
	boot       uint64
	seen       time.Time
	lost       bool // it was told to be silent
	left       bool // it said so
	draining   bool
	slot       call.Slot
	capacity   int
	seq        uint64
	beats      uint64 // after which calls is all that the node carries
	wholes     uint64 // of them, those that said everything
	patchy     bool   // a beat was lost, and none has said everything since
	claims     placement.Set
	calls      map[endpoint.Key]idSet // sets are never changed, only replaced
	parts      map[endpoint.Key]idSet // of a whole beat that is coming in
	part       int
}

type idSet = map[call.ID]struct{}

// take applies a beat to the node's state. One that was overtaken by a later
// one, or came before by another broker, says nothing new.
func (n *peer) take(now time.Time, b envelope.Beat) {
	if b.Seq <= n.seq {
		return
	}
	n.seen, n.lost = now, false
	n.left, n.draining = b.Leaving, b.Draining
	n.slot, n.capacity, n.claims = b.Slot, b.Capacity, b.Claims
	gap := b.Seq != n.seq+1
	n.seq = b.Seq
	switch {
	case b.Delta:
		if !gap { // else the next whole beat repairs it
			n.calls = changed(n.calls, b.Calls, b.Ended)
		}
		if n.patchy = n.patchy || gap; !n.patchy {
			n.beats++
		}
	case b.Parts <= 1:
		n.parts = nil
		n.whole(changed(nil, b.Calls, nil))
	default:
		n.takePart(gap, b)
	}
}

// takePart collects a whole beat that came in parts; one that misses a part is
// thrown away.
func (n *peer) takePart(gap bool, b envelope.Beat) {
	switch {
	case b.Part == 1:
		n.parts = map[endpoint.Key]idSet{}
	case n.parts == nil || gap || b.Part != n.part+1:
		n.parts = nil
		return
	}
	n.part = b.Part
	n.parts = changed(n.parts, b.Calls, nil)
	if b.Part == b.Parts {
		n.whole(n.parts)
		n.parts = nil
	}
}

// whole takes all that the node carries.
func (n *peer) whole(calls map[endpoint.Key]idSet) {
	n.calls, n.patchy = calls, false
	n.beats++
	n.wholes++
}

// changed returns calls with began added and ended removed. Sets that change
// are replaced, so that readers may keep the old ones.
func changed(calls map[endpoint.Key]idSet, began, ended envelope.CallLists) map[endpoint.Key]idSet {
	if calls == nil {
		calls = make(map[endpoint.Key]idSet, len(began))
	}
	fresh := make(map[endpoint.Key]bool, len(began)+len(ended))
	own := func(key endpoint.Key) idSet {
		if !fresh[key] {
			set := make(idSet, len(calls[key])+1)
			for id := range calls[key] {
				set[id] = struct{}{}
			}
			calls[key], fresh[key] = set, true
		}
		return calls[key]
	}
	for key, ids := range ended {
		set := own(key)
		for _, id := range ids {
			delete(set, id)
		}
	}
	for key, ids := range began {
		set := own(key)
		for _, id := range ids {
			set[id] = struct{}{}
		}
	}
	for key := range ended {
		if len(calls[key]) == 0 {
			delete(calls, key)
		}
	}
	return calls
}

func (n *peer) alive(now time.Time) bool {
	silent := otherSilent
	if n.role == RoleMedia {
		silent = mediaSilent
	}
	return !n.left && now.Sub(n.seen) < silent
}

func (n *peer) live() int {
	ids := idSet{}
	for _, set := range n.calls {
		for id := range set {
			ids[id] = struct{}{}
		}
	}
	return len(ids)
}

func union(into, from idSet) idSet {
	if into == nil {
		into = make(idSet, 2*len(from))
	}
	for id := range from {
		into[id] = struct{}{}
	}
	return into
}
