package media_test

import (
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
)

// reserve opens a call that we place, up to our offer.
func (b *bench) reserve(codecs ...string) call.Offer {
	b.t.Helper()
	req := b.req
	req.Asked, req.Invitation.Offer, req.Codecs, req.Outbound = actors.Asked{}, nil, codecs, true
	b.bridge = b.node.Reserve(req, func(ev call.Event) { b.events <- ev })
	ev := b.event()
	if ev.Kind != call.CarrierReady || ev.Offer == nil {
		b.t.Fatalf("%+v, want carrier-ready", ev)
	}
	b.answer.Addr = ev.Offer.Addr // where the carrier sends
	return *ev.Offer
}

// says is the carrier's answer.
func (b *bench) says(codec call.Codec) call.Answer {
	return call.Answer{Addr: addr(b.rtp), RTCP: addr(b.rtcp), Codec: codec, DTMF: &tel8, Ptime: 20, Direction: call.SendRecv}
}

// ask has an agent brought in, the number-th.
func (b *bench) ask(a *agent, number int) {
	b.t.Helper()
	asked := b.next(a, number)
	asked.Epoch = 1
	b.bridge.Ask(asked)
}

func TestACarrierThatWeCallIsOfferedWhatTheAgentTakes(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	offer := b.reserve("PCMA", "G722")
	if len(offer.Codecs) != 2 || offer.Codecs[0].Name != "PCMA" || offer.Codecs[1].Name != "G722" || len(offer.DTMF) != 1 ||
		offer.Addr.Addr() != addr(b.rtp).Addr() || offer.RTCP.Port() != offer.Addr.Port()+1 || offer.Direction != call.SendRecv {
		t.Errorf("offered %+v", offer)
	}
	b.bridge.Close(call.CauseCalledBusy)
	eventually(t, "the port is given back", func() bool { return b.node.Stats().PortsUsed == 0 })
}

func TestAnAnsweredCallOfOursIsSilentUntilItsAgentSpeaks(t *testing.T) {
	t.Parallel()
	a := newAgent(pcmu)
	b := newBench(t, a, settings(), "127.0.0.1")
	b.reserve()
	b.bridge.Join(b.says(pcmu))
	if got := receive(t, b.rtp, 1, 100*time.Millisecond); len(got) != 0 {
		t.Fatal("something was sent before the answer")
	}
	b.bridge.Answered()
	silence := receive(t, b.rtp, 10, patience)
	if len(silence) != 10 || silence[0][12] != 0xff || silence[9][12] != 0xff || silence[9][171] != 0xff {
		t.Fatalf("%d packets, not of silence", len(silence))
	}
	b.ask(a, 1)
	ev := b.joined(1)
	if ev.Answer == nil || ev.Answer.Codec != pcmu || len(a.req.Codecs) != 1 || !a.req.Outbound {
		t.Errorf("joined with %+v, asked with %+v", ev.Answer, a.req)
	}
	b.send(b.rtp, packet(0, 1, payload(1, 0xca)...))
	eventually(t, "the agent hears", func() bool { return len(a.packets()) == 1 })
	a.rx(packet(0, 700, payload(1, 0xbb)...))
	untilMark(t, b, 0xbb)
	if got := fields(t, a.notes[0]); got["type"] != call.EventStarted || got["direction"] != "outbound" {
		t.Errorf("the agent was told %v", got)
	}
}

func TestEarlyMediaIsHeardByTheAgentAndNothingIsSentBack(t *testing.T) {
	t.Parallel()
	a := newAgent(pcmu)
	b := newBench(t, a, settings(), "127.0.0.1")
	b.reserve()
	b.bridge.Join(b.says(pcmu))
	b.ask(a, 1)
	b.joined(1)
	b.send(b.rtp, packet(0, 1, payload(1, 0xca)...))
	eventually(t, "the agent hears the ringing", func() bool { return len(a.packets()) == 1 })
	a.rx(packet(0, 700, payload(1, 0xbb)...))
	if got := receive(t, b.rtp, 1, 100*time.Millisecond); len(got) != 0 {
		t.Fatal("something was sent before the answer")
	}

	// Another phone picks up: its address counts from now on.
	other, early := udp(t, "127.0.0.1"), b.rtp
	b.rtp = other
	b.bridge.Join(b.says(pcmu))
	b.bridge.Answered()
	a.rx(packet(0, 701, payload(1, 0xcc)...))
	untilMark(t, b, 0xcc)
	b.send(early, packet(0, 2, payload(2, 0xca)...))
	b.send(other, packet(0, 50, payload(3, 0xdd)...))
	eventually(t, "the agent hears who answered", func() bool {
		got := a.packets()
		return len(got) == 2 && got[1][len(got[1])-1] == 0xdd
	})
}

func TestAnAgentOfEarlyMediaIsLetGoWhereTheAnswerHasAnotherCodec(t *testing.T) {
	t.Parallel()
	first, second := newAgent(pcmu), newAgent(pcma)
	b := newBench(t, first, settings(), "127.0.0.1")
	b.reserve()
	b.bridge.Join(b.says(pcmu))
	b.ask(first, 1)
	b.joined(1)
	b.bridge.Join(b.says(pcma))
	b.bridge.Answered()
	b.ask(second, 2)
	if ev := b.joined(2); ev.Answer.Codec != pcma || len(second.req.Codecs) != 1 || second.req.Codecs[0] != pcma {
		t.Errorf("joined with %+v", ev.Answer)
	}
	<-first.closed
	second.rx(packet(8, 700, payload(1, 0xbb)...))
	if got := untilMark(t, b, 0xbb); got[len(got)-1][1]&0x7f != 8 {
		t.Errorf("payload type %d, want 8", got[len(got)-1][1]&0x7f)
	}
}

func TestACarrierMayNumberTheCodecOtherwiseThanWeDid(t *testing.T) {
	t.Parallel()
	theirs := opus
	theirs.PayloadType = 96
	a := newAgent(opus)
	b := newBench(t, a, settings(), "127.0.0.1")
	offer := b.reserve("opus")
	b.bridge.Join(b.says(theirs))
	b.bridge.Answered()
	b.ask(a, 1)
	b.joined(1)
	b.send(b.rtp, packet(offer.Codecs[0].PayloadType, 1, payload(1, 0xca)...))
	eventually(t, "the agent hears", func() bool { return len(a.packets()) == 1 })
	a.rx(packet(111, 700, payload(1, 0xbb)...))
	if got := untilMark(t, b, 0xbb); got[len(got)-1][1]&0x7f != 96 {
		t.Errorf("payload type %d, want the carrier's 96", got[len(got)-1][1]&0x7f)
	}
}

func TestAFullNodeReservesNothing(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.MaxCalls = 1
	b := newBench(t, newAgent(pcmu), cfg, "127.0.0.1")
	b.reserve()
	req := b.req
	req.Outbound = true
	failed := make(chan call.Event, 1)
	b.node.Reserve(req, func(ev call.Event) { failed <- ev }).Close(call.CauseOverload)
	if ev := <-failed; ev.Kind != call.AgentFailed || ev.Status != 503 || ev.Cause != call.CauseOverload {
		t.Errorf("%+v", ev)
	}
}

func TestACallOfOursThatEndsAtOnceLeavesNoPort(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	req := b.req
	req.Outbound, req.Invitation.Offer = true, nil
	for range 20 {
		b.node.Reserve(req, func(call.Event) {}).Close(call.CauseOperator)
	}
	eventually(t, "all is given back", func() bool { s := b.node.Stats(); return s.PortsUsed == 0 && s.Calls == 0 })
}
