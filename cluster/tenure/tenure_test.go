package tenure_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/cluster/placement"
	"patchbay/cluster/tenure"
)

const (
	tick      = 100 * time.Millisecond // of the simulation: how often nodes look
	beat      = time.Second
	mediaBeat = 500 * time.Millisecond
	silent    = 3 * time.Second        // a node that was not heard for so long is dead to others
	slowest   = 150 * time.Millisecond // a message on its way
)

// A message is on its way from one node to another.
type message struct {
	at   time.Time
	to   *node
	take func(*node)
}

// A seen is what one node knows of another.
type seen struct {
	at    time.Time
	sent  time.Time
	actor tenure.Actor
}

// A node is one actor node of a simulated cluster.
type node struct {
	name       string
	started    time.Time
	dead, hung bool
	draining   bool
	book       tenure.Book
	standings  *tenure.Standings
	claims     placement.Set
	beaten     time.Time
	heard      time.Time
	seen       map[string]seen
	media      map[string]uint64
	lost       map[string]bool // the last message from there was lost
	serves     placement.Set
	open       bool
}

// A world is a cluster whose messages are late, lost and out of order as rapid
// wants.
type world struct {
	t     *rapid.T
	now   time.Time
	nodes []*node
	post  []message
	round uint64
	lossy bool
	rand  *rand.Rand
	log   []string // what was done, for a failure
}

func newWorld(t *rapid.T, n int) *world {
	seed := rapid.Uint64().Draw(t, "seed of the network")
	w := &world{t: t, now: time.Unix(1_700_000_000, 0), lossy: true, rand: rand.New(rand.NewPCG(seed, 1))}
	for range n {
		w.join()
	}
	return w
}

func (w *world) join() *node {
	n := &node{name: fmt.Sprintf("a%d", len(w.nodes)), started: w.now, seen: map[string]seen{}, media: map[string]uint64{},
		lost: map[string]bool{}, standings: &tenure.Standings{Nodes: 1}}
	w.note("join " + n.name)
	w.nodes = append(w.nodes, n)
	w.beat(n)
	for _, other := range w.nodes { // they greet it
		if other != n && !other.dead && !other.hung {
			w.beat(other)
		}
	}
	return n
}

// send posts a message, or loses it: never two in a row, and not the first.
func (w *world) send(from string, to *node, take func(*node)) {
	if lost, known := to.lost[from]; w.lossy && known && !lost && w.rand.IntN(20) == 0 {
		to.lost[from] = true
		return
	}
	to.lost[from] = false
	w.post = append(w.post, message{w.now.Add(time.Duration(w.rand.Int64N(int64(slowest)))), to, take})
}

func (w *world) beat(n *node) {
	n.beaten = w.now
	sent, actor := w.now, tenure.Actor{Claims: n.claims,
		Node: placement.Node{Name: n.name, Capacity: 2, Draining: n.draining || !n.open}}
	for _, to := range w.nodes {
		if to.dead {
			continue
		}
		w.send(n.name, to, func(to *node) {
			if to == n && sent.After(to.heard) {
				to.heard = sent
			}
			if old := to.seen[n.name]; !sent.Before(old.sent) {
				to.seen[n.name] = seen{w.now, sent, actor}
			}
		})
	}
}

// view is what the node sees now.
func (w *world) view(n *node) *tenure.View {
	v := &tenure.View{Now: w.now, Since: n.started, Heard: n.heard, Media: map[string]uint64{},
		Me: placement.Node{Name: n.name, Capacity: 2, Draining: n.draining || !n.open}}
	for name, s := range n.seen {
		if name != n.name && w.now.Sub(s.at) < silent {
			v.Others = append(v.Others, s.actor)
		}
	}
	for name, wholes := range n.media {
		v.Media[name] = wholes
	}
	return v
}

