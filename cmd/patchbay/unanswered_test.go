package main

import (
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/edge"
)

// A desk is a router that keeps its answers until the test gives them.
type desk struct{ done []func(edge.Outcome) }

func (d *desk) Invite(_ endpoint.Invite, _ bool, _ call.Packet, done func(edge.Outcome)) {
	d.done = append(d.done, done)
}
func (d *desk) InDialog(call.Slot, call.ID, call.Packet, func(error)) {}

func response(status, callID, cseq string) []byte {
	return []byte("SIP/2.0 " + status + " Words\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9\r\nTo: <sip:x@y>;tag=t\r\nCall-ID: " + callID + "\r\nCSeq: " + cseq + "\r\n\r\nbody")
}

func TestAnEdgeKnowsWhichInvitesItOwesAnAnswer(t *testing.T) {
	t.Parallel()
	d := &desk{}
	u := newUnanswered(d)
	now := time.Unix(1000, 0)
	u.now = func() time.Time { return now }
	heard := 0
	byTCP := call.Packet{Flow: call.Flow{Transport: call.TCP}}
	u.Invite(endpoint.Invite{CallID: "udp", CSeq: 7}, false, call.Packet{Flow: call.Flow{Transport: call.UDP}}, func(edge.Outcome) {})
	if u.len() != 0 || !u.waits(endpoint.Invite{CallID: "udp", CSeq: 7}) {
		t.Error("the answer to an INVITE over UDP leaves by any edge, and its copies are known")
	}
	u.sent(response("486", "udp", "7 INVITE"))
	d.done = nil
	for _, id := range []string{"a", "b", "c", "a"} { // the last is a copy
		u.Invite(endpoint.Invite{CallID: id, CSeq: 7}, false, byTCP, func(edge.Outcome) { heard++ })
	}
	u.Invite(endpoint.Invite{CallID: "d", CSeq: 7}, true, call.Packet{}, func(edge.Outcome) { heard++ }) // CANCEL
	if u.len() != 3 || !u.waits(endpoint.Invite{CallID: "a", CSeq: 7}) || u.waits(endpoint.Invite{CallID: "a", CSeq: 8}) || u.waits(endpoint.Invite{CallID: "d", CSeq: 7}) {
		t.Errorf("%d wait", u.len())
	}
	d.done[0](edge.Outcome{Taken: true})
	d.done[1](edge.Outcome{Status: 404}) // the edge answers itself
	d.done[2](edge.Outcome{Taken: true})
	if u.len() != 2 || heard != 3 {
		t.Errorf("%d wait, %d outcomes were passed on", u.len(), heard)
	}
	for what, raw := range map[string][]byte{
		"a provisional response":     response("180", "a", "7 INVITE"),
		"an answer to a BYE":         response("200", "a", "7 BYE"),
		"of another call":            response("200", "x", "7 INVITE"),
		"of a later INVITE":          response("200", "a", "8 INVITE"),
		"a request":                  []byte("BYE sip:a@b SIP/2.0\r\nCall-ID: a\r\nCSeq: 7 INVITE\r\n\r\n"),
		"no message":                 []byte("SIP/2.0 "),
		"headers that are not there": []byte("SIP/2.0 200 OK\r\n\r\n"),
		"a number out of range":      response("200", "a", strings.Repeat("9", 20)+" INVITE"),
	} {
		if u.sent(raw); u.len() != 2 {
			t.Fatalf("%s answered an INVITE", what)
		}
	}
	u.sent(response("200", "a", "7 INVITE"))
	u.sent(response("200", "a", "7 INVITE")) // repeated until its ACK
	if u.len() != 1 {
		t.Errorf("%d wait after a 200", u.len())
	}
	now = now.Add(unansweredLife + time.Second) // "c" was answered by another edge
	if u.len() != 0 || u.count.Load() != 0 {
		t.Errorf("%d wait long after", u.len())
	}
}

func TestWhatAnEdgeKnowsOfInvitesIsBounded(t *testing.T) {
	t.Parallel()
	u := newUnanswered(&desk{})
	for n := range uint32(maxUnanswered + 10) {
		u.Invite(endpoint.Invite{CallID: "a", CSeq: n}, false, call.Packet{Flow: call.Flow{Transport: call.TLS}}, func(edge.Outcome) {})
	}
	if n := u.len(); n > maxUnanswered || n < maxUnanswered*9/10 {
		t.Errorf("%d wait, want %d at most", n, maxUnanswered)
	}
}

func BenchmarkSentWhileInvitesWait(b *testing.B) {
	u := newUnanswered(&desk{})
	u.begin(transaction{"x", 1}, true)
	raw := response("200", "a", "7 INVITE")
	b.ReportAllocs()
	for b.Loop() {
		u.sent(raw)
	}
}
