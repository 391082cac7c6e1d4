package reference

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// connectWithin is the longest that two peers on one machine may take.
const connectWithin = 15 * time.Second

// Connects joins two pion peers on loopback so often a second for a time, and
// returns how long each pair took from the offer to connected on both sides,
// sorted: an agent's leg, alone.
func Connects(ctx context.Context, rate float64, during time.Duration) ([]time.Duration, error) {
	api, config, err := stack()
	if err != nil {
		return nil, err
	}
	var (
		mu   sync.Mutex
		took []time.Duration
		errs error
		wg   sync.WaitGroup
	)
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for range int(rate * during.Seconds()) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		wg.Go(func() {
			d, err := connect(api, config)
			mu.Lock()
			defer mu.Unlock()
			errs = errors.Join(errs, err)
			took = append(took, d)
		})
	}
	wg.Wait()
	slices.Sort(took)
	return took, errs
}

func stack() (*webrtc.API, webrtc.Configuration, error) {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		return nil, webrtc.Configuration{}, err
	}
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, webrtc.Configuration{}, err
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, webrtc.Configuration{}, err
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(&interceptor.Registry{}), webrtc.WithSettingEngine(s))
	return api, webrtc.Configuration{Certificates: []webrtc.Certificate{*cert}}, nil
}

// connect makes a pair, waits until both are connected, and closes it.
func connect(api *webrtc.API, config webrtc.Configuration) (time.Duration, error) {
	began := time.Now()
	offerer, up1, err := newPeer(api, config)
	if err != nil {
		return 0, err
	}
	defer func() { _ = offerer.Close() }()
	answerer, up2, err := newPeer(api, config)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answerer.Close() }()
	if err := agree(offerer, answerer); err != nil {
		return 0, err
	}
	limit := time.After(connectWithin)
	for _, up := range []<-chan struct{}{up1, up2} {
		select {
		case <-up:
		case <-limit:
			return 0, fmt.Errorf("two pion peers did not connect within %v", connectWithin)
		}
	}
	return time.Since(began), nil
}

// agree makes an offer and its answer.
func agree(offerer, answerer *webrtc.PeerConnection) error {
	if _, err := offerer.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio); err != nil {
		return err
	}
	offer, err := offerer.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := gather(offerer, offer); err != nil {
		return err
	}
	if err := answerer.SetRemoteDescription(*offerer.LocalDescription()); err != nil {
		return err
	}
	answer, err := answerer.CreateAnswer(nil)
	if err != nil {
		return err
	}
	if err := gather(answerer, answer); err != nil {
		return err
	}
	return offerer.SetRemoteDescription(*answerer.LocalDescription())
}

func newPeer(api *webrtc.API, config webrtc.Configuration) (*webrtc.PeerConnection, <-chan struct{}, error) {
	p, err := api.NewPeerConnection(config)
	if err != nil {
		return nil, nil, err
	}
	up := make(chan struct{})
	p.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			close(up)
		}
	})
	return p, up, nil
}

func gather(p *webrtc.PeerConnection, d webrtc.SessionDescription) error {
	done := webrtc.GatheringCompletePromise(p)
	if err := p.SetLocalDescription(d); err != nil {
		return err
	}
	<-done
	return nil
}