// pass lets one tick pass.
func (w *world) pass() {
	w.now = w.now.Add(tick)
	if w.round++; w.round%uint64(mediaBeat/tick) == 0 {
		for _, n := range w.nodes {
			w.send("m1", n, func(n *node) { n.media["m1"]++ })
		}
	}
	w.deliver()
	for _, n := range w.nodes {
		if n.dead || n.hung {
			continue
		}
		v := w.view(n)
		n.open = n.open || !n.heard.IsZero() && w.now.Sub(n.started) >= slowest+tenure.Greeting(len(v.Others))
		v.Me.Draining = n.draining || !n.open
		c := n.book.Update(v)
		for _, k := range c.Take {
			n.serves.Put(k)
		}
		for _, k := range c.Leave {
			n.serves.Drop(k)
		}
		n.standings = n.book.Standings(v)
		if claims := n.book.Claims(); claims != n.claims || w.now.Sub(n.beaten) >= beat {
			n.claims = claims
			w.beat(n)
		}
	}
}

// deliver gives what is due to nodes that run; a node that hangs gets it when
// it wakes.
func (w *world) deliver() {
	slices.SortStableFunc(w.post, func(a, b message) int { return a.at.Compare(b.at) })
	var later []message
	for _, m := range w.post {
		switch {
		case m.to.dead:
		case m.to.hung, m.at.After(w.now):
			later = append(later, m)
		default:
			m.take(m.to)
		}
	}
	w.post = later
}

// owners are the nodes that keep the caps of a partition now, those among them
// that hang and would find that they do.
func (w *world) owners(k uint8) (names []string) {
	for _, n := range w.nodes {
		if st, _ := n.standings.At(k, w.now); !n.dead && st.Owner() {
			names = append(names, n.name)
		}
	}
	return names
}

// some are a few partitions: all follow the same rules.
var some = []uint8{0, 7, 100, 200, 255}

func (w *world) checkOwners() {
	for _, k := range some {
		if names := w.owners(k); len(names) > 1 {
			w.t.Fatalf("%s: partition %d is kept by %v", strings.Join(w.log, ", "), k, names)
		}
	}
}

func (w *world) settle() {
	w.lossy = false
	for range 10 * time.Second / tick {
		w.pass()
		w.checkOwners()
	}
}

func (w *world) alive() (list []*node) {
	for _, n := range w.nodes {
		if !n.dead {
			list = append(list, n)
		}
	}
	return list
}

// anyone draws a node that is not dead.
func (w *world) anyone(why string) *node {
	all := w.alive()
	n := all[rapid.IntRange(0, len(all)-1).Draw(w.t, "node")]
	w.note(why + " " + n.name)
	return n
}

func (w *world) note(what string) {
	w.log = append(w.log, fmt.Sprintf("%.2f s %s", w.now.Sub(time.Unix(1_700_000_000, 0)).Seconds(), what))
}

func TestAPartitionNeverHasTwoOwnersThatKeepItsCapsAndSoonOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, rapid.IntRange(1, 4).Draw(rt, "nodes"))
		rt.Repeat(map[string]func(*rapid.T){
			"join": func(rt *rapid.T) {
				if len(w.alive()) > 4 {
					rt.Skip("large enough")
				}
				w.join()
			},
			"kill": func(rt *rapid.T) {
				if len(w.alive()) < 2 {
					rt.Skip("the last one")
				}
				w.anyone("kill").dead = true
			},
			"hang":  func(*rapid.T) { w.anyone("hang").hung = true },
			"wake":  func(*rapid.T) { w.anyone("wake").hung = false },
			"drain": func(*rapid.T) { n := w.anyone("drain or not"); n.draining = !n.draining },
			"time": func(rt *rapid.T) {
				for range rapid.IntRange(1, 50).Draw(rt, "ticks") {
					w.pass()
					w.checkOwners()
				}
			},
			"": func(*rapid.T) { w.checkOwners() },
		})
		for _, n := range w.nodes {
			n.hung = false
		}
		w.settle()
		var eligible []placement.Node
		for _, n := range w.alive() {
			eligible = append(eligible, placement.Node{Name: n.name, Capacity: 2, Draining: n.draining})
		}
		owners := placement.Owners(eligible)
		for _, k := range some {
			var want []string
			if owners[k] != "" {
				want = []string{owners[k]}
			}
			if got := w.owners(k); !slices.Equal(got, want) {
				rt.Fatalf("partition %d is kept by %v after all has settled, want %v", k, got, want)
			}
			for _, n := range w.alive() {
				if n.serves.Has(k) != (n.name == owners[k]) {
					rt.Fatalf("partition %d: %s serves it: %v", k, n.name, n.serves.Has(k))
				}
			}
		}
	})
}
