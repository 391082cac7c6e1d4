package txn

import "time"

// MaxAnswers is how many answered requests of one dialog are remembered for
// their retransmissions. Beyond it the oldest is forgotten.
const MaxAnswers = 8

// A Request is what makes two copies of a non-INVITE request the same within a
// dialog (RFC 3261 17.2.3): CSeq tells those apart whose branch is of RFC 2543.
type Request struct {
	Branch string
	Method string
	Seq    uint32
}

// Answers are the non-INVITE server transactions of one dialog. Each request
// is answered at once, so that all that is left of it is its answer.
type Answers struct {
	kept []answer // oldest first
}

type answer struct {
	request Request
	raw     []byte
	end     time.Time // timer J
}

// Find returns the answer that a copy of a request is owed; nil: it is new.
func (a *Answers) Find(r Request) []byte {
	for i := range a.kept {
		if a.kept[i].request == r {
			return a.kept[i].raw
		}
	}
	return nil
}

// Keep remembers an answer for timer J. RFC 3261 makes that zero on reliable
// transports; here it is T4, because nodes may hand a message on twice.
func (a *Answers) Keep(now time.Time, timers Timers, reliable bool, r Request, raw []byte) {
	hold := timers.Timeout()
	if reliable {
		hold = timers.T4
	}
	if len(a.kept) == MaxAnswers {
		a.kept = append(a.kept[:0], a.kept[1:]...)
	}
	a.kept = append(a.kept, answer{r, raw, now.Add(hold)})
}

// Wake forgets what need not be remembered any more.
func (a *Answers) Wake(now time.Time) {
	live := a.kept[:0]
	for _, k := range a.kept {
		if !passed(k.end, now) {
			live = append(live, k)
		}
	}
	clear(a.kept[len(live):])
	if a.kept = live; len(live) == 0 {
		a.kept = nil
	}
}

// Deadline is when Wake wants to be called; zero: not at all.
func (a *Answers) Deadline() time.Time {
	var first time.Time
	for i := range a.kept {
		first = Earliest(first, a.kept[i].end)
	}
	return first
}

// Empty reports that nothing is remembered.
func (a *Answers) Empty() bool { return len(a.kept) == 0 }
