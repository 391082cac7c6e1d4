package dialog

import (
	"strconv"
	"strings"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

var (
	_ actors.Referrer = (*UAS)(nil)
	_ actors.Referrer = (*UAC)(nil)
)

// Limits of one REFER.
const (
	referLimit = 3 * time.Minute // from the REFER to its outcome: as long as a target may ring
	maxTold    = 8               // statuses before the outcome that are handed on
)

// referAllow is Allow of a REFER: what follows it is NOTIFY.
const referAllow = wire.Allow + ", NOTIFY"

// A refer is a REFER of ours and the subscription that it makes (RFC 3515).
type refer struct {
	tx      txn.Client
	request call.Transfer
	branch  string
	seq     uint32 // CSeq of the last REFER; its NOTIFYs may name it (RFC 3515 2.4.6)
	to      call.Transmission
	open    bool      // it has no outcome yet
	taken   bool      // the carrier has said 2xx, or told something
	until   time.Time // when we stop to wait for news; zero: not waiting
	told    int       // statuses that were handed on
	status  int       // the last of them
}

// Refer implements [actors.Referrer].
func (d *UAS) Refer(now time.Time, t call.Transfer) []call.Output {
	d.begin()
	if d.over || d.leaving != nil || d.hangup != nil || !d.first.tx.Accepted() || d.first.tx.AwaitsAck() {
		d.noRefer(call.ReasonNotReady)
		return d.out
	}
	d.refer(now, t)
	return d.out
}

// Refer implements [actors.Referrer]. Who asked for credentials before gets
// them here, too.
func (d *UAC) Refer(now time.Time, t call.Transfer) []call.Output {
	d.begin()
	if d.over || d.leaving != nil || d.hangup != nil || !d.answered {
		d.noRefer(call.ReasonNotReady)
		return d.out
	}
	requestURI, _, _, _ := d.route.plan()
	d.refer(now, t, d.login.headers("REFER", requestURI)...)
	return d.out
}

// ID implements [actors.Referrer].
func (d *dialog) ID() call.DialogID {
	return call.DialogID{CallID: d.callID, OurTag: d.tag, TheirTag: d.peerTag, TheirSide: bare(d.route.target)}
}

// referral is the last REFER of a dialog that is not over.
func (d *dialog) referral() *refer {
	if d.said == nil {
		return nil
	}
	return d.said.refer
}

func (d *dialog) noRefer(why string) { d.tell(call.Event{Kind: call.ReferDone, Reason: why}) }

// refer sends the REFER, unless one is under way.
func (d *dialog) refer(now time.Time, t call.Transfer, extra ...call.Header) {
	if r := d.referral(); r != nil && r.open {
		d.noRefer(call.ReasonPending)
		return
	}
	to, err := d.referTo(t)
	if err != nil || checkFields(t.Headers) != nil {
		d.noRefer(call.ReasonBadTarget)
		return
	}
	d.said.refer = &refer{request: t, open: true, until: now.Add(referLimit)}
	d.sendRefer(now, to, extra)
}

// sendRefer writes the REFER and sends it for the first time.
func (d *dialog) sendRefer(now time.Time, to string, extra []call.Header) {
	r := d.referral()
	request, tx, branch := d.within("REFER")
	r.seq, r.branch, r.to = request.CSeq, branch, tx
	headers := []call.Header{
		{Name: "Refer-To", Value: to},
		{Name: "Referred-By", Value: d.referrer()},
		{Name: "Supported", Value: "norefersub"}, // RFC 4488 4: we can do without
		{Name: "Allow", Value: referAllow},
	}
	request.Contact = d.contact(d.flow, d.route.secured()) // RFC 3515 2.2
	request.Headers = append(append(headers, r.request.Headers...), extra...)
	raw := request.Bytes()
	r.tx = txn.StartClient(now, d.options.Timers, tx.Flow.Transport.Reliable(), raw)
	d.sendCopy(tx, raw)
}

// referTo is the value of Refer-To. A number is one at the host that the other
// side names itself by, for that is who knows what to do with it.
func (d *dialog) referTo(t call.Transfer) (string, error) {
	uri := t.To
	if isNumber(uri) {
		uri = "sip:" + uri + "@" + d.theirHost()
	}
	if t.Replaces != nil && uri == "" {
		uri = t.Replaces.TheirSide
	}
	target, err := outgoingURI("to", uri)
	if err != nil {
		return "", err
	}
	value := bare(target)
	if r := t.Replaces; r != nil { // RFC 3891 6.1: the tags as the target sees them
		value += "?Replaces=" + escaped(r.CallID+";to-tag="+r.TheirTag+";from-tag="+r.OurTag)
	}
	return "<" + value + ">", nil
}

// referrer is who we say has sent the carrier elsewhere (RFC 3892): the target
// hears it, too, so a name that may be a bearer slug is left out.
func (d *dialog) referrer() string {
	u, err := wire.ParseURI(bracketed(d.route.local))
	if err != nil {
		return "<sip:anonymous@anonymous.invalid>"
	}
	account := d.options.BaseDomain != "" && strings.HasSuffix(u.Host, "."+d.options.BaseDomain)
	if isNumber(u.User) || account && !isSlug(u.User) {
		return "<" + bare(u) + ">"
	}
	return "<" + u.Scheme + ":" + u.HostPort() + ">"
}

// theirHost is the host in the URI by which the other side names itself, or
// where that is nobody's, in its Contact.
func (d *dialog) theirHost() string {
	if u, err := wire.ParseURI(bracketed(d.route.remote)); err == nil && u.Host != "" && !strings.HasSuffix(u.Host, ".invalid") {
		return u.HostPort()
	}
	return d.route.target.HostPort()
}

// escaped writes a header field's value into a URI (RFC 3261 19.1.1: hnv-unreserved
// and unreserved stay as they are).
func escaped(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.!~*'()", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// referResponse takes a response to our REFER, and reports that it was one.
// again sends the REFER once more, with the credentials that m asks for, or
// reports that it cannot.
func (d *dialog) referResponse(now time.Time, m *wire.Message, again func() bool) bool {
	r := d.referral()
	if m.CSeqMethod != "REFER" || r == nil || !strings.EqualFold(m.Branch, r.branch) {
		return false
	}
	if !r.tx.Response(now, m.Status) || !r.open {
		return true
	}
	switch {
	case m.Status/100 == 2:
		d.referTaken(now, m)
	case (m.Status == 401 || m.Status == 407) && d.leaving == nil && again != nil && again():
	default:
		d.referDone(m.Status, call.ReasonRefused)
	}
	return true
}

// referTaken takes a 2xx to the REFER. Where nothing will be told (RFC 4488 4)
// that is the outcome; a subscription whose NOTIFY does not come is none (timer
// N of RFC 6665 4.1.2).
func (d *dialog) referTaken(now time.Time, m *wire.Message) {
	r := d.referral()
	if strings.EqualFold(strings.TrimSpace(m.Header("Refer-Sub")), "false") {
		d.referDone(m.Status, "")
		return
	}
	if !r.taken {
		r.until = now.Add(64 * d.options.Timers.T1)
	}
	d.referTold(m.Status)
}

// referAgain sends the REFER with credentials.
func (d *UAC) referAgain(now time.Time, m *wire.Message) func() bool {
	return func() bool {
		if !d.login.take(m, true) {
			return false
		}
		to, err := d.referTo(d.referral().request)
		if err != nil {
			return false
		}
		requestURI, _, _, _ := d.route.plan()
		d.sendRefer(now, to, d.login.headers("REFER", requestURI))
		return true
	}
}

// referTold hands on a status that is no outcome, once, and not too many.
func (d *dialog) referTold(status int) {
	r := d.referral()
	r.taken = true
	if status == r.status || r.told == maxTold {
		return
	}
	r.status = status
	r.told++
	d.tell(call.Event{Kind: call.ReferTold, Status: status})
}

func (d *dialog) referDone(status int, why string) {
	d.referral().open, d.referral().until = false, time.Time{}
	d.referral().request = call.Transfer{}
	d.tell(call.Event{Kind: call.ReferDone, Status: status, Reason: why})
}

// notify answers a NOTIFY: 200 where it is about our last REFER, which it may
// tell the outcome of, 489 where it is about something else, and 481 where we
// have subscribed to nothing (RFC 6665 4.1.3).
func (d *dialog) notify(now time.Time, m *wire.Message, flow call.Flow) {
	event, params := cutUnquoted(m.Header("Event"), ';')
	r := d.referral()
	switch {
	case !strings.EqualFold(strings.TrimSpace(event), "refer"):
		d.answer(now, m, flow, wire.Reply{Status: 489, Headers: []call.Header{{Name: "Allow-Events", Value: "refer"}}})
		return
	case !r.named(params):
		d.answer(now, m, flow, wire.Reply{Status: 481})
		return
	}
	d.answer(now, m, flow, wire.Reply{Status: 200})
	if !r.open || d.over {
		return
	}
	r.until = now.Add(referLimit)
	state, _ := cutUnquoted(m.Header("Subscription-State"), ';')
	ended := strings.EqualFold(strings.TrimSpace(state), "terminated")
	switch status := fragment(m.ContentType(), m.Body()); {
	case status >= 200:
		r.tx.Abandon() // its response does not matter any more
		d.referDone(status, "")
	case ended:
		r.tx.Abandon()
		d.referDone(status, call.ReasonNoResult)
	case status >= 100:
		d.referTold(status)
	default:
		r.taken = true
	}
}

// named reports whether an Event's parameters name this REFER, or none.
func (r *refer) named(params string) bool {
	for params != "" {
		var param string
		param, params = cutUnquoted(params, ';')
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.TrimSpace(name), "id") {
			return strings.TrimSpace(value) == strconv.FormatUint(uint64(r.seq), 10)
		}
	}
	return true
}

// wakeRefer repeats the REFER, and gives up what has had no outcome in time.
func (d *dialog) wakeRefer(now time.Time) {
	r := d.referral()
	if r == nil {
		return
	}
	raw, timeout := r.tx.Wake(now)
	if raw != nil {
		d.sendCopy(d.referral().to, raw)
	}
	switch {
	case !r.open || d.over:
	case timeout: // timer F counts as 408 (RFC 3261 8.1.3.1)
		d.referDone(408, call.ReasonUnanswered)
	case !r.until.IsZero() && !now.Before(r.until):
		r.tx.Abandon()
		d.referDone(408, call.ReasonNoNotify)
	}
}

func (r *refer) deadline() time.Time {
	if r == nil {
		return time.Time{}
	}
	return txn.Earliest(r.tx.Deadline(), r.until)
}

func (r *refer) done() bool { return r == nil || r.tx.Done() }

// fragment returns the status that a NOTIFY tells (RFC 3515 2.4.5, RFC 3420); 0
// where it tells none that can be read.
func fragment(contentType string, body []byte) int {
	if contentType != "" && !strings.EqualFold(contentType, "message/sipfrag") {
		return 0
	}
	line := strings.TrimLeft(string(body[:min(len(body), 256)]), " \t\r\n")
	line, _, _ = strings.Cut(line, "\n")
	version, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	code, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	n, err := strconv.Atoi(code)
	if !strings.EqualFold(version, "SIP/2.0") || err != nil || len(code) != 3 || n < 100 || n > 699 {
		return 0
	}
	return n
}
