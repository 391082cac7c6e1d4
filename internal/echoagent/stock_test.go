package echoagent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"patchbay/actors/call"
	"patchbay/internal/echoagent"
)

// A caller is a stock peer connection that offers, as docs/agents.md has it.
type caller struct {
	pc    *webrtc.PeerConnection
	track *webrtc.TrackLocalStaticRTP
	heard chan *rtp.Packet
	up    chan struct{}
	down  chan struct{} // the agent left
	sdp   string
	seq   uint16 // of the next packet
}

func newCaller(t testing.TB) *caller {
	t.Helper()
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	se.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(se)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	c := &caller{pc: pc, heard: make(chan *rtp.Packet, 600), up: make(chan struct{}), down: make(chan struct{}), seq: 65300}
	c.track, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}, "audio", "caller")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = pc.AddTrack(c.track); err != nil {
		t.Fatal(err)
	}
	err = pc.GetTransceivers()[0].SetCodecPreferences([]webrtc.RTPCodecParameters{
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}, PayloadType: 0},
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}, PayloadType: 111},
	})
	if err != nil {
		t.Fatal(err)
	}
	var up, down sync.Once
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			up.Do(func() { close(c.up) })
		case webrtc.PeerConnectionStateClosed:
			down.Do(func() { close(c.down) })
		}
	})
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := remote.ReadRTP()
			if err != nil {
				return
			}
			c.heard <- p
		}
	})
	gathered := webrtc.GatheringCompletePromise(pc)
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	c.sdp = pc.LocalDescription().SDP
	return c
}

// ask offers a call and returns the worker's reply.
func (c *caller) ask(t testing.TB, nc *nats.Conn, id string, epoch uint64) *nats.Msg {
	t.Helper()
	body, err := json.Marshal(map[string]any{"v": 1, "call_id": id, "epoch": epoch, "type": "offer", "sdp": c.sdp,
		"headers": []any{}, "something_new": true})
	if err != nil {
		t.Fatal(err)
	}
	m, err := nc.Request("pb.v1.agent.echo.offer", body, patience)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// talk says something until it comes back: then both sides are up. Each time it
// says another, and waits longer, until the last has come back: of those before
// none is on its way then.
func (c *caller) talk(t testing.TB, text string) {
	t.Helper()
	wait := 50 * time.Millisecond
	for end := time.Now().Add(patience); time.Now().Before(end); wait += wait / 2 {
		said := fmt.Sprint(text, " ", c.seq)
		if err := c.track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: c.seq}, Payload: []byte(said)}); err != nil {
			t.Fatal(err)
		}
		c.seq++
		if c.hears(said, wait) {
			return
		}
	}
	t.Fatalf("%q never came back", text)
}

// hears passes over what comes back before what is wanted.
func (c *caller) hears(want string, wait time.Duration) bool {
	for over := time.After(wait); ; {
		select {
		case got := <-c.heard:
			if string(got.Payload) == want {
				return true
			}
		case <-over:
			return false
		}
	}
}

// join offers a call that the worker must take.
func (c *caller) join(t testing.TB, nc *nats.Conn, id string, epoch uint64) {
	t.Helper()
	var a struct {
		SDP, Type string
		SessionID string `json:"session_id"`
		WorkerID  string `json:"worker_id"`
	}
	m := c.ask(t, nc, id, epoch)
	if err := json.Unmarshal(m.Data, &a); err != nil || a.Type != "answer" || a.SessionID == "" || a.WorkerID == "" {
		t.Fatalf("got %s %v: %v", m.Data, m.Header, err)
	}
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: a.SDP}); err != nil {
		t.Fatal(err)
	}
	await(t, c.up, "ICE and DTLS")
}

func await(t testing.TB, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
}

