package media_test

import (
	"testing"

	"patchbay/actors/call"
	"patchbay/media/rtp"
)

// law is an agreement on another codec, at the same place.
func (b *bench) law(codec call.Codec) call.Agreement {
	a := b.agreed(addr(b.rtp), call.SendRecv)
	a.Carrier.Codec, a.Ours.Codec = codec, codec
	return a
}

func TestACarrierThatChangesTheLawOfG711IsHeardAndHearsOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.join()
	toAgent, toCarrier := rtp.LawBetween("PCMA", "PCMU"), rtp.LawBetween("PCMU", "PCMA")
	b.send(b.rtp, packet(0, 1, payload(0, 0xca)...))
	eventually(t, "the carrier is heard", func() bool { return len(b.agent.packets()) == 1 })

	b.bridge.Update(b.law(pcma))
	b.send(b.rtp, packet(8, 2, 0x11, 0xd5, 0xca))
	eventually(t, "it is heard in the other law", func() bool { return len(b.agent.packets()) == 2 })
	h, heard := opened(t, b.agent.packets()[1])
	if want := [3]byte{toAgent[0x11], toAgent[0xd5], toAgent[0xca]}; string(heard) != string(want[:]) || h.PayloadType != 0 {
		t.Errorf("the agent hears %x as %d, want %x in its own law", heard, h.PayloadType, want)
	}
	b.agent.rx(packet(0, 1, 0x22, 0xff, 0xa9))
	h, heard = opened(t, receive(t, b.rtp, 1, patience)[0])
	if want := [3]byte{toCarrier[0x22], toCarrier[0xff], toCarrier[0xa9]}; string(heard) != string(want[:]) || h.PayloadType != 8 {
		t.Errorf("the carrier hears %x as %d, want %x in its own law", heard, h.PayloadType, want)
	}

	b.bridge.Update(b.law(pcmu))
	b.send(b.rtp, packet(0, 3, 0x33))
	eventually(t, "and in the first again, untouched", func() bool { return len(b.agent.packets()) == 3 })
	if _, heard = opened(t, b.agent.packets()[2]); string(heard) != "3" {
		t.Errorf("the agent hears %x", heard)
	}
}

func opened(t *testing.T, packet []byte) (rtp.Header, []byte) {
	t.Helper()
	h, start, end, err := rtp.Parse(packet)
	if err != nil {
		t.Fatal(err)
	}
	return h, packet[start:end]
}
