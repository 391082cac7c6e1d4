package dialog

import (
	"net/netip"
	"slices"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// Limits of one call's forks: proxies that ring several callees for one INVITE.
const (
	maxForks  = 8 // early dialogs whose SDP is remembered
	maxStrays = 8 // answers beside the first whose BYE is repeated until it is heard
)

// A UAC is the dialog of one call that we begin. [Factory.Call] makes it. The
// outputs of a method are valid until the next one is called.
type UAC struct {
	dialog

	target  wire.URI // the Request-URI
	hops    []hop    // where the INVITE is sent, one after the other
	headers []call.Header
	left    int // hops of the INVITE; 0: 70
	edge    string
	login   login
	offer   call.Offer

	attempts []*attempt // the last is the one that counts
	forks    []fork
	shown    shown
	invited  bool // the first INVITE was sent
	heard    bool // the carrier has said anything

	answered bool               // we have a dialog, or had one
	outcome  bool               // the call was told what came of its INVITE
	given    *call.Cause        // we gave it up
	ack      *call.Transmission // of the 2xx that made the dialog, for its copies
	strays   []*stray
	pracks   []*prack
}

// A fork is an early dialog (RFC 3261 12.1.2).
type fork struct {
	tag    string
	answer *call.Answer // its early SDP; nil: none that we can use
	rseq   uint32       // of its last reliable response; 0: it had none (RFC 3262)
	seq    uint32       // CSeq of our last request in it
}

// shown is what the call was told last of an unanswered INVITE.
type shown struct {
	status int
	tag    string
	media  netip.AddrPort
}

// Invite implements [actors.Caller].
func (d *UAC) Invite(now time.Time, offer call.Offer) []call.Output {
	d.begin()
	if d.over || d.invited {
		return nil
	}
	d.invited, d.offer = true, offer
	if len(d.hops) == 0 { // its names lead nowhere
		d.fail(now, 503, call.CauseUnreachable)
		return d.out
	}
	d.sortHops(offer.Addr.Addr())
	d.start(now, 0, call.Flow{}, false)
	return d.out
}

// Respond does nothing: there is no INVITE to answer.
func (d *UAC) Respond(time.Time, call.Response) []call.Output { return nil }

// Heard implements [actors.Caller].
func (d *UAC) Heard() bool { return d.heard }

// current is the attempt that counts; nil before the first.
func (d *UAC) current() *attempt {
	if len(d.attempts) == 0 {
		return nil
	}
	return d.attempts[len(d.attempts)-1]
}

// Bye ends an answered dialog, and gives an unanswered one up: with a CANCEL,
// or before a provisional response as soon as one comes (RFC 3261 9.1).
func (d *UAC) Bye(now time.Time, cause call.Cause) []call.Output { return d.ByeWith(now, cause, nil) }

// ByeWith implements [actors.Referrer]. A CANCEL has no further header fields.
func (d *UAC) ByeWith(now time.Time, cause call.Cause, headers []call.Header) []call.Output {
	d.begin()
	if d.over || d.given != nil || d.hangup != nil {
		return nil
	}
	if d.leaving != nil { // its BYE was first
		d.conclude(now)
		d.over = true
		return d.out
	}
	if d.answered {
		d.hangup = newFarewell(cause, headers)
		d.sendBye(now)
		return d.out
	}
	d.given = &cause
	a := d.current()
	switch {
	case a == nil:
		d.fail(now, 487, cause)
	case a.tx.Pending():
		d.cancelAttempt(now, a, cause)
	}
	return d.out
}

// sendBye sends our BYE, with credentials for those who asked for some before.
func (d *UAC) sendBye(now time.Time) {
	requestURI, _, _, _ := d.route.plan()
	d.over = true
	d.startBye(now, d.login.headers("BYE", requestURI)...)
}

// Unsent implements [actors.Caller]. A long INVITE that could not leave over
// TCP goes over UDP after all (RFC 3261 18.1.1).
func (d *UAC) Unsent(now time.Time) []call.Output {
	d.begin()
	a := d.current()
	if a == nil || d.outcome || !a.tx.Open() || a.sentBy != "" {
		return nil
	}
	if a.lost++; a.lost < a.copies {
		return nil
	}
	a.tx.Lapse(now)
	switch {
	case d.given != nil:
		d.fail(now, 487, *d.given)
	case a.grown:
		d.start(now, a.hop, a.on, true)
	default:
		d.next(now, a, 503)
	}
	return d.out
}

// next tries the call's next address, or fails.
func (d *UAC) next(now time.Time, a *attempt, status int) {
	if a.hop+1 < len(d.hops) {
		d.login.realms = nil // it has nonces of its own
		d.start(now, a.hop+1, call.Flow{}, false)
		return
	}
	d.fail(now, status, call.CauseUnreachable)
}

// fail says that the INVITE came to nothing.
func (d *UAC) fail(now time.Time, status int, cause call.Cause) {
	if d.outcome {
		return
	}
	d.outcome, d.over = true, true
	d.letGo(now)
	d.tell(call.Event{Kind: call.CarrierFailed, Status: status, Cause: cause})
}

// letGo ends what other INVITEs of the call are under way, and frees what only
// one still to be sent needs.
func (d *UAC) letGo(now time.Time) {
	for _, a := range d.attempts {
		if a.tx.Pending() {
			d.cancelAttempt(now, a, d.reason())
		} else {
			a.tx.Lapse(now) // nothing where it has ended
		}
	}
	d.dropPracks()
	d.headers, d.forks, d.hops, d.offer = nil, nil, nil, call.Offer{}
	d.revision++
}

// reason is why we want no answer any more.
func (d *UAC) reason() call.Cause {
	if d.given != nil {
		return *d.given
	}
	return call.CauseNormal
}

// Wake sends the copies that are due and notes what did not come in time.
func (d *UAC) Wake(now time.Time) []call.Output {
	d.begin()
	for _, a := range d.attempts {
		d.wakeAttempt(now, a)
	}
	d.wakeStrays(now)
	d.wakePracks(now)
	d.wakeReferred(now, d.sendBye)
	d.wake(now)
	d.depart(now)
	d.forget()
	return d.out
}

func (d *UAC) wakeAttempt(now time.Time, a *attempt) {
	raw, late := a.tx.Wake(now)
	if raw != nil && a.tx.Open() {
		d.sendInvite(a, raw)
	}
	if raw, _ := a.cancel.Wake(now); raw != nil {
		d.sendOn(a, raw)
	}
	switch {
	case !late || a != d.current():
	case d.given != nil:
		d.fail(now, 487, *d.given)
	case a.grown && a.sentBy == "": // somebody listens there, and says nothing
		d.start(now, a.hop, a.on, true)
	default: // timer B counts as 408 (RFC 3261 8.1.3.1)
		d.next(now, a, 408)
	}
}

// forget lets go of transactions that have ended. The last stays while the
// INVITE has no outcome.
func (d *UAC) forget() {
	live := d.attempts[:0]
	for i, a := range d.attempts {
		if !a.done() || !d.outcome && i == len(d.attempts)-1 {
			live = append(live, a)
		}
	}
	clear(d.attempts[len(live):])
	d.attempts = live
	if len(live) == 0 && d.outcome { // no 2xx can come any more
		d.ack = nil
		d.strays = slices.DeleteFunc(d.strays, func(s *stray) bool { return s.bye.tx.Done() })
	}
}

// Deadline is when Wake wants to be called; zero: not at all.
func (d *UAC) Deadline() time.Time {
	first := d.deadline()
	for _, a := range d.attempts {
		first = txn.Earliest(first, a.deadline())
	}
	for _, p := range d.pracks {
		first = txn.Earliest(first, p.tx.Deadline())
	}
	for _, s := range d.strays {
		first = txn.Earliest(first, s.bye.tx.Deadline())
	}
	return first
}

// Done reports that the dialog is over and every transaction has ended.
func (d *UAC) Done() bool {
	if !d.over || !d.settled() || len(d.pracks) > 0 {
		return false
	}
	for _, a := range d.attempts {
		if !a.done() {
			return false
		}
	}
	for _, s := range d.strays {
		if !s.bye.tx.Done() {
			return false
		}
	}
	return true
}
