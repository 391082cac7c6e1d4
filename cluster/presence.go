package cluster

import (
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/placement"
	"patchbay/cluster/subject"
)

// Roles that beat.
const (
	RoleEdge  = "edge"
	RoleActor = "actor"
	RoleMedia = "media"
)

// When a node counts as dead: three beats missed.
const (
	mediaBeat   = 500 * time.Millisecond
	otherBeat   = time.Second
	mediaSilent = 3 * mediaBeat
	otherSilent = 3 * otherBeat
)

// BeatsHeard is how long a [Presence] must have listened to know every media
// node that lives.
const BeatsHeard = mediaBeat + mediaBeat/2

// maxNodes is how many nodes, the dead ones among them, a table knows.
const maxNodes = 4096

// A PresenceObserver hears of nodes that come and go. Nil hooks are skipped.
type PresenceObserver struct {
	Joined func(role, node string)
	Left   func(role, node string, calls int) // said goodbye, with so many calls
	Lost   func(role, node string, calls int) // silent, likewise
	Twin   func(role, node string)            // two processes beat under one name
	Ignore func(err error)                    // a beat that could not be read, or one node too many
	Panic  func(any)
}

// Presence knows who is alive and which calls media nodes carry, from their
// beats. It implements actors.Load and actors.BeatCounter.
type Presence struct {
	hold  time.Duration
	obs   PresenceObserver
	now   func() time.Time
	since time.Time
	subs  subscriptions

	copies copies
	greets greetings
	unions unions

	mu     sync.RWMutex
	rivals func(from placement.Node, marks []call.Mark) // of media nodes; nil: nobody asks
	nodes  map[nodeKey]*peer
	swept  time.Time

	// Who hears nobody, itself neither, is cut off: others' silence says nothing
	// about them until it has listened anew.
	heard, resumed time.Time // when the last beat came, and since when they come
}

type nodeKey struct {
	role, name string
	boot       uint64
}

// NewPresence returns a table that keeps a dead media node's calls for hold.
// now is the clock.
func NewPresence(hold time.Duration, now func() time.Time, obs PresenceObserver) *Presence {
	began := now()
	return &Presence{hold: hold, obs: obs, now: now, since: began, heard: began, resumed: began, nodes: make(map[nodeKey]*peer)}
}

// Listen starts to take beats, by two brokers where there are several: when one
// hangs, the others' nodes must not seem dead.
func (p *Presence) Listen(c *Conn) error {
	for _, nc := range c.Twice() {
		err := p.subs.add(nc, subject.BeatAll, "", maxPendingPackets, func(m *nats.Msg) {
			defer contain(p.obs.Panic)
			if p.copies.fresh(m.Data) {
				p.Hear(m.Data)
			}
		})
		if err != nil {
			return fmt.Errorf("listen to beats: %w", err)
		}
	}
	return nil
}

// Close stops taking beats.
func (p *Presence) Close() { p.subs.close() }

// Hear takes one beat as it came from the wire.
func (p *Presence) Hear(data []byte) {
	b, err := envelope.DecodeBeat(data)
	if err != nil {
		p.ignore(err)
		return
	}
	now := p.now()
	p.mu.Lock()
	news := p.hear(now, b)
	p.mu.Unlock()
	for _, tell := range news {
		tell()
	}
}

func (p *Presence) ignore(err error) {
	if p.obs.Ignore != nil {
		p.obs.Ignore(err)
	}
}

// hear returns what observers are told once the lock is released.
func (p *Presence) hear(now time.Time, b envelope.Beat) (news []func()) {
	news = p.sweep(now)
	if now.Sub(p.heard) >= mediaSilent {
		p.resumed = now
	}
	p.heard = now
	key := nodeKey{b.Role, b.Node, b.Boot}
	n := p.nodes[key]
	if n == nil {
		if len(p.nodes) >= maxNodes {
			return append(news, func() { p.ignore(fmt.Errorf("beat of %s %s: more than %d nodes", b.Role, b.Node, maxNodes)) })
		}
		n = &peer{role: b.Role, name: b.Node, boot: b.Boot}
		p.nodes[key] = n
		news = append(news, p.greets.newcomer)
		if p.obs.Joined != nil {
			news = append(news, func() { p.obs.Joined(b.Role, b.Node) })
		}
	}
	if twin := p.succeed(n, now); twin && p.obs.Twin != nil {
		news = append(news, func() { p.obs.Twin(b.Role, b.Node) })
	}
	n.take(now, b)
	if n.role == RoleMedia {
		p.unions.heard(&b)
	}
	if rivals := p.rivals; rivals != nil && len(b.Young) > 0 && !n.left {
		from := placement.Node{Name: n.name, Slot: n.slot, Capacity: n.capacity}
		news = append(news, func() { rivals(from, b.Young) })
	}
	return news
}