func TestAStockPeerHearsItsPayloadsInOrder(t *testing.T) {
	before := goleak.IgnoreCurrent()
	defer func() {
		var left error
		for end := time.Now().Add(patience); time.Now().Before(end); {
			if left = goleak.Find(before); left == nil {
				return
			}
		}
		t.Error(left)
	}()
	t.Run("call", func(t *testing.T) {
		_, nc := start(t, echoagent.Options{ICEPorts: "41000-41999"})
		c := newCaller(t)
		c.join(t, nc, "00000000000000aa", 1)
		c.talk(t, "hello")
		var first *rtp.Packet
		for seq := range uint16(500) {
			p := &rtp.Packet{Payload: fmt.Appendf(nil, "payload %d", seq)}
			p.Version, p.SequenceNumber, p.Timestamp, p.Marker = 2, c.seq+seq, uint32(seq)*160, seq == 0
			if err := c.track.WriteRTP(p); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-c.heard:
				if first == nil {
					first = got
				}
				if string(got.Payload) != string(p.Payload) || got.PayloadType != 0 || got.Marker != p.Marker ||
					got.SSRC != first.SSRC || got.SequenceNumber-first.SequenceNumber != seq || got.Timestamp-first.Timestamp != p.Timestamp {
					t.Fatalf("packet %d came back as %v %q", seq, got.Header, got.Payload)
				}
			case <-time.After(patience):
				t.Fatalf("packet %d never came back", seq)
			}
		}
	})
}

func TestACancelledCallIsLeft(t *testing.T) {
	_, nc := start(t, echoagent.Options{WorkerID: "w1"})
	c := newCaller(t)
	c.join(t, nc, "00000000000000aa", 1)
	c.talk(t, "hello")
	for _, word := range []string{`nonsense`, `{"v":1,"call_id":"unknown","reason":"x"}`, `{"v":1,"call_id":"00000000000000aa","reason":"no_agent"}`} {
		if err := nc.Publish("pb.v1.agent.echo.w.w1.cancel", []byte(word)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, c.down, "the agent to leave")
}

func TestASecondOfferTakesTheFirstsPlaceAndAnOlderOneDoesNot(t *testing.T) {
	_, nc := start(t, echoagent.Options{})
	one, two := newCaller(t), newCaller(t)
	one.join(t, nc, "00000000000000aa", 1)
	one.talk(t, "hello")
	two.join(t, nc, "00000000000000aa", 2)
	await(t, one.down, "the agent to leave the first")
	if got := newCaller(t).ask(t, nc, "00000000000000aa", 1).Header.Get("Nats-Service-Error-Code"); got != "409" {
		t.Errorf("got %q, want 409", got)
	}
}

func TestThePeersGoodbyeByRTCPFreesTheSlot(t *testing.T) {
	_, nc := start(t, echoagent.Options{MaxCalls: 1})
	c := newCaller(t)
	c.join(t, nc, "00000000000000aa", 1)
	c.talk(t, "hello")
	ssrc := uint32(c.pc.GetSenders()[0].GetParameters().Encodings[0].SSRC)
	if err := c.pc.WriteRTCP([]rtcp.Packet{&rtcp.Goodbye{Sources: []uint32{ssrc}}}); err != nil {
		t.Fatal(err)
	}
	await(t, c.down, "the agent to leave")
}

func TestTheAgentEndsWellWithoutItsNATS(t *testing.T) {
	_, nc := start(t, echoagent.Options{}) // its end must be nil
	c := newCaller(t)
	c.join(t, nc, "00000000000000aa", 1)
	nc.Close()
	c.talk(t, "still here")
}

func TestBadPortsAreRefused(t *testing.T) {
	for _, ports := range []string{"x", "1-", "2000-1000", "0-5", "70000-70001"} {
		if err := echoagent.Run(t.Context(), nil, "echo", echoagent.Options{ICEPorts: ports}, nil); err == nil {
			t.Errorf("%q was taken", ports)
		}
	}
}

// BenchmarkJoin is what a call waits for between the verdict and 200: offer,
// answer, ICE, DTLS.
func BenchmarkJoin(b *testing.B) {
	c, _ := start(b, echoagent.Options{})
	for i := 0; b.Loop(); i++ {
		ctx, cancel := context.WithTimeout(b.Context(), patience)
		leg, err := c.Join(ctx, request(call.ID(i+1), []call.Codec{codec("PCMU")}, nil), func(string) {})
		cancel()
		if err != nil {
			b.Fatal(err)
		}
		leg.Close(call.CauseNormal)
	}
}
