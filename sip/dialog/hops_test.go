package dialog_test

import (
	"strings"
	"testing"

	"patchbay/actors/call"
)

// Hops are counted through us: what an INVITE had left is told to the call, and
// an INVITE of ours that goes on for it says what it is given (RFC 7332 5).
func TestHopsAreCountedThroughUs(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]int{"Max-Forwards: 12\r\n": 12, "": 0} {
		_, inv, err := newFactory(t, "").New(epoch, 1, inviteWith(t, replace("Max-Forwards: 70\r\n", said)))
		if err != nil || inv.MaxForwards != want {
			t.Errorf("%q: %d left, %v; want %d", said, inv.MaxForwards, err, want)
		}
	}
	for given, want := range map[int]string{11: "11", 1: "1", 0: "70"} {
		d, inv, err := newFactory(t, "").Call(5, call.Outgoing{To: "sip:bob@192.0.2.10", MaxForwards: given})
		if err != nil || inv.MaxForwards != given {
			t.Fatalf("%+v, %v", inv, err)
		}
		for _, o := range d.Invite(epoch, call.Offer{Codecs: []call.Codec{{Name: "PCMU", ClockRate: 8000}}}) {
			if o.Send != nil && !strings.Contains(string(o.Send.Raw), "\r\nMax-Forwards: "+want+"\r\n") {
				t.Errorf("given %d:\n%s", given, o.Send.Raw)
			}
		}
	}
}
