package txn

import "time"

type callerState uint8

const (
	calling  callerState = iota
	pending              // a provisional response has come
	answered             // a 2xx has come (RFC 6026)
	refused              // another final response has come; its copies get the ACK again
	lapsed               // none came, or none will
)

// A Heard is what a response means to an INVITE client transaction.
type Heard uint8

const (
	HeardNothing     Heard = iota // too late to mean anything
	HeardProgress                 // provisional
	HeardAnswer                   // 2xx, the first or any other: its ACK is the caller's
	HeardRefusal                  // the first other final response: its ACK is due
	HeardRefusalCopy              // the same again: the ACK is due again
)

// An InviteClient is the INVITE client transaction (RFC 3261 17.1.1, with the
// Accepted state of RFC 6026). Every 2xx belongs to whoever uses it, also one
// that comes after a refusal: a proxy passes all of them on (16.7). The zero
// value is one that was never started.
type InviteClient struct {
	timers  Timers
	started bool
	state   callerState
	raw     []byte    // the INVITE, while copies of it may leave; then the ACK of a refusal
	copies  resend    // timer A
	end     time.Time // timers B, D and M
}

// StartInviteClient returns the transaction of an INVITE that is about to be
// sent for the first time over a transport that is reliable or not.
func StartInviteClient(now time.Time, timers Timers, reliable bool, raw []byte) InviteClient {
	t := InviteClient{timers: timers, started: true, raw: raw, end: now.Add(timers.Timeout())} // timer B
	if !reliable {
		t.copies.start(now, timers.T1, timers.Timeout())
	}
	return t
}

// ResumeInviteClient returns the transaction of an INVITE that another node
// sent and that rings: a final response is waited for, until [InviteClient.Expect]
// sets a limit.
func ResumeInviteClient(timers Timers) InviteClient {
	return InviteClient{timers: timers, started: true, state: pending}
}

// Response takes a response that the caller has matched by branch and method.
func (t *InviteClient) Response(now time.Time, status int) Heard {
	switch {
	case !t.started:
		return HeardNothing
	case status >= 200 && status < 300:
		if t.state != answered {
			t.settle(answered, now.Add(t.timers.Timeout())) // timer M
		}
		return HeardAnswer
	case t.state == refused && status >= 300:
		return HeardRefusalCopy
	case t.state == answered, t.state == refused:
		return HeardNothing
	case status < 200:
		t.provisional()
		return HeardProgress
	}
	// Timer D is 0 on reliable transports. Here it is not: a 2xx of another fork
	// may follow, and nodes may hand a message on twice.
	t.settle(refused, now.Add(t.timers.Timeout()))
	return HeardRefusal
}

// provisional stops timers A and B. One that lapsed goes on to: somebody
// rings for nobody, and a CANCEL may follow.
func (t *InviteClient) provisional() {
	if t.state == calling {
		t.state = pending
		t.raw = nil
		t.end = time.Time{}
		t.copies.stop()
	}
}

func (t *InviteClient) settle(state callerState, end time.Time) {
	t.state, t.end, t.raw = state, end, nil
	t.copies.stop()
}

// Acknowledged keeps the ACK of a refusal for its copies.
func (t *InviteClient) Acknowledged(ack []byte) { t.raw = ack }

// Ack is the ACK that a copy of a refusal is owed.
func (t *InviteClient) Ack() []byte { return t.raw }

// Expect bounds the wait for a final response, which a CANCEL hastens
// (RFC 3261 9.1): 64*T1 from now.
func (t *InviteClient) Expect(now time.Time) {
	if t.state == pending {
		t.end = now.Add(t.timers.Timeout())
	}
}

// Hasten bounds the wait for the first response to less than timer B, where
// there is somebody else to ask. One that has come stays heard.
func (t *InviteClient) Hasten(end time.Time) {
	if t.started && t.state == calling && end.Before(t.end) {
		t.end = end
	}
}

// Lapse gives the INVITE up: none of it was sent, or nothing comes. What comes
// within 64*T1 all the same is still taken.
func (t *InviteClient) Lapse(now time.Time) {
	if t.Open() {
		t.settle(lapsed, now.Add(t.timers.Timeout()))
	}
}

// Wake returns the copy of the INVITE that is due now, if any. timeout says
// that no final response came in time (timer B; it has lapsed); it is said once.
func (t *InviteClient) Wake(now time.Time) (raw []byte, timeout bool) {
	if passed(t.end, now) {
		if t.Open() {
			t.Lapse(now)
			return nil, true
		}
		t.end, t.raw = time.Time{}, nil
		return nil, false
	}
	if t.copies.due(now) {
		return t.raw, false
	}
	return nil, false
}

// Open reports that a final response is still waited for.
func (t *InviteClient) Open() bool { return t.started && (t.state == calling || t.state == pending) }

// Pending reports that a provisional response has come and no final one: a
// CANCEL may be sent.
func (t *InviteClient) Pending() bool { return t.state == pending }

// Deadline is when Wake wants to be called; zero: not at all.
func (t *InviteClient) Deadline() time.Time { return Earliest(t.copies.at, t.end) }

// Done reports that nothing need be kept, not even for late responses. One that
// was never started is done.
func (t *InviteClient) Done() bool { return !t.Open() && t.end.IsZero() }
