package dialog

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/sdp"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// maxRefreshes is how many refreshes of one dialog are kept for copies of their
// responses. Beyond it the oldest is forgotten.
const maxRefreshes = 4

// refreshPause is how long a refresh waits for a change of the call that is
// under way.
const refreshPause = 2 * time.Second

// A refresh is a request of ours that says only that we are still there: an
// UPDATE without SDP where the carrier takes it, else a re-INVITE with the SDP
// that it knows (RFC 4028 7.4).
type refresh struct {
	request wire.Request
	branch  string
	login   []call.Header // what its ACK repeats (RFC 3261 22.1)
	to      call.Transmission
	tx      txn.Client       // of an UPDATE
	invite  txn.InviteClient // of a re-INVITE
	ack     []byte           // of its final response
	final   bool             // it has one, or none came in time
}

// busy reports that a refresh waits for its response.
func (c *clock) busy() bool {
	r := c.current()
	return r != nil && !r.final
}

func (c *clock) current() *refresh {
	if c == nil || len(c.requests) == 0 {
		return nil
	}
	return c.requests[len(c.requests)-1]
}

// offering reports that an offer of ours waits for its answer: the carrier may
// offer nothing meanwhile (RFC 3261 14.2).
func (d *dialog) offering() bool {
	r := d.clock.current()
	return d.owed() != nil || r != nil && !r.final && r.request.Method == "INVITE"
}

// audio is what we said last of our audio; nil: nothing that is known here.
func (d *dialog) audio() *call.Answer {
	if d.said == nil {
		return nil
	}
	return d.said.answer
}

func (r *refresh) deadline() time.Time { return txn.Earliest(r.tx.Deadline(), r.invite.Deadline()) }

func (r *refresh) done() bool { return r.tx.Done() && r.invite.Done() }

// startRefresh sends a refresh, unless the call is just being changed.
func (d *dialog) startRefresh(now time.Time) {
	c := d.clock
	switch {
	case d.asked != nil, d.owed() != nil, d.unacked():
		c.refresh = now.Add(refreshPause)
		return
	case !c.update && (d.said == nil || d.said.body == nil): // nothing that could be repeated
		c.refresh = time.Time{}
		return
	}
	r := &refresh{}
	r.request, r.to, r.branch = d.within("UPDATE")
	transport := r.to.Flow.Transport
	r.request.Contact = d.contactAt(d.host(d.flow), transport, d.route.secured())
	r.request.Headers = append([]call.Header{allow}, d.wanted(c.interval, "uac")...)
	if !c.update {
		r.request.Method, r.request.ContentType, r.request.Body = "INVITE", "application/sdp", d.said.body
	}
	if c.login != nil {
		r.login = c.login.headers(r.request.Method, r.request.URI)
		r.request.Headers = append(r.request.Headers, r.login...)
	}
	raw := r.request.Bytes()
	if c.update {
		r.tx = txn.StartClient(now, d.options.Timers, transport.Reliable(), raw)
	} else {
		r.invite = txn.StartInviteClient(now, d.options.Timers, transport.Reliable(), raw)
	}
	if len(c.requests) == maxRefreshes {
		c.requests = slices.Delete(c.requests, 0, 1)
	}
	c.requests = append(c.requests, r)
	d.sendCopy(r.to, raw)
}

// unacked reports that the carrier has not acknowledged our answer to a
// re-INVITE of its own.
func (d *dialog) unacked() bool {
	return slices.ContainsFunc(d.changes, func(c *invite) bool { return c.tx.AwaitsAck() })
}

func (d *dialog) wakeRefreshes(now time.Time) {
	c := d.clock
	for _, r := range c.requests {
		raw, late := r.tx.Wake(now)
		if r.request.Method == "INVITE" {
			raw, late = r.invite.Wake(now)
		}
		if raw != nil {
			d.sendCopy(r.to, raw)
		}
		if late && r == c.current() { // counts as 408 (RFC 3261 8.1.3.1)
			r.final = true
			d.expired()
		}
	}
	c.requests = slices.DeleteFunc(c.requests, (*refresh).done)
}

// refreshResponse takes a response to a refresh, and reports whether it is one.
func (d *dialog) refreshResponse(now time.Time, m *wire.Message, flow call.Flow) bool {
	if d.clock == nil {
		return false
	}
	for _, r := range d.clock.requests {
		if m.CSeqMethod == r.request.Method && strings.EqualFold(m.Branch, r.branch) {
			d.refreshHeard(now, r, m, flow)
			return true
		}
	}
	return false
}

func (d *dialog) refreshHeard(now time.Time, r *refresh, m *wire.Message, flow call.Flow) {
	first := false
	switch {
	case r.request.Method == "UPDATE":
		first = r.tx.Response(now, m.Status)
	default:
		first = d.reinviteHeard(now, r, m)
	}
	if first && r == d.clock.current() && !d.over {
		d.refreshed(now, r, m, flow)
	}
}

