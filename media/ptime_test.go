package media_test

import (
	"testing"

	"patchbay/actors/call"
)

func TestACarrierHearsPacketsOfTheLengthThatItAsksFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.req.Invitation.Offer.Ptime = 30
	b.join()
	seq := uint16(0)
	say := func(packets int) {
		for range packets {
			seq++
			b.agent.rx(packet(0, seq, make([]byte, 160)...)) // 20 ms each
		}
	}
	lengths := func(packets, octets int) {
		t.Helper()
		got := receive(t, b.rtp, packets, patience)
		for i, p := range got {
			if _, payload := opened(t, p); len(payload) != octets {
				t.Errorf("packet %d has %d octets, want %d", i, len(payload), octets)
			}
		}
		if len(got) != packets {
			t.Errorf("%d packets of %d octets, want %d", len(got), octets, packets)
		}
	}
	say(6)
	lengths(4, 240)

	for _, next := range []struct{ ptime, packets, octets int }{{10, 12, 80}, {60, 2, 480}, {20, 6, 160}, {0, 6, 160}} {
		a := b.agreed(addr(b.rtp), call.SendRecv)
		a.Carrier.Ptime = next.ptime
		b.bridge.Update(a)
		say(6)
		lengths(next.packets, next.octets)
	}
}
