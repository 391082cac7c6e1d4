package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"patchbay/actors/call"
)

// Limits of calls that nobody claims (design D2 and D4).
const (
	doubtTime   = 5 * time.Second        // how long nobody must have claimed a call before its messages are 481
	doubtAsks   = 3                      // searches in vain that this takes at least: one slow moment proves nothing, nor do two
	doubtMemory = 13 * time.Second       // after a search; a later one begins anew: T2 apart, copies may take three edges in turn
	doubtRest   = 150 * time.Millisecond // between two searches for one call over UDP
	maxDoubts   = 4096                   // calls in doubt that an edge remembers; the oldest is forgotten and doubted anew
)

// Limits of messages of reliable transports that wait for their call.
const (
	maxHold      = doubtTime + 500*time.Millisecond // until the last ask: the first search, from which doubt counts, may take so long
	maxHeld      = 2048                             // held at once by one edge; beyond it 503
	maxHeldBytes = 16 << 20                         // of them; beyond it 503
	firstPause   = 100 * time.Millisecond           // before they are asked about again; doubled each time
	lastPause    = 800 * time.Millisecond
	echoTimeout  = 150 * time.Millisecond // for this node's own words to come back from NATS
)

// doubts remember since when nobody claims a call. Only messages with a valid
// token get here, so that no stranger fills it.
type doubts struct {
	calls *ring[call.ID, doubt]
	any   atomic.Bool // there was one: saves the path of every message a lock
}

type doubt struct {
	since, last time.Time
	asks        int
}

func newDoubts(limit int) *doubts { return &doubts{calls: newRing[call.ID, doubt](limit)} }

// note says that nobody claimed the call at now, and reports whether that has
// been so for long enough, and often enough, to call it gone.
func (d *doubts) note(id call.ID, now time.Time) (gone bool) {
	d.any.Store(true)
	known, ok := d.calls.get(id)
	if !ok || now.Sub(known.last) > doubtMemory {
		known = doubt{since: now}
	}
	known.last = now
	known.asks++
	d.calls.put(id, known)
	return known.gone()
}

func (d doubt) gone() bool { return d.asks >= doubtAsks && d.last.Sub(d.since) >= doubtTime }

// fresh reports that the call was searched for a moment ago, in vain.
func (d *doubts) fresh(id call.ID, now time.Time) bool {
	if !d.any.Load() {
		return false
	}
	known, ok := d.calls.get(id)
	return ok && now.Sub(known.last) < doubtRest && !known.gone()
}

// forget ends a doubt: the call was found, or nobody could be asked.
func (d *doubts) forget(id call.ID) {
	if d.any.Load() {
		d.calls.forget(id)
	}
}

// held counts the messages that wait for their call.
type held struct {
	mu    sync.Mutex
	count int
	bytes int
}

func (h *held) take(size int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count >= maxHeld || h.bytes+size > maxHeldBytes {
		return false
	}
	h.count++
	h.bytes += size
	return true
}

func (h *held) give(size int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count--
	h.bytes -= size
}
