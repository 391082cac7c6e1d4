package dialog

import (
	"strconv"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// Header fields that say what we take.
var (
	allow      = call.Header{Name: "Allow", Value: wire.Allow}
	acceptSDP  = call.Header{Name: "Accept", Value: "application/sdp"}
	acceptKeys = call.Header{Name: "Accept", Value: "application/dtmf-relay, application/dtmf"}
	// noPackages says that we take no Info package (RFC 6086 4.2.2).
	noPackages = call.Header{Name: "Recv-Info", Value: "nil"}
)

// method answers a request within the dialog that neither ends nor changes it.
// What RFCs define and we do not serve is 405, any other method 501 (RFC 3261
// 8.2.1, 21.5.2).
func (d *dialog) method(now time.Time, m *wire.Message, flow call.Flow) {
	switch {
	case m.Method == "OPTIONS": // RFC 3261 11.2
		d.answer(now, m, flow, wire.Reply{Status: 200, Headers: []call.Header{allow, acceptSDP, supported}})
	case m.Method == "INFO":
		d.signal(now, m, flow)
	case m.Method == "PRACK": // nothing of ours waits for one
		d.answer(now, m, flow, wire.Reply{Status: 481})
	case m.Method == "REFER":
		d.carrierRefers(now, m, flow)
	case wire.Recognised(m.Method):
		d.answer(now, m, flow, wire.Reply{Status: 405, Headers: []call.Header{allow}})
	default:
		d.answer(now, m, flow, wire.Reply{Status: 501, Headers: []call.Header{allow}})
	}
}

// signal answers an INFO. A key in it is told to the call; one without a body
// asks whether we are there (RFC 2976 2.2). Info packages are not served (RFC
// 6086 4.2.2).
func (d *dialog) signal(now time.Time, m *wire.Message, flow call.Flow) {
	key, held, err := readKey(m.ContentType(), m.Body())
	switch {
	case m.Header("Info-Package") != "":
		d.answer(now, m, flow, wire.Reply{Status: 469, Headers: []call.Header{noPackages}})
	case len(m.Body()) == 0:
		d.answer(now, m, flow, wire.Reply{Status: 200})
	case err == errNoKeyType:
		d.answer(now, m, flow, wire.Reply{Status: 415, Headers: []call.Header{acceptKeys}})
	case err != nil:
		d.answer(now, m, flow, wire.Reply{Status: 400, Phrase: "No Key In The Body"})
	default:
		d.answer(now, m, flow, wire.Reply{Status: 200})
		if key != "" {
			d.tell(call.Event{Kind: call.SignalledDigit, Digit: key, Held: held})
		}
	}
}

// outOfOrder answers a request that is older than the last one (RFC 3261
// 12.2.2). Who only lost its count may come again.
func (d *dialog) outOfOrder(now time.Time, m *wire.Message, flow call.Flow) {
	d.answer(now, m, flow, wire.Reply{Status: 500, Headers: []call.Header{d.soon()}})
}

// soon is a Retry-After of a few seconds, another for each call (RFC 3261 14.2).
func (d *dialog) soon() call.Header {
	return call.Header{Name: "Retry-After", Value: strconv.Itoa(1 + int(d.id%10))}
}

// listed reports whether a header field that lists words has this one.
func listed(m *wire.Message, name, word string) bool {
	for _, value := range m.Headers(name) {
		for one := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(one), word) {
				return true
			}
		}
	}
	return false
}
