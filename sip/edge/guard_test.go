package edge_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"patchbay/actors/call"
	"patchbay/sip/edge"
)

// TestAnInviteOfOursGoesNowhereThatIsForbidden is about the last moment before a
// packet leaves: names have been resolved by then.
func TestAnInviteOfOursGoesNowhereThatIsForbidden(t *testing.T) {
	t.Parallel()
	forbidden := func(a netip.Addr) error {
		if a.IsLoopback() {
			return errors.New("loopback")
		}
		return nil
	}
	lookup := func(_ context.Context, to call.Target) ([]call.Hop, error) {
		return []call.Hop{{Transport: to.Transport, Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port), Name: to.Host}}, nil
	}
	rig := start(t, settings(), rejecting(404), edge.WithDialable(forbidden), edge.WithLocate(lookup))
	there, addr := udpSink(t)
	for _, tx := range []call.Transmission{{To: addr}, {Host: "pbx.example:" + portOf(addr)}} {
		for _, transport := range []call.Transport{call.UDP, call.TCP} {
			tx.Flow.Transport, tx.Fill, tx.Raw = transport, true, placed(transport)
			told := make(chan bool, 1)
			rig.Send(tx, func(sent bool) { told <- sent })
			if <-told {
				t.Errorf("to %v %q over %s: sent", tx.To, tx.Host, transport)
			}
		}
	}
	rig.seen.await(t, "dropped "+string(edge.DropForbidden), 4)
	// What belongs to a dialog goes where its carrier is.
	rig.Send(call.Transmission{Flow: call.Flow{Transport: call.UDP}, To: addr, Raw: []byte("BYE sip:a@b SIP/2.0\r\n\r\n")}, nil)
	if got := there.read(patience); got != "BYE sip:a@b SIP/2.0\r\n\r\n" {
		t.Errorf("got %q", got)
	}
}
