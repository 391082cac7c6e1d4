package tenure

import (
	"slices"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/cluster/placement"
)

// Times of a hand-over.
const (
	// Fence is how old the newest of our own beats that came back may be. The
	// others think us dead a second later.
	Fence = 2 * time.Second
	// Quiet is how long a node that lost a partition goes on to claim it, so that
	// whoever comes next sees all that was admitted here.
	Quiet = time.Second
	// quietMost bounds the wait for offers under way: no reservation is older.
	quietMost = 10 * time.Second
	// Overlap is how long a partition that is another's is still served, unless
	// that one claims it before. What is admitted until then must be in reports
	// before the next owner has settled.
	Overlap = 500 * time.Millisecond
	// Settle is how long a new owner is careful at least: by then everybody has
	// heard of its claim, though one beat was lost, and what others admitted before
	// is in media nodes' reports.
	Settle = 1250 * time.Millisecond
	// Copies is how long copies of an INVITE may come (64*T1, RFC 3261 timer B).
	Copies = 32 * time.Second
	// rounds is how many whole reports of each media node a new owner waits for:
	// the first may have been made up before.
	rounds = 2
)

// alone is how long a node that starts lets the others say that they are there.
const alone = 250 * time.Millisecond

// Greeting is how long after its first beat a node takes no partition and no
// INVITE: until it would have heard of others, and, if there are any, until
// they have counted it among the deciders for as long as a call may go unheard.
func Greeting(others int) time.Duration {
	if others == 0 {
		return alone
	}
	return alone + Settle
}

// An Actor is another actor node, as its beats show it.
type Actor struct {
	placement.Node
	Claims placement.Set // partitions whose caps it keeps, or is about to
}

// A View is what a node sees of the cluster at one moment.
type View struct {
	Now    time.Time
	Me     placement.Node    // Draining: it takes no partitions, and gives away what it has
	Since  time.Time         // when we began to listen
	Heard  time.Time         // when the newest of our own beats that came back was sent; zero: none has
	Others []Actor           // that are alive
	Media  map[string]uint64 // whole reports so far of each media node that is alive, by its start; not changed later
	Busy   func(k uint8) bool
}

// A phase is how a node stands to a partition.
type phase uint8

const (
	away    phase = iota
	careful       // it serves and claims the partition, but has not heard of all calls
	full          // and keeps its caps in full
	quiet         // the partition is another's, who does not know yet what was admitted here
	overlap       // and is still served, for those that have not heard of it
)

type seat struct {
	phase phase
	since time.Time
	media map[string]uint64 // whole reports when the phase began; of one that started later: none
}

func (s *seat) enter(p phase, v *View) { *s = seat{phase: p, since: v.Now, media: v.Media} }

// A Book is what a node knows of its own partitions. It takes one caller at a
// time.
type Book struct {
	seats  [endpoint.Partitions]seat
	nodes  []placement.Node // by which owners and ranks were computed
	owners [endpoint.Partitions]string
	ranks  [endpoint.Partitions]int
}

// A Change is what a node has to do about its partitions.
type Change struct {
	Take  []uint8 // subscriptions to begin
	Leave []uint8 // subscriptions to end
}

// Update moves the book on to what the node sees now.
func (b *Book) Update(v *View) (c Change) {
	b.place(v)
	var claimed placement.Set
	for i := range v.Others {
		claimed = claimed.Union(v.Others[i].Claims)
	}
	fresh := !v.Heard.IsZero() && v.Now.Sub(v.Heard) < Fence
	for k := range b.seats {
		s, part := &b.seats[k], uint8(k)
		was := s.phase
		s.step(v, part, b.owners[k] == v.Me.Name, claimed.Has(part), fresh)
		switch {
		case was == away && s.phase != away:
			c.Take = append(c.Take, part)
		case was != away && s.phase == away:
			c.Leave = append(c.Leave, part)
		}
	}
	return c
}

