package cluster

import (
	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster/placement"
)

// Copies are the young calls of a media node; *actors.Calls is one.
type Copies interface {
	Copy(digest uint64) (actors.Copy, bool)
	Yield(id call.ID, otherSettled bool)
	Insist(digest uint64)
}

// Contest ends calls of the media node me that another node has a copy of: an
// INVITE that was shown to one node and, by a decider that saw other nodes or
// got no answer, to another (design D4). Both nodes come to the same end,
// whatever they hear first: a copy that the carrier has acknowledged stays,
// else the one that is first in the order of the transaction key. One that has
// been answered waits for the carrier to say so by its ACK ([actors.Calls.Yield]).
func (p *Presence) Contest(me placement.Node, calls Copies) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rivals = func(from placement.Node, marks []call.Mark) {
		if from.Name == me.Name {
			return
		}
		for _, theirs := range marks {
			switch ours, ok := calls.Copy(theirs.Digest); {
			case !ok:
			case yields(me, from, ours, theirs):
				calls.Yield(ours.ID, theirs.Settled)
			default: // its copy may have begun after ours was told
				calls.Insist(theirs.Digest)
			}
		}
	}
}

// yields reports that our copy is the one to end.
func yields(me, from placement.Node, ours actors.Copy, theirs call.Mark) bool {
	if ours.Settled != theirs.Settled {
		return theirs.Settled
	}
	return placement.Before(ours.Key, from, me)
}
