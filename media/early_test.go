package media_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/internal/tone"
	"patchbay/media"
	"patchbay/media/rtp"
)

func TestACarrierHearsRingingUntilItIsAnsweredAndTheAgentOnlyThen(t *testing.T) {
	t.Parallel()
	a := newAgent(pcmu)
	release := make(chan struct{})
	b := newBench(t, a, settings(), "127.0.0.1")
	b.req.Ringback = "eu"
	b.relay.set(a)
	b.gate(a, release)
	b.open()
	ready := b.event()
	if ready.Kind != call.EarlyReady || ready.Answer == nil || ready.Answer.Codec != pcmu || ready.Offer != nil {
		t.Fatalf("%+v, want a port that can ring", ready)
	}
	if got := receive(t, b.rtp, 1, 100*time.Millisecond); len(got) != 0 {
		t.Error("something is sent before the carrier has been told")
	}
	b.bridge.Early()
	heard := receive(t, b.rtp, 30, patience)
	pcm := sound(t, heard)
	if got := tone.Share(pcm, 425, 8000); got < 0.9 {
		t.Errorf("%.2f of what is heard is the tone", got)
	}
	close(release)
	joined := b.chosenAndJoined()
	<-a.started
	if joined.Answer.Addr != ready.Answer.Addr || joined.Answer.Codec != ready.Answer.Codec || len(a.req.Codecs) != 1 {
		t.Errorf("joined with %+v, offered %v, promised %+v", joined.Answer, a.req.Codecs, ready.Answer)
	}
	a.rx(packet(0, 1, payload(0, 0xa9)...))
	for _, p := range receive(t, b.rtp, 10, patience) {
		if _, start, end, _ := rtp.Parse(p); string(p[start:end]) == string(payload(0, 0xa9)) {
			t.Error("the agent is heard before the answer")
		}
	}
	b.bridge.Answered()
	a.rx(packet(0, 2, payload(1, 0xa9)...))
	for {
		got := receive(t, b.rtp, 1, patience)
		if len(got) == 0 {
			t.Fatal("the agent is not heard after the answer")
		}
		if _, start, end, _ := rtp.Parse(got[0]); string(got[0][start:end]) == string(payload(1, 0xa9)) {
			break // what came before was ringing on its way
		}
	}
	if ev := b.event(); ev.Kind != call.FirstAgentRTP {
		t.Errorf("%v, want the agent's first audio", ev.Kind)
	}
	if err := a.command(media.Command{Type: media.CommandAnswer}); !errors.Is(err, media.ErrNotEarly) {
		t.Errorf("an answer after the answer: %v", err)
	}
}

func TestACallThatIsAnsweredWithoutRingingHearsItsAgent(t *testing.T) {
	t.Parallel()
	a := newAgent(pcmu)
	b := newBench(t, a, settings(), "127.0.0.1")
	b.req.Ringback = "eu"
	b.open()
	if ready := b.event(); ready.Kind != call.EarlyReady {
		t.Fatalf("%+v, want a port that can ring", ready)
	}
	b.chosenAndJoined()
	<-a.started
	b.bridge.Answered() // the call had no use for ringing when there was a port for it
	a.rx(packet(0, 1, payload(0, 0xa9)...))
	if got := receive(t, b.rtp, 1, patience); len(got) != 1 {
		t.Error("the carrier hears nothing")
	}
}

// gate keeps the agent from joining before release.
func (b *bench) gate(a *agent, release chan struct{}) {
	a.before = func(ctx context.Context) {
		select {
		case <-release:
		case <-ctx.Done():
		}
	}
}

func (b *bench) chosenAndJoined() call.Event {
	b.t.Helper()
	if ev := b.event(); ev.Kind != call.AgentChosen {
		b.t.Fatalf("%+v, want agent-chosen", ev)
	}
	ev := b.event()
	if ev.Kind != call.AgentJoined {
		b.t.Fatalf("%+v, want agent-joined", ev)
	}
	return ev
}

