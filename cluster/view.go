package cluster

import (
	"strconv"
	"sync"

	"patchbay/cluster/placement"
	"patchbay/cluster/tenure"
)

// view is what the beats say to an actor node about the partitions: the other
// actor nodes that are alive, the whole reports of each start of live media
// nodes, and the number of its own last beat that came back; 0: none has.
func (p *Presence) view(me string, boot uint64) (others []tenure.Actor, media map[string]uint64, heard uint64) {
	now := p.now()
	media = map[string]uint64{}
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, n := range p.nodes {
		switch {
		case n.role == RoleActor && n.name == me:
			if n.boot == boot {
				heard = n.seq
			}
		case !n.alive(now):
		case n.role == RoleActor:
			others = append(others, tenure.Actor{Claims: n.claims,
				Node: placement.Node{Name: n.name, Capacity: n.capacity, Draining: n.draining}})
		case n.role == RoleMedia:
			media[incarnation(n)] = n.wholes
		}
	}
	return others, media, heard
}

// incarnation names one start of a node: the next one counts its reports anew.
func incarnation(n *peer) string { return n.name + " " + strconv.FormatUint(n.boot, 36) }

// Greetings returns a channel that holds a token when a node has joined.
func (p *Presence) Greetings() <-chan struct{} { return p.greets.add() }

// greetings make nodes that are there beat at once when another joins, so that
// it need not wait for a whole round.
type greetings struct {
	mu    sync.Mutex
	hosts []chan struct{}
}

func (g *greetings) add() <-chan struct{} {
	host := make(chan struct{}, 1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hosts = append(g.hosts, host)
	return host
}

func (g *greetings) newcomer() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, host := range g.hosts {
		select {
		case host <- struct{}{}:
		default:
		}
	}
}