// succeed ends older incarnations of n's name: their calls count for the hold,
// but nobody asks them for anything. It reports a twin: a newer incarnation
// that is alive.
func (p *Presence) succeed(n *peer, now time.Time) (twin bool) {
	for key, other := range p.nodes {
		if key.role != n.role || key.name != n.name || key.boot == n.boot {
			continue
		}
		if key.boot > n.boot {
			return other.alive(now)
		}
		other.left = true
	}
	return false
}

// sweep forgets the dead, at most twice a second.
func (p *Presence) sweep(now time.Time) (news []func()) {
	if now.Sub(p.swept) < mediaBeat {
		return nil
	}
	p.swept = now
	for key, n := range p.nodes {
		switch {
		case !p.counts(n, now):
			delete(p.nodes, key)
		case !n.lost && !n.alive(now):
			n.lost = true
			gone := p.obs.Lost
			if n.left {
				gone = p.obs.Left
			}
			if gone != nil {
				calls := n.live()
				news = append(news, func() { gone(key.role, key.name, calls) })
			}
		}
	}
	return news
}

// counts reports whether the node's calls still count against caps, or, of
// other roles, whether it is worth remembering as dead.
func (p *Presence) counts(n *peer, now time.Time) bool {
	return now.Sub(n.seen) < max(p.hold, otherSilent)
}

// Active implements actors.Load: the distinct live calls that count for key,
// those of dead nodes for a while among them. Callers must not change the map.
func (p *Presence) Active(key endpoint.Key) map[call.ID]struct{} {
	now := p.now()
	p.mu.RLock()
	defer p.mu.RUnlock()
	var room [8]idSet
	sets := room[:0]
	for _, n := range p.nodes {
		if set := n.calls[key]; len(set) > 0 && p.counts(n, now) {
			sets = append(sets, set)
		}
	}
	switch len(sets) {
	case 0:
		return nil
	case 1:
		return sets[0]
	}
	return p.unions.of(key, sets)
}

// Beats implements actors.BeatCounter: how many complete reports have come of
// a media node.
func (p *Presence) Beats(node string) uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var sum uint64 // of all incarnations: a restart must not set it back
	for key, n := range p.nodes {
		if key.role == RoleMedia && key.name == node {
			sum += n.beats
		}
	}
	return sum
}

// Media lists the live media nodes, for placement.
func (p *Presence) Media() []placement.Node {
	now := p.now()
	p.mu.RLock()
	defer p.mu.RUnlock()
	var list []placement.Node
	for _, n := range p.nodes {
		if n.role == RoleMedia && n.alive(now) {
			list = append(list, placement.Node{Name: n.name, Slot: n.slot, Capacity: n.capacity, Draining: n.draining})
		}
	}
	return list
}

// Alive lists the live nodes of a role by name.
func (p *Presence) Alive(role string) []string {
	now := p.now()
	p.mu.RLock()
	defer p.mu.RUnlock()
	var names []string
	for _, n := range p.nodes {
		if n.role == role && n.alive(now) {
			names = append(names, n.name)
		}
	}
	return names
}

// Gone reports that an edge is dead: its beats have stopped, or it has left. An
// edge never heard of, and each one after this node was cut off, is given the
// time in which it would have beaten.
func (p *Presence) Gone(edge string) bool {
	now := p.now()
	p.mu.RLock()
	defer p.mu.RUnlock()
	listened, known := now.Sub(p.resumed) >= otherSilent, false
	for _, n := range p.nodes {
		if n.role == RoleEdge && n.name == edge {
			known = true
			if n.alive(now) || !n.left && !listened {
				return false
			}
		}
	}
	return known || listened
}
