package edge

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// The spread of Retry-After: short, because a carrier may stop all its traffic
// for that long, and random, so that carriers do not come back together.
const (
	retryAfterMin    = 1 // seconds
	retryAfterChoice = 4
)

var (
	allow  = call.Header{Name: "Allow", Value: wire.Allow}
	accept = call.Header{Name: "Accept", Value: "application/sdp"}
	// able is what else we say of ourselves (RFC 3261 11.2).
	able = []call.Header{allow, accept, {Name: "Accept-Encoding", Value: "identity"}, {Name: "Supported", Value: wire.Supported}}
)

// answer sends a stateless final response (RFC 3261 8.2.7).
func (e *Edge) answer(r *request, status int, extra ...call.Header) {
	if status == 503 {
		extra = append(extra, e.retryAfter(0))
	}
	e.answerWith(r, status, extra)
}

// answerWith sends a stateless final response with exactly these header
// fields. Its To-tag is made of the Call-ID: every copy of the request gets the
// same, and any edge knows the ACK by it. An ACK is never answered.
func (e *Edge) answerWith(r *request, status int, extra []call.Header) {
	if r.m.Method == "ACK" || !r.settled.first() {
		return
	}
	raw := r.m.Reply(wire.Reply{Status: status, Tag: e.keys.Reject(r.m.CallID), Headers: extra})
	e.reply(r.in, r.m.Method, status, raw)
}

// reply writes a response back to where its request came from.
func (e *Edge) reply(in inbound, method string, status int, raw []byte) {
	e.obs.answered(methodLabel(method), status)
	var why Drop
	if in.link != nil {
		why = sendLink(in.link, raw)
	} else {
		why = e.sendUDP(call.Transmission{Flow: in.flow, Raw: raw}, in.flow.Reply)
	}
	if why != "" {
		e.obs.dropped(why)
	}
}

// retryAfter returns a Retry-After of d in whole seconds, at least one; of a
// random few where d is zero.
func (e *Edge) retryAfter(d time.Duration) call.Header {
	seconds := int((d + time.Second - 1) / time.Second)
	if d <= 0 {
		seconds = retryAfterMin + e.random(retryAfterChoice)
	}
	return call.Header{Name: "Retry-After", Value: strconv.Itoa(seconds)}
}

// reason returns a Reason header that tells why a call was rejected (RFC 3326).
func reason(status int, text string) call.Header {
	text = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
	return call.Header{Name: "Reason", Value: fmt.Sprintf(`SIP;cause=%d;text="%s"`, status, text)}
}

// options says whether calls are taken here, for carriers that probe
// (RFC 3261 11.2).
func (e *Edge) options(r *request) {
	if e.draining.Load() || !e.healthy() {
		e.answer(r, 503)
		return
	}
	e.answer(r, 200, able...)
}

// refuse answers what the guard did not let through, or lets it go.
func (e *Edge) refuse(in inbound, f *wire.Fault) {
	e.obs.malformed(f.Word)
	in.flow.Reply = f.Stamp(in.flow.Remote)
	raw := f.Reply(e.keys.Reject(f.CallID()))
	if raw == nil {
		e.obs.dropped(DropMalformed)
		return
	}
	e.log.Debug("refused", "source", in.flow.Remote, "transport", in.flow.Transport, "status", f.Status, "reason", f.Word)
	e.reply(in, "", f.Status, raw)
}

// refuseFrame answers the lines in front of a framing error, where they are
// enough to say which request is meant.
func (e *Edge) refuseFrame(in inbound, why error) {
	m, f := wire.Read(in.raw, wire.StreamLimits())
	if f != nil {
		e.refuse(in, f)
		return
	}
	if !m.IsRequest() {
		e.obs.dropped(DropMalformed)
		return
	}
	status := 400
	if errors.Is(why, errTooLong) {
		status = 513
	}
	in.flow.Reply = m.Stamp(in.flow.Remote)
	e.answer(&request{in: in, m: m}, status)
}

// methodLabel keeps a metric's label a closed set.
func methodLabel(method string) string {
	switch method {
	case "INVITE", "CANCEL", "BYE", "OPTIONS", "REGISTER":
		return method
	}
	return "other"
}