// sound decodes PCMU packets, which must follow one another without a gap; but
// where the machine stood still for a second, the clock is kept instead.
func sound(t *testing.T, packets [][]byte) (pcm []int16) {
	t.Helper()
	var last rtp.Header
	for i, p := range packets {
		h, start, end, err := rtp.Parse(p)
		if err != nil || end-start != 160 {
			t.Fatalf("packet %d: %d bytes, %v", i, end-start, err)
		}
		step := h.Timestamp - last.Timestamp
		if i > 0 && (h.Sequence != last.Sequence+1 || step != 160 && step < 8000 || h.SSRC != last.SSRC) {
			t.Errorf("packet %d: %+v after %+v", i, h, last)
		}
		last = h
		pcm = append(pcm, tone.DecodePCMU(p[start:end])...)
	}
	if len(pcm) == 0 {
		t.Fatal("nothing is heard")
	}
	return pcm
}

func TestRingingIsInG711WhereThereIsAnyAndNeverInOpus(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		offer []call.Codec
		agent []string
		dir   call.Direction
		want  string
	}{
		"G.711 before what comes first":        {[]call.Codec{opus, g722, pcma, pcmu}, nil, call.SendRecv, "PCMA"},
		"G.722 where there is no G.711":        {[]call.Codec{opus, g722}, nil, call.SendRecv, "G722"},
		"not what the agent does not have":     {[]call.Codec{pcma, g722}, []string{"G722"}, call.SendRecv, "G722"},
		"Opus alone":                           {[]call.Codec{opus}, nil, call.SendRecv, ""},
		"a carrier that takes no audio":        {[]call.Codec{pcmu}, nil, call.SendOnly, ""},
		"an INVITE without SDP, and no 100rel": {nil, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAgent(opus)
			if tc.want != "" {
				a.err = media.ErrAgentRefused
			}
			b := newBench(t, a, settings(), "127.0.0.1")
			b.req.Ringback, b.req.Asked.Agent.WebRTC.Codecs = "us", tc.agent
			if b.req.Invitation.Offer.Codecs, b.req.Invitation.Offer.Direction = tc.offer, tc.dir; tc.offer == nil {
				b.req.Invitation.Offer = nil
			}
			b.open()
			switch ev := b.event(); {
			case tc.want == "" && ev.Kind != call.AgentChosen:
				t.Errorf("%+v, want the agent and no ringing", ev)
			case tc.want != "" && (ev.Kind != call.EarlyReady || ev.Answer.Codec.Name != tc.want):
				t.Errorf("%+v, want ringing in %s", ev, tc.want)
			case tc.want != "":
				if ev := b.event(); ev.Kind != call.AgentFailed || len(a.req.Codecs) != 1 || a.req.Codecs[0].Name != tc.want {
					t.Errorf("%+v, the agent was offered %v", ev, a.req.Codecs)
				}
			}
		})
	}
}

func TestRingingGoesOnForTheNextAgent(t *testing.T) {
	t.Parallel()
	a := newAgent(pcmu)
	a.err = media.ErrAgentBusy
	b := newBench(t, a, settings(), "127.0.0.1")
	b.req.Ringback = "us"
	b.open()
	if ev := b.event(); ev.Kind != call.EarlyReady {
		t.Fatalf("%+v", ev)
	}
	b.bridge.Early()
	if ev := b.event(); ev.Kind != call.AgentFailed {
		t.Fatalf("%+v", ev)
	}
	heard := receive(t, b.rtp, 7, patience)
	next := newAgent(pcmu)
	b.relay.set(next)
	b.bridge.Ask(actors.Asked{Number: 2, Agent: b.req.Asked.Agent, Deadline: time.Now().Add(time.Minute)})
	b.chosenAndJoined()
	heard = append(heard, receive(t, b.rtp, 30, patience)...)
	sound(t, heard)
	ringing := rtp.Ringback("us", "PCMU")
	for i, p := range heard {
		if !bytes.Equal(p[rtp.HeaderSize:], ringing[i%len(ringing)]) {
			t.Fatalf("packet %d is not the ringing that goes on", i)
		}
	}
}

