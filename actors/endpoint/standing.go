package endpoint

// A Standing is how a decider stands to an endpoint when an INVITE comes. The
// zero Standing is the owner's, who alone keeps caps and keeps them exactly.
type Standing struct {
	Deciders int // nodes that may decide instead of an owner, this one among them; 0: this is the owner
	Rank     int // of this node among them for the endpoint's partition, from 0
}

// Owner reports that caps are kept in full.
func (s Standing) Owner() bool { return s.Deciders == 0 }

// sharePart is how small a part of a cap all deciders together may have on the
// way at once, without an owner: an eighth.
const sharePart = 8

// Bounds are an endpoint's own limits, for a decider of one standing. Negative
// means no limit.
type Bounds struct {
	Refuse    bool // nobody may decide but the owner
	Calls     int  // that the endpoint may have
	PerSecond int  // that this decider may admit
	Others    int  // of Calls, places that other deciders may be filling at this moment
	Recent    int  // calls of this decider's own that the others may not have heard of
}

// Bounds returns what a decider may do under the endpoint's cap policy. The
// owner has the limits as they are stored. Without one, open has none, and
// strict refuses where there is any. share, the default, never lets a cap or a
// rate be exceeded, however many decide at once: each decider has its part of
// the rate, and no more than its part of an eighth of the cap on the way at
// once, one at least; and each keeps the others' parts free. A cap or rate
// below the number of deciders is for the first ones of the partition's order.
func (e *Endpoint) Bounds(s Standing) Bounds {
	b := Bounds{Calls: orNone(e.MaxConcurrentCalls), PerSecond: orNone(e.MaxCallsPerSecond), Recent: -1}
	switch {
	case s.Owner():
	case e.CapPolicy == CapOpen:
		b.Calls, b.PerSecond = -1, -1
	case e.CapPolicy == CapStrict:
		b.Refuse = b.Calls >= 0 || b.PerSecond >= 0
	case s.Deciders > 1:
		if b.Calls >= 0 {
			b.Recent, b.Others = s.partOfCap(b.Calls)
		}
		if b.PerSecond >= 0 {
			b.PerSecond = s.part(b.PerSecond)
		}
	}
	return b
}

func orNone(limit *int) int {
	if limit == nil {
		return -1
	}
	return *limit
}

// part divides n among the deciders; the rest goes to the first ones.
func (s Standing) part(n int) int {
	mine := n / s.Deciders
	if s.Rank < n%s.Deciders {
		mine++
	}
	return mine
}

func (s Standing) partOfCap(most int) (mine, others int) {
	if most < s.Deciders {
		mine = s.part(most)
		return mine, most - mine
	}
	mine = max(most/(sharePart*s.Deciders), 1)
	return mine, mine * (s.Deciders - 1)
}

// within reports whether one more call of the endpoint is within its cap.
func (b *Bounds) within(use *Usage) bool {
	return b.Calls < 0 || use.Calls+b.Others < b.Calls && (b.Recent < 0 || use.Recent < b.Recent)
}
