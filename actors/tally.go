package actors

import (
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// reservationTTL is how long an admitted call counts without a media node's
// report that shows it.
const reservationTTL = 10 * time.Second

// reportLag is how far a node's reports may lag behind its answers, on their
// way through other queues.
const reportLag = 250 * time.Millisecond

// settling is how long after a media node took a call another decider may not
// have heard of it: one whole report may be lost.
const settling = time.Second

// A tally counts the calls of one key exactly: those that media nodes report,
// and those admitted since, which no report shows yet. Its size is bounded by
// the cap it serves.
type tally struct {
	admitted map[call.TransactionKey]time.Time // no media node has answered yet: until
	known    map[call.ID]reservation           // taken, not yet reported
	settling map[call.ID]time.Time             // reported to us, and to others at that time at the latest
}

// A reservation is a call that a media node took and that its reports do not
// show yet.
type reservation struct {
	taken time.Time
	node  string
	beat  uint64 // reports of the node that had come when it took the call
}

// gone reports that the reservation no longer counts. The first report after
// the call was taken may have been made up before; the second, unless reports
// lag, was not. Every report that shows the call ends its reservation, so a
// call that the second does not show has ended.
func (r reservation) gone(now time.Time, beats BeatCounter) bool {
	held := now.Sub(r.taken)
	return held >= reservationTTL || held >= reportLag && beats != nil && beats.Beats(r.node) >= r.beat+2
}

// count returns how many distinct calls of key there are at now, and how many
// of those admitted here other deciders may not have heard of. It forgets what
// no longer counts. Reports are counted before they are read: a report that
// comes in between is in what is read.
func (t *tally) count(now time.Time, key endpoint.Key, load Load, beats BeatCounter) (calls, recent int) {
	for id, r := range t.known {
		if r.gone(now, beats) {
			delete(t.known, id)
		}
	}
	active := load.Active(key)
	for id, r := range t.known {
		if _, shown := active[id]; shown {
			delete(t.known, id)
			t.settle(now, id, r.taken.Add(settling))
		}
	}
	for tx, until := range t.admitted {
		if !now.Before(until) {
			delete(t.admitted, tx)
		}
	}
	for id, until := range t.settling {
		if !now.Before(until) {
			delete(t.settling, id)
		}
	}
	reserved := len(t.known) + len(t.admitted)
	return len(active) + reserved, reserved + len(t.settling)
}

// settle keeps a call that was reported until others have heard of it too.
func (t *tally) settle(now time.Time, id call.ID, until time.Time) {
	if !now.Before(until) {
		return
	}
	if t.settling == nil {
		t.settling = make(map[call.ID]time.Time)
	}
	t.settling[id] = until
}

// admit reserves a place for a call that is about to be offered.
func (t *tally) admit(now time.Time, tx call.TransactionKey) {
	if t.admitted == nil {
		t.admitted = make(map[call.TransactionKey]time.Time)
	}
	t.admitted[tx] = now.Add(reservationTTL)
}

// release gives the place back: no call came of it.
func (t *tally) release(tx call.TransactionKey) { delete(t.admitted, tx) }

// confirm moves a reservation to the call that came of it.
func (t *tally) confirm(now time.Time, tx call.TransactionKey, taken Taken, beats BeatCounter) {
	_, held := t.admitted[tx]
	delete(t.admitted, tx)
	if !held {
		return // a repetition: the call has been counted since its first copy
	}
	if t.known == nil {
		t.known = make(map[call.ID]reservation)
	}
	r := reservation{taken: now, node: taken.Node}
	if beats != nil {
		r.beat = beats.Beats(taken.Node)
	}
	t.known[taken.ID] = r
}

// empty reports that nothing is reserved at now.
func (t *tally) empty(now time.Time) bool {
	for _, r := range t.known {
		if !r.gone(now, nil) {
			return false
		}
	}
	for _, until := range t.admitted {
		if now.Before(until) {
			return false
		}
	}
	for _, until := range t.settling {
		if now.Before(until) {
			return false
		}
	}
	return true
}

// A quota is what one endpoint or one project has used of its limits.
type quota struct {
	tally
	rate endpoint.Bucket
}

func (q *quota) idle(now time.Time) bool { return q.rate.Full(now) && q.empty(now) }