func TestAnOfferWithoutSDPRingsOnceTheCarrierHasAnsweredOurs(t *testing.T) {
	t.Parallel()
	a := newAgent(pcma)
	b := newBench(t, a, settings(), "127.0.0.1")
	release := make(chan struct{})
	b.gate(a, release)
	defer close(release)
	b.req.Ringback, b.req.Invitation.Offer, b.req.Invitation.Reliable = "us", nil, true
	b.open()
	ev := b.event()
	if ev.Kind != call.EarlyReady || ev.Offer == nil || len(ev.Offer.Codecs) != 1 || ev.Offer.Codecs[0].Name != "PCMU" {
		t.Fatalf("%+v, want our offer", ev)
	}
	b.bridge.Early()
	ours := *ev.Answer
	ours.Direction = call.SendRecv
	b.bridge.Update(call.Agreement{Carrier: call.Answer{Addr: addr(b.rtp), RTCP: addr(b.rtcp), Codec: ours.Codec, Direction: call.SendRecv}, Ours: ours})
	if pcm := sound(t, receive(t, b.rtp, 30, patience)); tone.Share(pcm, 440, 8000) < 0.4 {
		t.Error("no ringing")
	}
}

func TestAnAgentThatIsHeardEarlyAnswersOrRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.open()
	b.chosenAndJoined()
	<-b.agent.started
	do := b.agent.command
	if err := do(media.Command{Type: media.CommandAnswer}); !errors.Is(err, media.ErrNotEarly) {
		t.Errorf("an answer before anybody was told: %v", err)
	}
	b.bridge.Early()
	b.bridge.Notify(call.EventEarly, call.Event{})
	b.agent.rx(packet(0, 1, payload(0, 0xa9)...))
	if got := receive(t, b.rtp, 1, patience); len(got) != 1 {
		t.Error("the agent is not heard")
	}
	if ev := b.event(); ev.Kind != call.FirstAgentRTP {
		t.Errorf("%+v, want the agent's first audio", ev)
	}
	for _, tc := range []struct {
		c      media.Command
		err    error
		kind   call.EventKind
		status int
	}{
		{media.Command{Type: media.CommandReject, Status: 200}, media.ErrBadStatus, "", 0},
		{media.Command{Type: media.CommandReject, Status: 401}, media.ErrBadStatus, "", 0},
		{media.Command{Type: media.CommandReject, Status: 700}, media.ErrBadStatus, "", 0},
		{media.Command{Type: media.CommandAnswer, Headers: []call.Header{{Name: "Via", Value: "x"}}}, media.ErrBadHeaders, "", 0},
		{media.Command{Type: media.CommandReject, Status: 486}, nil, call.Hangup, 486},
		{media.Command{Type: media.CommandReject}, nil, call.Hangup, 603},
		{media.Command{Type: media.CommandAnswer, Headers: []call.Header{{Name: "X-A", Value: "1"}}}, nil, call.AnswerAsked, 0},
	} {
		if err := do(tc.c); !errors.Is(err, tc.err) {
			t.Errorf("%+v: %v, want %v", tc.c, err, tc.err)
			continue
		}
		if tc.err != nil {
			continue
		}
		if ev := b.event(); ev.Kind != tc.kind || ev.Status != tc.status || ev.Dispatch != 1 || len(ev.Headers) != len(tc.c.Headers) {
			t.Errorf("%+v: %+v", tc.c, ev)
		}
	}
	b.bridge.Answered()
	if err := do(media.Command{Type: media.CommandReject}); !errors.Is(err, media.ErrNotEarly) {
		t.Errorf("a refusal after the answer: %v", err)
	}
	b.agent.mu.Lock()
	defer b.agent.mu.Unlock()
	if len(b.agent.notes) != 1 || fields(t, b.agent.notes[0])["type"] != "call.early_media" {
		t.Errorf("the agent was told %v", b.agent.notes)
	}
}
