package actors

import (
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// memoryTTL is 64*T1: how long a carrier may retransmit an INVITE
// (RFC 3261 17.1.1.2, timer B).
const memoryTTL = 32 * time.Second

// A recollection is what became of an INVITE: where its repetitions go.
type recollection struct {
	tx     call.TransactionKey
	branch string
	until  time.Time

	refused bool
	outcome Outcome // of a refused INVITE

	// Of an accepted INVITE: what was offered, and where its place is reserved.
	job     Job // without its Packet
	key     endpoint.Key
	limited endpoint.Key // of the project, if that has limits
	style   endpoint.RefusalStyle
	// offering says that the intake has not answered the first copy yet.
	// Repetitions wait for that answer: at most maxWaiting.
	offering bool
	waiting  []*invite
}

// answered says that the intake has answered, and returns who waits for it.
func (r *recollection) answered() (waiting []*invite) {
	waiting = r.waiting
	r.offering, r.waiting = false, nil
	return waiting
}

// maxWaiting bounds the repetitions that wait for one INVITE's answer; later
// ones are left to the first copy's.
const maxWaiting = 16

// A memory keeps the recollections of one partition: at most limit, the oldest
// forgotten first.
type memory struct {
	limit int
	byTx  map[call.TransactionKey]*recollection
	order []*recollection // oldest first; forgotten ones stay until their turn
}

func (m *memory) find(tx call.TransactionKey, now time.Time) *recollection {
	r := m.byTx[tx]
	if r == nil || !now.Before(r.until) {
		return nil
	}
	return r
}

func (m *memory) add(r *recollection, now time.Time) {
	m.expire(now)
	for len(m.order) >= max(m.limit, 1) {
		m.dropOldest()
	}
	if m.byTx == nil {
		m.byTx = make(map[call.TransactionKey]*recollection)
	}
	r.until = now.Add(memoryTTL)
	m.byTx[r.tx] = r
	m.order = append(m.order, r)
}

// forget removes r, so that the next copy is decided anew.
func (m *memory) forget(r *recollection) {
	if m.byTx[r.tx] == r {
		delete(m.byTx, r.tx)
	}
}

func (m *memory) expire(now time.Time) {
	for len(m.order) > 0 && !now.Before(m.order[0].until) {
		m.dropOldest()
	}
	if len(m.order) == 0 {
		m.order, m.byTx = nil, nil
	}
}

func (m *memory) dropOldest() {
	m.forget(m.order[0])
	m.order[0] = nil
	m.order = m.order[1:]
}

func (m *memory) len() int { return len(m.order) }
