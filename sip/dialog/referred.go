package dialog

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

var (
	_ actors.Referred = (*UAS)(nil)
	_ actors.Referred = (*UAC)(nil)
)

// subscriptionTime is what we say of how long the carrier will be told of the
// call that it had us place: longer than that may ring.
const subscriptionTime = 2 * call.ReferralRing

// A referred is the last REFER of the carrier's, and the subscription that it
// makes (RFC 3515).
type referred struct {
	m     *wire.Message // nil: it is answered
	flow  call.Flow
	seq   uint32 // its CSeq
	first bool   // none came before it in this dialog
	quiet bool   // nothing is to be told (RFC 4488)

	tx     txn.Client // of our NOTIFY
	waits  bool       // for its response
	branch string
	to     call.Transmission
	open   bool // the subscription
	next   int  // status that waits for the NOTIFY before; 0: none

	leave time.Time // when we end the dialog; zero: not
	cause call.Cause
}

// carrierRefers takes a REFER. What it is owed is the call's to say, also where
// it cannot be read.
func (d *dialog) carrierRefers(now time.Time, m *wire.Message, flow call.Flow) {
	before := d.referred
	switch {
	case before != nil && before.m != nil && before.seq == m.CSeq && before.m.Branch == m.Branch: // a copy
		before.flow = flow
		return
	case before != nil && (before.m != nil || before.open || before.waits):
		d.answer(now, m, flow, wire.Reply{Status: 491})
		return
	}
	d.referred = &referred{m: m, flow: flow, seq: m.CSeq, first: before == nil,
		quiet: strings.EqualFold(strings.TrimSpace(m.Header("Refer-Sub")), "false")}
	r, status := readReferral(m)
	d.tell(call.Event{Kind: call.CarrierRefers, Status: status, Referral: r})
}

// readReferral reads whom a REFER is about; status is what it is owed where that
// cannot be called: there must be one Refer-To (RFC 3515 2.4.2), and the method
// must be INVITE.
func readReferral(m *wire.Message) (*call.Referral, int) {
	values := m.Headers("Refer-To")
	if len(values) != 1 {
		return nil, 400
	}
	written := bracketed(values[0])
	u, err := wire.ParseURI(written)
	switch {
	case errors.Is(err, wire.ErrScheme):
		return nil, 416
	case err != nil, len(written) > maxURI:
		return nil, 400
	}
	if method, ok := u.Param("method"); ok && !strings.EqualFold(method, "INVITE") {
		return nil, 603
	}
	r := &call.Referral{User: strings.Clone(u.User), Host: strings.Clone(u.Host)}
	to := u.Reveal()
	to, asked, _ := strings.Cut(to, "?")
	r.To = strings.Clone(to)
	if by := m.Header("Referred-By"); len(by) <= call.MaxHeaderBytes && inert(by) {
		r.ReferredBy = strings.Clone(by)
	}
	return r, askedFor(r, asked)
}

// askedFor takes the header fields that a Refer-To asks for (RFC 3261 19.1.5):
// Replaces, and those that an owner may set; nobody plants others. The status is
// what a malformed one is owed.
func askedFor(r *call.Referral, asked string) (status int) {
	for one := range strings.SplitSeq(asked, "&") {
		name, value, _ := strings.Cut(one, "=")
		name, e1 := url.PathUnescape(name)
		value, e2 := url.PathUnescape(value)
		switch {
		case e1 != nil, e2 != nil:
			return 400
		case strings.EqualFold(name, "Replaces"):
			if _, ok := wire.ReadReplaces(value); !ok || r.Replaces != "" || !inert(value) {
				return 400
			}
			r.Replaces = value
		case endpoint.CheckHeader(name, value) == "" && len(r.Headers) < endpoint.MaxOutgoingHeaders:
			r.Headers = append(r.Headers, call.Header{Name: name, Value: value})
		}
	}
	return 0
}

// AnswerRefer implements [actors.Referred].
func (d *dialog) AnswerRefer(now time.Time, r call.Response) []call.Output {
	d.begin()
	p := d.referred
	if p == nil || p.m == nil {
		return nil
	}
	reply := wire.Reply{Status: r.Status}
	if r.Status/100 == 2 {
		reply.Contact = d.contact(p.flow, asksForTLS(p.m))
		if p.quiet { // RFC 4488 4
			reply.Headers = append(reply.Headers, call.Header{Name: "Refer-Sub", Value: "false"})
		}
	}
	m := p.m
	p.m = nil
	d.answer(now, m, p.flow, reply)
	if r.Status/100 == 2 && !p.quiet && !d.over {
		p.open = true
		d.sendNotify(now, 100) // at once: RFC 3515 2.4.4
	}
	return d.out
}