// reinviteHeard acknowledges a final response to a re-INVITE, and reports
// whether it is the first.
func (d *dialog) reinviteHeard(now time.Time, r *refresh, m *wire.Message) bool {
	first := r.ack == nil
	switch r.invite.Response(now, m.Status) {
	case txn.HeardAnswer:
		if first {
			d.retarget(m) // where the ACK goes already
		}
	case txn.HeardRefusal, txn.HeardRefusalCopy:
	case txn.HeardProgress, txn.HeardNothing:
		return false
	}
	d.ackRefresh(r, m, m.Status < 300)
	return first
}

// ackRefresh acknowledges the final response to a re-INVITE, or its copy. That
// to a 2xx is a transaction of its own (RFC 3261 13.2.2.4), that to a refusal
// goes the way of the INVITE (17.1.1.3).
func (d *dialog) ackRefresh(r *refresh, m *wire.Message, accepted bool) {
	if r.ack != nil {
		d.sendCopy(r.to, r.ack)
		return
	}
	q := r.request
	q.Method, q.Contact, q.ContentType, q.Body, q.Headers = "ACK", "", "", nil, nil
	if accepted {
		requestURI, routes, next, ok := d.route.plan()
		if ok {
			r.to = address(d.flow, next)
		}
		q.URI, q.Route, q.Headers = requestURI, routes, r.login
		q.Vias = []string{wire.Hop{Transport: r.to.Flow.Transport, SentBy: d.host(d.flow), Branch: d.branch()}.String()}
	} else {
		q.To = m.Header("To")
	}
	r.ack = bytes.Clone(q.Bytes())
	d.sendCopy(r.to, r.ack)
}

// retarget takes the Contact of a 2xx to a re-INVITE or UPDATE of ours (RFC
// 3261 12.2.1.2).
func (d *dialog) retarget(m *wire.Message) {
	target, err := m.Contact()
	if err != nil {
		return
	}
	if target, err = wire.ParseURI(strings.Clone(target.Reveal())); err == nil { // shall not keep the message
		d.route.target = target
		d.revision++
	}
}

// refreshed decides what the first final response to a refresh means. The
// carrier does not know the call any more, or we try again, sooner the nearer
// the end is (RFC 3261 12.2.1.2, RFC 4028 10).
func (d *dialog) refreshed(now time.Time, r *refresh, m *wire.Message, flow call.Flow) {
	c := d.clock
	r.final = true
	d.move(flow)
	if m.Status < 300 {
		d.retarget(m)
		c.raises = 0
		c.answeredBy(now, m, c.interval)
		d.repeated(r, m, flow)
		return
	}
	d.refreshRefused(now, r, m)
}

func (d *dialog) refreshRefused(now time.Time, r *refresh, m *wire.Message) {
	c := d.clock
	switch {
	case m.Status == 408, m.Status == 481:
		d.expired()
	case r.request.Method == "UPDATE" && (m.Status == 405 || m.Status == 501):
		c.update = false
		d.startRefresh(now)
	case m.Status == 422 && c.raised(m):
		c.interval = max(c.interval, c.least)
		d.startRefresh(now)
	case (m.Status == 401 || m.Status == 407) && c.login != nil && c.login.take(m, true):
		d.startRefresh(now)
	case m.Status == 491:
		c.refresh = now.Add(d.glare())
	default:
		c.refresh = now.Add(max(c.expire.Sub(now)/2, refreshPause))
	}
}

// glare is how long we wait after a 491: longer where the Call-ID is ours, so
// that both sides do not come again at once (RFC 3261 14.1). The call and its
// count of requests stand in for chance.
func (d *dialog) glare() time.Duration {
	const step = 10 * time.Millisecond
	chance := uint64(d.id) + uint64(d.seq)*7919
	if strings.HasPrefix(d.callID, d.id.String()) {
		return 2100*time.Millisecond + time.Duration(chance%190)*step
	}
	return time.Duration(chance%200) * step
}

// repeated reads what the carrier says to the SDP that it knows: it may have
// changed its own.
func (d *dialog) repeated(r *refresh, m *wire.Message, flow call.Flow) {
	own := d.audio()
	if r.request.Method != "INVITE" || own == nil {
		return
	}
	session, err := sdp.Read(m.Header("Content-Type"), m.Body())
	if err != nil || session.OriginLine() == d.said.peer {
		return
	}
	if a, err := session.AnswerTo(*own.Describe()); err == nil {
		d.said.peer = strings.Clone(session.OriginLine())
		d.tell(call.Event{Kind: call.CarrierSettled, Answer: &a, Source: flow.Remote.Addr()})
	}
}
