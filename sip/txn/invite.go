package txn

import "time"

type inviteState uint8

const (
	proceeding inviteState = iota
	completed              // non-2xx sent, ACK awaited
	confirmed              // its ACK came; copies of it are absorbed
	accepted               // 2xx sent (RFC 6026)
	terminated
)

// An InviteServer is the INVITE server transaction together with the UAS
// core's care for the 2xx, which is retransmitted until its ACK on every
// transport (RFC 3261 13.3.1.4). The zero value is of no use; see
// [StartInvite].
type InviteServer struct {
	timers   Timers
	reliable bool
	state    inviteState
	acked    bool
	last     []byte // last response
	copies   resend // timer G, or the core's clock for the 2xx
	end      time.Time
}

// StartInvite returns the transaction of an INVITE that has just arrived.
// reliable is about the transport it came over.
func StartInvite(timers Timers, reliable bool) InviteServer {
	return InviteServer{timers: timers, reliable: reliable}
}

// ResumeAccepted returns the transaction of an INVITE that another node
// answered with a 2xx: nothing of it is left to do.
func ResumeAccepted(timers Timers, reliable bool) InviteServer {
	return InviteServer{timers: timers, reliable: reliable, state: accepted, acked: true}
}

// Respond takes a response that is about to be sent for the first time. It
// reports false, and the response must not be sent, after a final one.
func (t *InviteServer) Respond(now time.Time, status int, raw []byte) bool {
	if t.state != proceeding {
		return false
	}
	t.last = raw
	switch {
	case status < 200:
		return true
	case status < 300:
		t.state = accepted
		t.copies.start(now, t.timers.T1, t.timers.T2)
	default:
		t.state = completed
		if !t.reliable { // timer G
			t.copies.start(now, t.timers.T1, t.timers.T2)
		}
	}
	t.end = now.Add(t.timers.Timeout()) // timers H and L
	return true
}

// Final reports that a final response was given.
func (t *InviteServer) Final() bool { return t.state != proceeding }

// Accepted reports that the final response was a 2xx, even long ago.
func (t *InviteServer) Accepted() bool { return t.state == accepted }

// AwaitsAck reports that a 2xx was sent whose ACK has neither come nor been
// given up.
func (t *InviteServer) AwaitsAck() bool { return t.state == accepted && !t.acked && !t.end.IsZero() }

// Copy takes a retransmission of the INVITE and returns the response it is
// owed: the last one, or nil when there is none yet or the ACK has come
// (17.2.1; in the Accepted state the core answers, which RFC 6026 leaves to it).
func (t *InviteServer) Copy() []byte { return t.last }

// Ack takes an ACK, which the caller has matched to the final response. It
// reports true for the first one.
func (t *InviteServer) Ack(now time.Time) bool {
	if t.acked || (t.state != completed && t.state != accepted) {
		return false
	}
	t.acked = true
	t.last = nil
	t.copies.stop()
	if t.state == completed {
		t.state = confirmed
		t.end = now.Add(t.timers.T4) // timer I
		if t.reliable {
			t.finish()
		}
	}
	return true
}

// Abandon stops the retransmission of a 2xx that nobody will acknowledge: the
// dialog is over.
func (t *InviteServer) Abandon() {
	if t.state == accepted {
		t.last = nil
		t.copies.stop()
		t.acked = true
	}
}

// Wake returns the copy that is due now, if any. unacked says that the ACK of
// a 2xx has not come within 64*T1; it is said once.
func (t *InviteServer) Wake(now time.Time) (raw []byte, unacked bool) {
	if passed(t.end, now) {
		unacked = t.state == accepted && !t.acked
		t.finish()
		return nil, unacked
	}
	if t.copies.due(now) {
		return t.last, false
	}
	return nil, false
}

func (t *InviteServer) finish() {
	if t.state != accepted {
		t.state = terminated
	}
	t.last = nil
	t.copies.stop()
	t.end = time.Time{}
}

// Deadline is when Wake wants to be called; zero: not at all.
func (t *InviteServer) Deadline() time.Time { return Earliest(t.copies.at, t.end) }

// Done reports that nothing need be kept for copies of the INVITE or its ACK.
func (t *InviteServer) Done() bool { return t.state != proceeding && t.end.IsZero() }
