package echoagent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"
)

const (
	gatherWithin = 3 * time.Second
	closeWithin  = 2 * time.Second
	channelLabel = "call-events"

	// Timers of ICE and DTLS: a lost packet shall not cost a call a second.
	lostAfter      = 5 * time.Second        // silence: disconnected
	goneAfter      = 10 * time.Second       // and then: failed
	keepalive      = time.Second            // ICE checks of a connected pair
	maxChecks      = 50                     // of one pair, one every 200 ms
	handshakeRetry = 200 * time.Millisecond // first DTLS retransmission
)

// A stack is what all echoes share.
type stack struct {
	cert        webrtc.Certificate
	net         transport.Net
	first, last uint16 // UDP ports; 0: any
}

func newStack(ports string) (*stack, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, err
	}
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	s := &stack{cert: *cert, net: n}
	if ports == "" {
		return s, nil
	}
	if _, err := fmt.Sscanf(ports, "%d-%d", &s.first, &s.last); err != nil || s.first == 0 || s.last < s.first {
		return nil, fmt.Errorf("ICE ports %q: want first-last", ports)
	}
	return s, nil
}

func (s *stack) connection(codecs []webrtc.RTPCodecParameters) (*webrtc.PeerConnection, error) {
	var se webrtc.SettingEngine
	se.LoggerFactory = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	se.SetNet(s.net)
	se.SetIncludeLoopbackCandidate(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	se.SetIPFilter(func(ip net.IP) bool { return !ip.IsLinkLocalUnicast() && (ip.To4() != nil || !ip.IsLoopback()) })
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetICETimeouts(lostAfter, goneAfter, keepalive)
	se.SetICEMaxBindingRequests(maxChecks)
	se.SetDTLSRetransmissionInterval(handshakeRetry)
	if s.first != 0 {
		if err := se.SetEphemeralUDPPortRange(s.first, s.last); err != nil {
			return nil, err
		}
	}
	me := &webrtc.MediaEngine{}
	for _, c := range codecs {
		if err := me.RegisterCodec(c, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, err
		}
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(me), webrtc.WithSettingEngine(se),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	return api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{s.cert}})
}

// An echo is one call.
type echo struct {
	pc     *webrtc.PeerConnection
	out    *mirror
	hangup string
	epoch  uint64
	up     chan struct{}
	gone   chan struct{}
	upOnce sync.Once
	once   sync.Once
}

// answer makes an echo that answers sdp.
func (s *stack) answer(sdp, hangupDigit string) (*echo, string, error) {
	codecs, err := chosen(sdp)
	if err != nil {
		return nil, "", err
	}
	pc, err := s.connection(codecs)
	if err != nil {
		return nil, "", err
	}
	e := &echo{pc: pc, out: &mirror{}, hangup: hangupDigit, up: make(chan struct{}), gone: make(chan struct{})}
	text, err := e.describe(sdp)
	if err != nil {
		e.close()
		return nil, "", err
	}
	return e, text, nil
}

func (e *echo) describe(offer string) (string, error) {
	e.pc.OnConnectionStateChange(e.changed)
	e.pc.OnDataChannel(e.channel)
	e.pc.OnTrack(e.track)
	if _, err := e.pc.AddTrack(e.out); err != nil {
		return "", fmt.Errorf("add the audio track: %w", err)
	}
	if err := e.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fmt.Errorf("take the offer: %w", err)
	}
	d, err := e.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("make the answer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(e.pc)
	if err := e.pc.SetLocalDescription(d); err != nil {
		return "", fmt.Errorf("set the answer: %w", err)
	}
	select {
	case <-gathered:
	case <-time.After(gatherWithin):
		return "", errors.New("gathering candidates took too long")
	}
	return e.pc.LocalDescription().SDP, nil
}

// track sends back what comes, until the far side says goodbye.
func (e *echo) track(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	defer e.contain()
	go e.control(r)
	for {
		p, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		e.out.echo(p)
	}
}

// control waits for RTCP BYE (RFC 3550 section 6.3.7): it says the same as
// DTLS close_notify, and either may be lost.
func (e *echo) control(r *webrtc.RTPReceiver) {
	defer e.contain()
	for {
		packets, _, err := r.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if _, bye := p.(*rtcp.Goodbye); bye {
				e.end()
				return
			}
		}
	}
}

// contain makes a panic cost one call.
func (e *echo) contain() {
	if recover() != nil {
		e.end()
	}
}

func (e *echo) changed(s webrtc.PeerConnectionState) {
	switch s {
	case webrtc.PeerConnectionStateConnected:
		e.upOnce.Do(func() { close(e.up) })
	case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		e.end()
	}
}

// channel listens for digits, to hang up on one.
func (e *echo) channel(dc *webrtc.DataChannel) {
	if dc.Label() != channelLabel {
		return
	}
	dc.OnMessage(func(m webrtc.DataChannelMessage) {
		defer e.contain()
		var ev struct {
			Type  string `json:"type"`
			Digit string `json:"digit"`
		}
		if json.Unmarshal(m.Data, &ev) == nil && ev.Type == "dtmf" && e.hangup != "" && ev.Digit == e.hangup {
			_ = dc.SendText(`{"id":"1","type":"hangup"}`)
		}
	})
}

// wait blocks until the call is over, or has not connected within limit.
func (e *echo) wait(limit time.Duration) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-e.up:
		<-e.gone
	case <-e.gone:
	case <-t.C:
	}
}

func (e *echo) end() { e.once.Do(func() { close(e.gone) }) }

// close says goodbye by RTCP BYE and DTLS close_notify, and does not wait for a
// far side that is gone.
func (e *echo) close() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.pc.WriteRTCP([]rtcp.Packet{&rtcp.Goodbye{Sources: []uint32{e.out.source()}}}) // lost before DTLS is up
		_ = e.pc.GracefulClose()
	}()
	select {
	case <-done:
	case <-time.After(closeWithin):
	}
}
