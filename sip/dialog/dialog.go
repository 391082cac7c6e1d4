package dialog

import (
	"strconv"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/sdp"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// A dialog is what is the same whoever began the call (RFC 3261 12): tags,
// CSeqs and the route set, the requests of the other side, and our BYE.
type dialog struct {
	options *Options
	id      call.ID
	callID  string
	tag     string // ours
	peerTag string
	peerSeq uint32    // highest CSeq of the carrier's requests
	seq     uint32    // CSeq of our last request
	sent    uint32    // requests of ours so far: no two have the same branch
	gone    bool      // the carrier sent BYE
	over    bool      // no dialog any more: refused, or BYE in either direction
	ringing bool      // the INVITE that began the call has no final response of ours
	flow    call.Flow // of the dialog's latest message
	route   *route    // never nil

	said    *description // nil: the dialog is over
	asked   *asked       // what the carrier wants to change; nil: nothing
	ahead   *ahead       // a change that overtook an ACK; nil: none
	leaving *leaving     // a BYE that overtook the answer to our REFER; nil: none
	changes []*invite    // re-INVITEs that were answered, until their ACK and their last copy
	answers txn.Answers  // all other requests
	clock   *clock       // session timer; nil: none was ever agreed on

	keypress *keypress // nil: no key was sent by INFO

	hangup *farewell // of our BYE
	bye    *bye      // nil: none was sent

	referred *referred // the carrier's last REFER; nil: none came

	revision uint64 // see Revision
	out      []call.Output
}

// Revision implements [actors.Dialog].
func (d *dialog) Revision() uint64 { return d.revision }

// move notes the flow of the dialog's latest message.
func (d *dialog) move(flow call.Flow) {
	if flow != d.flow {
		d.flow = flow
		d.revision++
	}
}

// sendCopy sends what goes where to says by the dialog's latest flow: the edge
// that took the first copy may be gone.
func (d *dialog) sendCopy(to call.Transmission, raw []byte) {
	if d.flow.Transport == to.Flow.Transport {
		to.Flow = d.flow
	}
	to.Raw = raw
	d.send(to)
}

// within begins our next request within the dialog.
func (d *dialog) within(method string) (q wire.Request, to call.Transmission, branch string) {
	d.seq++
	d.revision++
	return d.along(method, d.route, d.seq, d.flow)
}

// along begins a request by a route set (RFC 3261 12.2.1.1), and says where it
// goes and by what branch its responses are known.
func (d *dialog) along(method string, r *route, seq uint32, flow call.Flow) (q wire.Request, to call.Transmission, branch string) {
	requestURI, routes, next, ok := r.plan()
	to, branch = call.Transmission{Flow: flow}, d.branch()
	if ok {
		to = address(flow, next)
	}
	return wire.Request{Method: method, URI: requestURI, From: r.local + ";tag=" + d.tag, To: r.remote, CallID: d.callID, CSeq: seq,
		Route: routes, Vias: []string{wire.Hop{Transport: to.Flow.Transport, SentBy: d.host(flow), Branch: branch}.String()}}, to, branch
}

// branch returns the Via branch of our next request.
func (d *dialog) branch() string {
	d.sent++
	return d.options.Keys.Branch(d.options.Slot, d.id, d.callID, d.sent)
}

// origin is the o= line of our SDP. Many peers read its id as a signed number.
func (d *dialog) origin() sdp.Origin {
	return sdp.Origin{ID: uint64(d.id) >> 1, Version: max(d.said.version, 1)}
}

// warning is a Warning header field (RFC 3261 20.43).
func (d *dialog) warning(code int, text string) call.Header {
	return call.Header{Name: "Warning", Value: strconv.Itoa(code) + " " + d.host(d.flow) + ` "` + plain(text) + `"`}
}

// wake does what is due but for the INVITE that began the call.
func (d *dialog) wake(now time.Time) {
	d.wakeChanges(now)
	d.wakeClock(now)
	d.answers.Wake(now)
	d.wakeAhead(now)
	d.wakeRefer(now)
	d.wakeKeys(now)
	d.wakeBye(now)
}

// deadline is when wake wants to be called; zero: not at all.
func (d *dialog) deadline() time.Time {
	first := txn.Earliest(d.answers.Deadline(), d.bye.deadline(), d.clockDeadline(), d.referral().deadline(), d.keypress.deadline(),
		d.ahead.deadline(), d.leaving.deadline(), d.referred.deadline())
	for _, c := range d.changes {
		first = txn.Earliest(first, c.tx.Deadline())
	}
	return first
}

// settled reports that no transaction but that of the first INVITE is left.
func (d *dialog) settled() bool {
	return d.asked == nil && d.ahead == nil && len(d.changes) == 0 && d.answers.Empty() && d.referral().done() && d.referred.done() && d.bye.done()
}

// begin lets go of the outputs of the method before.
func (d *dialog) begin() {
	clear(d.out)
	d.out = d.out[:0]
}

func (d *dialog) send(tx call.Transmission) { d.out = append(d.out, call.Output{Send: &tx}) }
func (d *dialog) tell(ev call.Event)        { d.out = append(d.out, call.Output{Event: &ev}) }
