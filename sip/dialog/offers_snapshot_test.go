package dialog_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"patchbay/actors/call"
)

// TestASurvivorGoesOnWithWhatWasSaidLast changes a call at one node and again
// at the next: version, m-lines and the moved Contact are those of before.
func TestASurvivorGoesOnWithWhatWasSaidLast(t *testing.T) {
	t.Parallel()
	ours := call.Answer{Addr: netip.MustParseAddrPort("198.51.100.1:20000"), Codec: call.Codec{Name: "PCMU", ClockRate: 8000}, Ptime: 20, Direction: call.SendRecv}
	p := newPeer(sceneOf(nil))
	first := p.packet(t, "INVITE video")
	d, _, err := newFactory(t, "").New(epoch, 5, call.Packet{Flow: first.Flow, Raw: bytes.Clone(first.Raw)})
	if err != nil {
		t.Fatal(err)
	}
	hears(p, d.Respond(epoch, call.Response{Status: 200, Answer: &ours}))
	d.Receive(epoch, p.packet(t, "ACK"))
	before := d.Revision()
	if out := d.Receive(epoch, p.packet(t, "UPDATE sdp video o=2 dir=sendonly contact=sip:moved@192.0.2.11:5066")); len(out) != 1 || out[0].Event == nil {
		t.Fatalf("%d outputs, want an offer for the call", len(out))
	}
	ours.Direction = call.RecvOnly
	hears(p, d.AnswerOffer(epoch, call.Response{Status: 200, Answer: &ours}))
	if d.Revision() == before {
		t.Error("the snapshot is not told to be another")
	}

	f, _ := survivor(t)
	again, err := f.Restore(5, d.Snapshot(), call.Packet{})
	if err != nil {
		t.Fatal(err)
	}
	if out := again.Receive(epoch, p.packet(t, "INVITE nosdp contact=sip:moved@192.0.2.11:5066")); len(out) != 1 || out[0].Event == nil || out[0].Event.Kind != call.CarrierOffered {
		t.Fatalf("%d outputs, want the carrier's wish for an offer", len(out))
	}
	sent := hears(p, again.AnswerOffer(epoch, call.Response{Status: 200, Offer: ours.Describe()}))
	body := string(sent[0].Raw)
	if !strings.Contains(body, " 3 IN IP4 ") || !strings.Contains(body, "m=video 0 RTP/AVP 97\r\nm=audio 20000 ") {
		t.Errorf("our offer at the survivor:\n%s\nwant version 3 and both m-lines", body)
	}
	again.Receive(epoch, p.packet(t, "ACK sdp video o=3"))
	for _, tx := range hears(p, again.Bye(epoch, call.CauseDrain)) {
		if !strings.HasPrefix(string(tx.Raw), "BYE sip:moved@192.0.2.11:5066 ") {
			t.Errorf("the BYE goes elsewhere than the carrier moved:\n%s", tx.Raw)
		}
	}
}
