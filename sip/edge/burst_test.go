package edge_test

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/edge"
)

// TestABurstOfInvitesToOneNameIsSentWhole has more of them than names are looked
// up at once.
func TestABurstOfInvitesToOneNameIsSentWhole(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int64
	lookup := func(_ context.Context, to call.Target) ([]call.Hop, error) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(5 * time.Millisecond)
		now.Add(-1)
		return []call.Hop{{Transport: to.Transport, Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port), Name: to.Host}}, nil
	}
	rig := start(t, settings(), rejecting(404), edge.WithLocate(lookup))
	_, addr := udpSink(t)
	const burst = 200
	told := make(chan bool, burst)
	for range burst {
		rig.Send(call.Transmission{Flow: call.Flow{Transport: call.UDP}, Host: "sbc.example:" + portOf(addr), Fill: true, Raw: placed(call.UDP)}, func(sent bool) { told <- sent })
	}
	for range burst {
		if !<-told {
			t.Fatal("one was not sent")
		}
	}
	if n := most.Load(); n > 32 {
		t.Errorf("%d names were looked up at once", n)
	}
}
