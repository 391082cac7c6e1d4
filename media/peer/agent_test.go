package peer_test

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"

	"patchbay/actors/call"
	"patchbay/config"
	"patchbay/media/peer"
)

const patience = 30 * time.Second

var (
	pcmu = call.Codec{PayloadType: 0, Name: "PCMU", ClockRate: 8000}
	pcma = call.Codec{PayloadType: 8, Name: "PCMA", ClockRate: 8000}
	g722 = call.Codec{PayloadType: 9, Name: "G722", ClockRate: 8000}
	opus = call.Codec{PayloadType: 96, Name: "opus", ClockRate: 48000, Channels: 2, Fmtp: "minptime=10;useinbandfec=1"}
	dtmf = call.Codec{PayloadType: 101, Name: "telephone-event", ClockRate: 8000, Fmtp: "0-16"}
)

func settings(tap bool) config.Media {
	return config.Media{ICEPorts: "30000-39999", Bind: "127.0.0.1", SRTPTap: tap}
}

// newStack returns a stack whose peers have all gone when the test ends.
func newStack(t testing.TB, cfg config.Media, hooks peer.Hooks) *peer.Stack {
	t.Helper()
	s, err := peer.NewStack(cfg, hooks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wait)
	return s
}

// newPatientStack is one whose peers wait at the end of a call for as long as a
// test does: what they tell their agents then is lost neither way.
func newPatientStack(t testing.TB, cfg config.Media) *peer.Stack {
	t.Helper()
	s := newStack(t, cfg, peer.Hooks{})
	s.Part(patience)
	return s
}

// An agent is a stock peer connection of the library: default interceptors,
// default tracks.
type agent struct {
	pc    *webrtc.PeerConnection
	track *webrtc.TrackLocalStaticRTP
	rx    chan []byte // RTP packets, headers and all
	up    chan struct{}
	down  chan struct{}

	mu   sync.Mutex
	dc   *webrtc.DataChannel
	said chan string
}

type agentOptions struct {
	codec    call.Codec
	role     webrtc.DTLSRole
	suites   []dtls.CipherSuiteID
	profiles []dtls.SRTPProtectionProfile
	dtmf     bool
}

func newAgent(t testing.TB, o agentOptions) *agent {
	t.Helper()
	if o.codec.Name == "" {
		o.codec = pcmu
	}
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	se.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if o.role != 0 {
		if err := se.SetAnsweringDTLSRole(o.role); err != nil {
			t.Fatal(err)
		}
	}
	se.SetDTLSConnectContextMaker(func() (context.Context, func()) { return context.WithCancel(t.Context()) }) // see Stack.connection
	se.SetDTLSCipherSuites(o.suites...)
	se.SetSRTPProtectionProfiles(o.profiles...)
	me := &webrtc.MediaEngine{}
	capability := webrtc.RTPCodecCapability{MimeType: "audio/" + o.codec.Name, ClockRate: o.codec.ClockRate, Channels: uint16(o.codec.Channels)}
	register(t, me, capability, o.codec.PayloadType)
	if o.dtmf {
		register(t, me, webrtc.RTPCodecCapability{MimeType: "audio/telephone-event", ClockRate: 8000}, 101)
	}
	ir := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(me, ir); err != nil {
		t.Fatal(err)
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(se), webrtc.WithMediaEngine(me), webrtc.WithInterceptorRegistry(ir))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	a := &agent{pc: pc, rx: make(chan []byte, 2048), up: make(chan struct{}), down: make(chan struct{}), said: make(chan string, 64)}
	if a.track, err = webrtc.NewTrackLocalStaticRTP(capability, "audio", "agent"); err != nil {
		t.Fatal(err)
	}
	if _, err = pc.AddTrack(a.track); err != nil {
		t.Fatal(err)
	}
	a.listen()
	return a
}

func register(t testing.TB, me *webrtc.MediaEngine, c webrtc.RTPCodecCapability, pt uint8) {
	t.Helper()
	err := me.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: webrtc.PayloadType(pt)}, webrtc.RTPCodecTypeAudio)
	if err != nil {
		t.Fatal(err)
	}
}

func (a *agent) listen() {
	a.pc.OnTrack(func(tr *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			b := make([]byte, 1500)
			n, _, err := tr.Read(b)
			if err != nil {
				return
			}
			select {
			case a.rx <- b[:n]:
			default: // nobody looks
			}
		}
	})
	var up, down sync.Once
	a.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			up.Do(func() { close(a.up) })
		case webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateFailed:
			down.Do(func() { close(a.down) })
		}
	})
	a.pc.OnDataChannel(func(dc *webrtc.DataChannel) { a.use(dc) })
}

func (a *agent) use(dc *webrtc.DataChannel) {
	a.mu.Lock()
	a.dc = dc
	a.mu.Unlock()
	dc.OnMessage(func(m webrtc.DataChannelMessage) { a.said <- string(m.Data) })
}

// hear returns the next message on the data channel.
func (a *agent) hear(t testing.TB) string {
	t.Helper()
	select {
	case s := <-a.said:
		return s
	case <-time.After(patience):
		t.Fatal("no message came")
		return ""
	}
}

func (a *agent) answer(t testing.TB, offer string) string {
	t.Helper()
	if err := a.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		t.Fatal(err)
	}
	d, err := a.pc.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.describe(t, d)
}

func (a *agent) offer(t testing.TB) string {
	t.Helper()
	d, err := a.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.describe(t, d)
}

func (a *agent) describe(t testing.TB, d webrtc.SessionDescription) string {
	t.Helper()
	done := webrtc.GatheringCompletePromise(a.pc)
	if err := a.pc.SetLocalDescription(d); err != nil {
		t.Fatal(err)
	}
	<-done
	return a.pc.LocalDescription().SDP
}

func (a *agent) accept(t testing.TB, answer string) {
	t.Helper()
	if err := a.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
}

// join connects p with a by p's offer.
func join(t testing.TB, p *peer.Peer, a *agent) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	offer, err := p.Offer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Accept(a.answer(t, offer)); err != nil {
		t.Fatal(err)
	}
	connected(t, p, a)
}

func connected(t testing.TB, p *peer.Peer, a *agent) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Connected(ctx); err != nil {
		t.Fatal(err)
	}
	await(t, a.up, "the agent to connect")
}

func await(t testing.TB, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
}

// packet makes a 20 ms G.711 packet whose payload says its number.
func packet(ssrc uint32, pt uint8, seq uint16) []byte {
	b := make([]byte, 172)
	b[0], b[1] = 0x80, pt
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], uint32(seq)*160)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	for i := 12; i < len(b); i++ {
		b[i] = byte(int(seq)*7 + i)
	}
	return b
}