// NotifyRefer implements [actors.Referred]. One NOTIFY is under way at a time,
// so that they come in order; of the statuses that wait meanwhile the last is
// told.
func (d *dialog) NotifyRefer(now time.Time, status int) []call.Output {
	d.begin()
	p := d.referred
	switch {
	case p == nil || !p.open || d.over:
	case !p.waits:
		d.sendNotify(now, status)
	default:
		p.next = status
	}
	return d.out
}

// sendNotify tells a status; a final one ends the subscription.
func (d *dialog) sendNotify(now time.Time, status int) {
	p := d.referred
	request, to, branch := d.within("NOTIFY")
	p.to, p.branch, p.next = to, branch, 0
	event := "refer"
	if !p.first { // RFC 3515 2.4.6
		event += ";id=" + strconv.FormatUint(uint64(p.seq), 10)
	}
	state := "active;expires=" + strconv.Itoa(int(subscriptionTime/time.Second))
	if status >= 200 {
		state, p.open = "terminated;reason=noresource", false
	}
	request.Contact = d.contact(d.flow, d.route.secured())
	request.Headers = []call.Header{{Name: "Event", Value: event}, {Name: "Subscription-State", Value: state}}
	request.ContentType = "message/sipfrag;version=2.0"
	request.Body = []byte("SIP/2.0 " + strconv.Itoa(status) + " " + wire.Phrase(status) + "\r\n")
	raw := request.Bytes()
	p.waits = true
	p.tx = txn.StartClient(now, d.options.Timers, p.to.Flow.Transport.Reliable(), raw)
	d.sendCopy(p.to, raw)
}

// notifyResponse takes a response to our NOTIFY, and reports that it was one.
// Who does not know the subscription any more is told nothing further (RFC 6665
// 4.2.2).
func (d *dialog) notifyResponse(now time.Time, m *wire.Message) bool {
	p := d.referred
	if m.CSeqMethod != "NOTIFY" || p == nil || !strings.EqualFold(m.Branch, p.branch) {
		return false
	}
	if !p.tx.Response(now, m.Status) {
		return true
	}
	p.waits = false
	switch {
	case m.Status >= 300:
		p.open, p.next = false, 0
	case p.open && p.next != 0 && !d.over:
		d.sendNotify(now, p.next)
	}
	return true
}

// wakeReferred repeats our NOTIFY, and ends the dialog, by bye, where the other
// side did not in time.
func (d *dialog) wakeReferred(now time.Time, bye func(time.Time)) {
	p := d.referred
	if p == nil {
		return
	}
	raw, timeout := p.tx.Wake(now)
	if raw != nil {
		d.sendCopy(p.to, raw)
	}
	if timeout {
		p.waits = false
		p.open, p.next = false, 0
	}
	if due(p.leave, now) {
		p.leave = time.Time{}
		if !d.over && d.hangup == nil {
			d.hangup = newFarewell(p.cause, nil)
			bye(now)
		}
	}
}

// Leave implements [actors.Referred].
func (d *dialog) Leave(now time.Time, wait time.Duration, cause call.Cause) []call.Output {
	d.begin()
	if d.over {
		return nil
	}
	if d.referred == nil {
		d.referred = &referred{}
	}
	d.referred.leave, d.referred.cause = now.Add(wait), cause
	return nil
}

// leaves reports that somebody else has the call, and the dialog is only to end.
func (p *referred) leaves() bool { return p != nil && !p.leave.IsZero() }

// stop ends what the dialog's end makes needless.
func (p *referred) stop() {
	if p != nil {
		p.open, p.waits, p.next, p.leave = false, false, 0, time.Time{}
		p.tx.Abandon()
	}
}

func (p *referred) deadline() time.Time {
	if p == nil {
		return time.Time{}
	}
	return txn.Earliest(p.tx.Deadline(), p.leave)
}

func (p *referred) done() bool { return p == nil || p.m == nil && p.tx.Done() }
