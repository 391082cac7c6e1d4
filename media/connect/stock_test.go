package connect_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	pionmedia "github.com/pion/webrtc/v4/pkg/media"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/internal/tone"
	"patchbay/media"
)

// Tones of the two sides, Hz.
const (
	carrierTone = 440
	agentTone   = 1000
)

// A stock agent is the library as its users have it: default codecs, default
// interceptors. It plays its tone and listens for the carrier's.
type stock struct {
	t    testing.TB
	pc   *webrtc.PeerConnection
	said chan string // by us, on the data channel
	dc   chan *webrtc.DataChannel
	down chan struct{}
	deaf bool // it answers and never connects

	mu    sync.Mutex
	heard []int16
}

func newStock(t testing.TB) *stock {
	t.Helper()
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	se.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(se)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	s := &stock{t: t, pc: pc, said: make(chan string, 64), dc: make(chan *webrtc.DataChannel, 1), down: make(chan struct{})}
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}, "audio", "agent")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pc.AddTrack(track); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { play(track, stop) })
	t.Cleanup(func() { close(stop); wg.Wait(); _ = pc.GracefulClose() })
	pc.OnTrack(s.listen)
	pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		dc.OnMessage(func(m webrtc.DataChannelMessage) { s.said <- string(m.Data) })
		s.dc <- dc
	})
	var down sync.Once
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateClosed || state == webrtc.PeerConnectionStateFailed {
			down.Do(func() { close(s.down) })
		}
	})
	return s
}

func play(track *webrtc.TrackLocalStaticSample, stop <-chan struct{}) {
	osc, tick := tone.NewOscillator(agentTone, 8000), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	pcm := make([]int16, 160)
	for {
		osc.Fill(pcm)
		_ = track.WriteSample(pionmedia.Sample{Data: tone.EncodePCMU(pcm), Duration: 20 * time.Millisecond})
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

func (s *stock) listen(tr *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	for {
		p, _, err := tr.ReadRTP()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.heard = append(s.heard, tone.DecodePCMU(p.Payload)...)
		s.mu.Unlock()
	}
}

// answer takes an offer like the library's examples do.
func (s *stock) answer(offer string) string {
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		s.t.Errorf("the stock agent cannot take the offer: %v", err)
		return ""
	}
	d, err := s.pc.CreateAnswer(nil)
	if err != nil {
		s.t.Errorf("the stock agent cannot answer: %v", err)
		return ""
	}
	return s.describe(d)
}

func (s *stock) describe(d webrtc.SessionDescription) string {
	done := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(d); err != nil {
		s.t.Errorf("the stock agent cannot describe itself: %v", err)
		return ""
	}
	<-done
	sdp := s.pc.LocalDescription().SDP
	if s.deaf {
		_ = s.pc.Close()
	}
	return sdp
}

// hear returns the next message of ours on the data channel.
func (s *stock) hear(t testing.TB) string {
	t.Helper()
	select {
	case m := <-s.said:
		return m
	case <-time.After(patience):
		t.Fatal("nothing came on the data channel")
		return ""
	}
}

func (s *stock) hearsTone(t testing.TB) {
	t.Helper()
	eventually(t, "the agent hears the carrier's tone", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return last(s.heard, carrierTone)
	})
}

// last reports whether the last 100 ms are that tone.
func last(pcm []int16, freq float64) bool {
	return len(pcm) >= 800 && tone.Share(pcm[len(pcm)-800:], freq, 8000) > 0.9
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, what)
}

// A carried call is a bridge of a whole node, with a carrier that plays its
// tone once it knows where.
type carried struct {
	t      testing.TB
	bridge actors.Bridge
	events chan call.Event
	answer call.Answer
	sock   *net.UDPConn

	mu    sync.Mutex
	heard []int16
	seqs  []uint16
}

// openCall makes a node with the connector and a call for the agent.
func openCall(t testing.TB, c media.Connector, agent endpoint.Agent) *carried {
	t.Helper()
	node, err := media.NewNode(config.Media{RTPPorts: "23000-24999", Bind: "127.0.0.1", MaxCalls: 4, AgentTimeout: patience, LatchMode: "sdp",
		LatchWindow: 5 * time.Second}, map[endpoint.Connector]media.Connector{agent.WebRTC.Connector: c}, nil, media.Observer{})
	if err != nil {
		t.Fatal(err)
	}
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	b := &carried{t: t, sock: sock, events: make(chan call.Event, 64)}
	var wg sync.WaitGroup
	wg.Go(b.listen)
	t.Cleanup(func() { _ = node.Close(); _ = sock.Close(); wg.Wait() })
	at := sock.LocalAddr().(*net.UDPAddr).AddrPort()
	req := request(agent.WebRTC)
	req.Invitation.Source = at.String()
	req.Invitation.Offer = &call.Offer{Addr: at, RTCP: netip.AddrPortFrom(at.Addr(), at.Port()), RTCPMux: true,
		Codecs: []call.Codec{pcmu, pcma}, Direction: call.SendRecv}
	b.bridge = node.Open(actors.BridgeRequest{ID: req.ID, Tenant: req.Tenant, Asked: actors.Asked{Number: 1, Agent: agent}, Invitation: req.Invitation},
		func(ev call.Event) { b.events <- ev })
	return b
}

func (b *carried) event(kind call.EventKind) call.Event {
	b.t.Helper()
	for {
		select {
		case ev := <-b.events:
			if ev.Kind == kind {
				return ev
			}
		case <-time.After(patience):
			b.t.Fatalf("no %s", kind)
		}
	}
}

// joined waits for the agent and plays the carrier's tone until the test ends.
func (b *carried) joined() {
	b.t.Helper()
	b.answer = *b.event(call.AgentJoined).Answer
	b.bridge.Answered()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	b.t.Cleanup(func() { close(stop); wg.Wait() })
	wg.Go(func() {
		osc, tick := tone.NewOscillator(carrierTone, 8000), time.NewTicker(20*time.Millisecond)
		defer tick.Stop()
		pcm := make([]int16, 160)
		for seq := uint16(0); ; seq++ {
			osc.Fill(pcm)
			p := make([]byte, 12, 172)
			p[0] = 0x80
			binary.BigEndian.PutUint16(p[2:], seq)
			binary.BigEndian.PutUint32(p[4:], uint32(seq)*160)
			p[11] = 99
			_, _ = b.sock.WriteToUDPAddrPort(append(p, tone.EncodePCMU(pcm)...), b.answer.Addr)
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
}

func (b *carried) listen() {
	buf := make([]byte, 1500)
	for {
		n, err := b.sock.Read(buf)
		if err != nil {
			return
		}
		if n != 172 || buf[1]&0x7f != 0 {
			continue // RTCP
		}
		b.mu.Lock()
		b.heard = append(b.heard, tone.DecodePCMU(buf[12:n])...)
		b.seqs = append(b.seqs, binary.BigEndian.Uint16(buf[2:]))
		b.mu.Unlock()
	}
}

func (b *carried) hearsTone() {
	b.t.Helper()
	eventually(b.t, "the carrier hears the agent's tone", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return last(b.heard, agentTone)
	})
}
