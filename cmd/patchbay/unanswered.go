package main

import (
	"bytes"
	"hash/maphash"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/edge"
)

// Limits of what an edge knows of the INVITEs that wait for an answer by it.
const (
	maxUnanswered    = 1 << 16
	unansweredShards = 16
	unansweredLife   = 3 * time.Minute // timer C (RFC 3261 16.6): nobody rings longer
)

// An unanswered knows the INVITEs that came through this node's edge and whose
// calls have not answered yet. Answers to those that came by a connection can
// leave by this edge alone, so a draining one waits for them; to the others they
// leave by any. It is an edge.Router in front of another.
type unanswered struct {
	edge.Router
	now    func() time.Time
	count  atomic.Int32 // of all shards, for who looks at every message
	seed   maphash.Seed
	shards [unansweredShards]waitingInvites
}

// waitingInvites are a share of them, with a lock of its own.
type waitingInvites struct {
	mu    sync.Mutex
	since map[transaction]waiting
}

// A waiting is an INVITE without an answer.
type waiting struct {
	at       time.Time
	reliable bool // it came by a connection
}

// A transaction is an INVITE as its responses name it.
type transaction struct {
	callID string
	cseq   uint32
}

func newUnanswered(r edge.Router) *unanswered {
	u := &unanswered{Router: r, now: time.Now, seed: maphash.MakeSeed()}
	for i := range u.shards {
		u.shards[i].since = make(map[transaction]waiting)
	}
	return u
}

// Invite implements edge.Router.
func (u *unanswered) Invite(inv endpoint.Invite, cancel bool, p call.Packet, done func(edge.Outcome)) {
	if cancel {
		u.Router.Invite(inv, cancel, p, done)
		return
	}
	t := transaction{inv.CallID, inv.CSeq}
	u.begin(t, p.Flow.Transport.Reliable())
	u.Router.Invite(inv, cancel, p, func(o edge.Outcome) {
		if !o.Taken {
			u.end(t)
		}
		done(o)
	})
}

func (u *unanswered) shard(t transaction) *waitingInvites {
	return &u.shards[maphash.Comparable(u.seed, t)%unansweredShards]
}

// waits reports whether an INVITE has come before and waits for its answer.
func (u *unanswered) waits(inv endpoint.Invite) bool {
	t := transaction{inv.CallID, inv.CSeq}
	s := u.shard(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.since[t]
	return ok
}

func (u *unanswered) begin(t transaction, reliable bool) {
	s := u.shard(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.since[t]; again {
		return
	}
	if len(s.since) >= maxUnanswered/unansweredShards && u.expire(s) == 0 {
		return
	}
	s.since[t] = waiting{u.now(), reliable}
	u.count.Add(1)
}

func (u *unanswered) end(t transaction) {
	s := u.shard(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.since[t]; ok {
		delete(s.since, t)
		u.count.Add(-1)
	}
}

// expire forgets those that nobody will answer here any more: their answers
// left by other edges. The caller holds the shard.
func (u *unanswered) expire(s *waitingInvites) (gone int) {
	limit := u.now().Add(-unansweredLife)
	for t, w := range s.since {
		if w.at.Before(limit) {
			delete(s.since, t)
			gone++
		}
	}
	u.count.Add(int32(-gone))
	return gone
}

// len returns how many wait for an answer that only this edge can give.
func (u *unanswered) len() (n int) {
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.Lock()
		u.expire(s)
		for _, w := range s.since {
			if w.reliable {
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

// sent looks at a message that leaves by the edge.
func (u *unanswered) sent(raw []byte) {
	if u.count.Load() == 0 {
		return
	}
	if t, final := finalToInvite(raw); final {
		u.end(t)
	}
}

// finalToInvite reads which INVITE a message is the final response to. The
// message is one of ours: in normal form.
func finalToInvite(raw []byte) (t transaction, ok bool) {
	rest, ok := bytes.CutPrefix(raw, []byte("SIP/2.0 "))
	if !ok || len(rest) == 0 || rest[0] == '1' {
		return t, false
	}
	seq, method, ok := bytes.Cut(field(rest, "\r\nCSeq: "), []byte(" "))
	if !ok || string(method) != "INVITE" {
		return t, false
	}
	n, err := strconv.ParseUint(string(seq), 10, 32)
	id := field(rest, "\r\nCall-ID: ")
	return transaction{string(id), uint32(n)}, err == nil && id != nil
}

// field returns the value of the first header field that begins so.
func field(raw []byte, name string) []byte {
	_, rest, ok := bytes.Cut(raw, []byte(name))
	if !ok {
		return nil
	}
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return value
}
