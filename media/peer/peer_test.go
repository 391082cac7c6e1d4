package peer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"patchbay/actors/call"
	"patchbay/media"
	"patchbay/media/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// exchange sends n packets each way and fails unless all payloads come through.
func exchange(t *testing.T, p *peer.Peer, a *agent, n int) {
	t.Helper()
	in := make(chan []byte, n)
	p.Start(func(b []byte) { in <- bytes.Clone(b) }, func(c call.Cause) { t.Logf("closed: %v", c) }, nil)
	pt := p.Codec().PayloadType
	for seq := range uint16(n) {
		if err := p.WriteRTP(packet(p.SSRC(), pt, seq)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.track.Write(packet(0, pt, seq)); err != nil {
			t.Fatal(err)
		}
		compare(t, in, seq, "from the agent")
		compare(t, a.rx, seq, "to the agent")
	}
}

func compare(t *testing.T, ch <-chan []byte, seq uint16, way string) {
	t.Helper()
	select {
	case got := <-ch:
		if s := binary.BigEndian.Uint16(got[2:]); s != seq {
			t.Fatalf("%s: got packet %d, want %d", way, s, seq)
		}
		if want := packet(0, 0, seq); !bytes.Equal(got[12:], want[12:]) {
			t.Fatalf("%s: payload %d differs", way, seq)
		}
	case <-time.After(patience):
		t.Fatalf("%s: packet %d never came", way, seq)
	}
}

func TestAudioIsByteExactBothWaysOnBothPathsInBothDTLSRoles(t *testing.T) {
	for name, c := range map[string]struct {
		tap  bool
		role webrtc.DTLSRole
		opts agentOptions
		path string
	}{
		"tap, agent is DTLS client":   {tap: true, role: webrtc.DTLSRoleClient, path: "tap"},
		"tap, agent is DTLS server":   {tap: true, role: webrtc.DTLSRoleServer, path: "tap"},
		"track, agent is DTLS client": {role: webrtc.DTLSRoleClient, path: "track"},
		"track, agent is DTLS server": {role: webrtc.DTLSRoleServer, path: "track"},
		"tap, SHA-384 suite": {tap: true, path: "tap", role: webrtc.DTLSRoleClient, opts: agentOptions{
			suites: []dtls.CipherSuiteID{dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}},
		"tap, SHA-384 suite, agent is server": {tap: true, path: "tap", role: webrtc.DTLSRoleServer, opts: agentOptions{
			suites: []dtls.CipherSuiteID{dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}},
		"tap, AES-CM and HMAC-SHA1": {tap: true, path: "tap", opts: agentOptions{
			profiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}}},
		"tap, AES-256-GCM": {tap: true, path: "tap", opts: agentOptions{
			profiles: []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_256_GCM}}},
		"tap, G.722": {tap: true, path: "tap", opts: agentOptions{codec: g722}},
		"tap, Opus":  {tap: true, path: "tap", opts: agentOptions{codec: opus}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var path atomic.Value
			s := newStack(t, settings(c.tap), peer.Hooks{Connected: func(p string) { path.Store(p) }})
			p := s.Peer(peer.Wanted{Codecs: []call.Codec{pcma, pcmu, g722, opus}, Channel: true})
			defer p.Close(call.CauseNormal)
			c.opts.role = c.role
			a := newAgent(t, c.opts)
			join(t, p, a)
			exchange(t, p, a, 500)
			if path.Load() != c.path {
				t.Errorf("audio ran over %v, want %s", path.Load(), c.path)
			}
		})
	}
}