// place computes owners and ranks anew if the nodes have changed.
func (b *Book) place(v *View) {
	nodes := make([]placement.Node, 0, len(v.Others)+1)
	nodes = append(nodes, v.Me)
	for i := range v.Others {
		nodes = append(nodes, v.Others[i].Node)
	}
	slices.SortFunc(nodes, func(a, b placement.Node) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	if slices.Equal(nodes, b.nodes) {
		return
	}
	b.nodes, b.owners, b.ranks = nodes, placement.Owners(nodes), placement.Ranks(v.Me.Name, nodes)
}

// step moves one partition on. mine: we should own it; claimed: another claims
// it; fresh: our beats come back.
func (s *seat) step(v *View, k uint8, mine, claimed, fresh bool) {
	switch s.phase {
	case away, overlap:
		s.outside(v, mine, claimed)
	case careful, full:
		s.owning(v, mine, claimed, fresh)
	case quiet:
		s.leaving(v, k, mine)
	}
}

func (s *seat) outside(v *View, mine, claimed bool) {
	switch {
	case mine && !claimed:
		s.enter(careful, v)
	case s.phase == overlap && !mine && (claimed || v.Now.Sub(s.since) >= Overlap):
		s.enter(away, v)
	}
}

func (s *seat) owning(v *View, mine, claimed, fresh bool) {
	switch {
	case !mine:
		s.enter(quiet, v)
	case claimed, !fresh:
		s.enter(careful, v)
	case s.phase == careful && s.settled(v):
		s.enter(full, v)
	}
}

func (s *seat) leaving(v *View, k uint8, mine bool) {
	held := v.Now.Sub(s.since)
	busy := v.Busy != nil && v.Busy(k)
	switch {
	case mine:
		s.enter(careful, v)
	case held >= quietMost, held >= Quiet && !busy:
		s.enter(overlap, v)
	}
}

// settled reports that a new owner has heard of every call: its claim has come
// back to it, and a whole round of reports was made since nobody else claimed
// the partition. An owner that we have never heard of trusts itself no longer
// by then either.
func (s *seat) settled(v *View) bool {
	if !v.Heard.After(s.since) || v.Now.Sub(s.since) < Settle || v.Now.Sub(v.Since) < Fence+Settle {
		return false
	}
	for node, n := range v.Media {
		if n < s.media[node]+rounds {
			return false
		}
	}
	return true
}

// Claims are the partitions that the node tells the others are its own.
func (b *Book) Claims() (s placement.Set) {
	return b.where(func(p phase) bool { return p == careful || p == full || p == quiet })
}

// Owned are the partitions that are the node's, those among them that it is
// still careful with.
func (b *Book) Owned() (s placement.Set) {
	return b.where(func(p phase) bool { return p == careful || p == full })
}

// where returns the partitions in some phases.
func (b *Book) where(is func(phase) bool) (s placement.Set) {
	for k := range b.seats {
		if is(b.seats[k].phase) {
			s.Put(uint8(k))
		}
	}
	return s
}

// Standings are how a node stands to all partitions. They never change: each
// update of the book has its own.
type Standings struct {
	Full    placement.Set // caps are kept in full
	Settled placement.Set // and have been for so long that no copy of another's INVITE can come
	Until   time.Time     // and from then on no longer, unless beats come back
	Nodes   int           // that may decide, this one among them
	Ranks   [endpoint.Partitions]int
}

// Standings returns how the node stands to partitions after an update.
func (b *Book) Standings(v *View) *Standings {
	s := &Standings{Full: b.where(func(p phase) bool { return p == full }), Until: v.Heard.Add(Fence), Nodes: len(b.nodes), Ranks: b.ranks}
	for k := range b.seats {
		if seat := &b.seats[k]; seat.phase == full && v.Now.Sub(seat.since) >= Copies {
			s.Settled.Put(uint8(k))
		}
	}
	return s
}

// At returns how the node stands to a partition at that moment. settled: it has
// been the owner for so long that no copy of another's INVITE can come.
func (s *Standings) At(k uint8, now time.Time) (st endpoint.Standing, settled bool) {
	if s.Full.Has(k) && now.Before(s.Until) {
		return endpoint.Standing{}, s.Settled.Has(k)
	}
	return endpoint.Standing{Deciders: s.Nodes, Rank: s.Ranks[k]}, false
}
