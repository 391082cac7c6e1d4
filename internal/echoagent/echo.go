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
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"
)

const (
	gatherWithin = 3 * time.Second
	closeWithin  = 2 * time.Second
	channelLabel = "call-events"
)

// A stack is what all echoes share.
type stack struct {
	cert webrtc.Certificate
	net  transport.Net
}

func newStack() (*stack, error) {
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
	return &stack{*cert, n}, nil
}

func (s *stack) connection(codecs []webrtc.RTPCodecParameters) (*webrtc.PeerConnection, error) {
	var se webrtc.SettingEngine
	se.LoggerFactory = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	se.SetNet(s.net)
	se.SetIncludeLoopbackCandidate(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	se.SetIPFilter(func(ip net.IP) bool { return !ip.IsLinkLocalUnicast() && (ip.To4() != nil || !ip.IsLoopback()) })
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
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
	e.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := t.ReadRTP()
			if err != nil {
				return
			}
			e.out.echo(p)
		}
	})
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

// close ends the connection, and does not wait for a far side that is gone.
func (e *echo) close() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.pc.GracefulClose()
	}()
	select {
	case <-done:
	case <-time.After(closeWithin):
	}
}