func TestAnAgentThatDialsInIsAnsweredWithICELite(t *testing.T) {
	for _, tap := range []bool{true, false} {
		t.Run(fmt.Sprintf("tap=%v", tap), func(t *testing.T) {
			t.Parallel()
			p := newStack(t, settings(tap), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu, pcma}, Channel: true})
			defer p.Close(call.CauseNormal)
			a := newAgent(t, agentOptions{codec: pcma})
			dc, err := a.pc.CreateDataChannel(peer.ChannelLabel, nil)
			if err != nil {
				t.Fatal(err)
			}
			a.use(dc)
			answer, err := p.AnswerTo(t.Context(), a.offer(t))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(answer, "a=ice-lite") {
				t.Error("the answer does not say ice-lite")
			}
			a.accept(t, answer)
			connected(t, p, a)
			if got := p.Codec().Name; got != "PCMA" {
				t.Errorf("got %s, want PCMA", got)
			}
			p.Notify([]byte(`{"type":"call.started"}`))
			if got := a.hear(t); got != `{"type":"call.started"}` {
				t.Errorf("the agent got %s", got)
			}
			exchange(t, p, a, 500)
		})
	}
}

func TestTheOfferNamesOneLowPriorityCandidatePerAddress(t *testing.T) {
	t.Parallel()
	cfg := settings(true)
	cfg.Advertise = "198.51.100.7"
	p := newStack(t, cfg, peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{opus, pcmu}, DTMF: []call.Codec{dtmf}})
	defer p.Close(call.CauseNormal)
	offer, err := p.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(offer, "a=candidate:"); n != 1 {
		t.Errorf("got %d candidates, want 1", n)
	}
	for _, want := range []string{
		"1 udp 1000 198.51.100.7 3", "UDP/TLS/RTP/SAVPF 111 0 101\r\n", "a=rtpmap:111 opus/48000/2", "a=rtpmap:101 telephone-event/8000",
		"a=setup:actpass", "a=sendrecv", "a=end-of-candidates",
	} {
		if !strings.Contains(offer, want) {
			t.Errorf("the offer lacks %q:\n%s", want, offer)
		}
	}
	if strings.Contains(offer, "m=application") {
		t.Error("a data channel is offered though none is wanted")
	}
}

func TestAnAnswerWithoutACommonCodecIsRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t, settings(true), peer.Hooks{})
	head := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"other codec":      {head + "m=audio 9 UDP/TLS/RTP/SAVPF 8\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:8 PCMA/8000\r\n", media.ErrNoCodec},
		"rejected m-line":  {head + "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n", media.ErrNoCodec},
		"only digits":      {head + "m=audio 9 UDP/TLS/RTP/SAVPF 101\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:101 telephone-event/8000\r\n", media.ErrNoCodec},
		"no audio at all":  {head, media.ErrNoCodec},
		"no SDP":           {"hello", media.ErrAgentRefused},
		"no ICE, no DTLS":  {head + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n", media.ErrAgentRefused},
		"payload too high": {head + "m=audio 9 UDP/TLS/RTP/SAVPF 300\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:300 PCMU/8000\r\n", media.ErrNoCodec},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := s.Peer(peer.Wanted{Codecs: []call.Codec{pcmu}})
			defer p.Close(call.CauseNoCodec)
			if _, err := p.Offer(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := p.Accept(c.answer); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestDigitsAreAgreedAtTheCodecsClockRate(t *testing.T) {
	t.Parallel()
	p := newStack(t, settings(true), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}, DTMF: []call.Codec{dtmf}})
	defer p.Close(call.CauseNormal)
	join(t, p, newAgent(t, agentOptions{dtmf: true}))
	if c, ok := p.DTMF(); !ok || c.PayloadType != 101 || c.ClockRate != 8000 {
		t.Errorf("got %v %v, want telephone-event/8000 as 101", c, ok)
	}
}

func TestAnAgentThatLeavesIsNoticedWithinASecond(t *testing.T) {
	for _, tap := range []bool{true, false} {
		t.Run(fmt.Sprintf("tap=%v", tap), func(t *testing.T) {
			t.Parallel()
			p := newStack(t, settings(tap), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}})
			defer p.Close(call.CauseNormal)
			a := newAgent(t, agentOptions{})
			join(t, p, a)
			closed := make(chan call.Cause, 2)
			p.Start(func([]byte) {}, func(c call.Cause) { closed <- c }, nil)
			start := time.Now()
			if err := a.pc.Close(); err != nil {
				t.Fatal(err)
			}
			select {
			case c := <-closed:
				if c != call.CauseAgentHangup {
					t.Errorf("got %v, want %v", c, call.CauseAgentHangup)
				}
			case <-time.After(patience): // one that was only missed would be lost after 5 s, by another cause
				t.Fatalf("not noticed after %v", time.Since(start))
			}
			if err := p.WriteRTP(packet(p.SSRC(), 0, 1)); !errors.Is(err, media.ErrClosed) {
				t.Errorf("write after the agent left: got %v, want %v", err, media.ErrClosed)
			}
		})
	}
}

func TestAPeerMayBeClosedAtAnyMoment(t *testing.T) {
	t.Parallel()
	s := newStack(t, settings(true), peer.Hooks{})
	want := peer.Wanted{Codecs: []call.Codec{pcmu}, Channel: true}
	t.Run("before it offers", func(t *testing.T) {
		p := s.Peer(want)
		p.Close(call.CauseNormal)
		if _, err := p.Offer(t.Context()); !errors.Is(err, media.ErrClosed) {
			t.Errorf("got %v, want %v", err, media.ErrClosed)
		}
	})
	t.Run("before the answer", func(t *testing.T) {
		p := s.Peer(want)
		if _, err := p.Offer(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Close(call.CauseNormal)
	})
	t.Run("while it connects", func(t *testing.T) {
		p, a := s.Peer(want), newAgent(t, agentOptions{})
		offer, err := p.Offer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Accept(a.answer(t, offer)); err != nil {
			t.Fatal(err)
		}
		p.Close(call.CauseNormal)
		if err := p.Connected(t.Context()); !errors.Is(err, media.ErrAgentUnreachable) {
			t.Errorf("got %v, want %v", err, media.ErrAgentUnreachable)
		}
	})
	t.Run("once it is connected", func(t *testing.T) {
		p, a := s.Peer(want), newAgent(t, agentOptions{})
		join(t, p, a)
		p.Close(call.CauseNormal)
		for range 50 { // what both are ready for may be chosen
			if err := p.Connected(t.Context()); !errors.Is(err, media.ErrAgentUnreachable) {
				t.Fatalf("got %v, want %v", err, media.ErrAgentUnreachable)
			}
		}
	})
	t.Run("from its own packets", func(t *testing.T) {
		p, a := s.Peer(want), newAgent(t, agentOptions{})
		join(t, p, a)
		p.Start(func([]byte) { p.Close(call.CauseNormal) }, func(call.Cause) {}, nil)
		if _, err := a.track.Write(packet(0, 0, 1)); err != nil {
			t.Fatal(err)
		}
		await(t, a.down, "the end")
	})
}

func TestANodeOutOfPortsSaysSo(t *testing.T) {
	t.Parallel()
	cfg := settings(true)
	cfg.ICEPorts = "12990-12991"
	s := newStack(t, cfg, peer.Hooks{})
	for i := range 3 {
		p := s.Peer(peer.Wanted{Codecs: []call.Codec{pcmu}})
		defer p.Close(call.CauseNormal)
		_, err := p.Offer(t.Context())
		if full := errors.Is(err, peer.ErrNoPort); full != (i == 2) {
			t.Errorf("offer %d: got %v", i+1, err)
		}
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func() (string, string, string){
		"media.ice_ports": func() (string, string, string) { return "40000-30000", "", "" },
		"media.bind":      func() (string, string, string) { return "1-2", "nowhere", "" },
		"media.advertise": func() (string, string, string) { return "1-2", "", "host.example" },
	} {
		cfg := settings(true)
		cfg.ICEPorts, cfg.Bind, cfg.Advertise = change()
		if _, err := peer.NewStack(cfg, peer.Hooks{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error that names %s", err, want)
		}
	}
}

func TestConnectedEndsWithItsContext(t *testing.T) {
	t.Parallel()
	p := newStack(t, settings(true), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}})
	defer p.Close(call.CauseNormal)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Connected(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
