package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"

	"patchbay/config"
)

// Timers of ICE and DTLS.
const (
	// disconnectedAfter is how long an agent may be silent, on ICE and RTP
	// alike, before its leg counts as lost.
	disconnectedAfter = 5 * time.Second
	// failedAfter must outlast a lost ICE answer while audio flows: the leg
	// itself decides at disconnectedAfter.
	failedAfter = 25 * time.Second
	// keepalive leaves four binding requests in disconnectedAfter, so that one
	// lost packet is no lost agent.
	keepalive = time.Second
	// handshakeRetry is the first DTLS retransmission; the library's 1 s would
	// turn one lost packet into a second of silence.
	handshakeRetry = 200 * time.Millisecond
	// maxChecks is how often one ICE pair is tried, every 200 ms: the library's
	// 7 would give an agent that is slow to listen 1.4 s.
	maxChecks = 50
)

const receiveMTU = 1500

// Hooks observe the peers of a node. Any of them may be nil.
type Hooks struct {
	// Connected says over which path a peer's audio runs: "tap" or "track".
	Connected func(path string)
	// Panic counts a panic that cost one packet or message.
	Panic func(where string)
}

func (h Hooks) connected(path string) {
	if h.Connected != nil {
		h.Connected(path)
	}
}

func (h Hooks) panicked(where string) {
	if h.Panic != nil {
		h.Panic(where)
	}
}

// A Stack makes the peers of one node.
type Stack struct {
	ports     portRange
	bind      netip.Addr
	advertise netip.Addr
	tap       bool
	hooks     Hooks
	cert      webrtc.Certificate
	net       transport.Net
	local     localAddrs
	closing   farewells
	parting   time.Duration
}

// NewStack reads ICEPorts, Bind, Advertise and SRTPTap of cfg and makes the
// certificate that every peer of this process shows (ECDSA P-256: the only kind
// that all known agents take).
func NewStack(cfg config.Media, hooks Hooks) (*Stack, error) {
	s := &Stack{tap: cfg.SRTPTap, hooks: hooks, parting: finishWait}
	var err error
	if s.ports, err = parsePorts(cfg.ICEPorts); err != nil {
		return nil, fmt.Errorf("media.ice_ports: %w", err)
	}
	if s.bind, err = parseAddr(cfg.Bind); err != nil {
		return nil, fmt.Errorf("media.bind: %w", err)
	}
	if s.advertise, err = parseAddr(cfg.Advertise); err != nil {
		return nil, fmt.Errorf("media.advertise: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the DTLS key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("make the DTLS certificate: %w", err)
	}
	s.cert = *cert
	if s.net, err = stdnet.NewNet(); err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	return s, nil
}

// Wait blocks until every peer that was closed has said goodbye to its agent
// and freed its port.
func (s *Stack) Wait() { s.closing.wait() }

// farewells counts peers that are closed and still say goodbye. Unlike a
// sync.WaitGroup it may begin from none while somebody waits: an agent's own
// packet may close its peer.
type farewells struct {
	mu   sync.Mutex
	n    int
	none *sync.Cond // nil: nobody has waited yet
}

func (f *farewells) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
}

func (f *farewells) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 && f.none != nil {
		f.none.Broadcast()
	}
}

func (f *farewells) wait() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.none == nil {
		f.none = sync.NewCond(&f.mu)
	}
	for f.n > 0 {
		f.none.Wait()
	}
}

// connection makes the library's side of a peer over sock.
func (s *Stack) connection(me *webrtc.MediaEngine, sock *socket, lite bool) (*webrtc.PeerConnection, error) {
	var se webrtc.SettingEngine
	se.LoggerFactory = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	se.SetNet(s.net)
	se.SetICEUDPMux(sock)
	se.SetIncludeLoopbackCandidate(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetICETimeouts(disconnectedAfter, failedAfter, keepalive)
	se.SetPrflxAcceptanceMinWait(0)
	se.SetSrflxAcceptanceMinWait(0)
	se.SetReceiveMTU(receiveMTU)
	se.SetICEMaxBindingRequests(maxChecks)
	se.SetLite(lite)
	se.SetDTLSKeyLogWriter(&sock.hello)
	se.SetDTLSRetransmissionInterval(handshakeRetry)
	// A handshake that begins while its peer is closed hears of nothing else that
	// ends: the library would wait for the first packet for ever.
	se.SetDTLSConnectContextMaker(func() (context.Context, func()) { return context.WithCancel(sock.life) })
	se.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	se.SetSCTPMaxMessageSize(MaxMessage)
	se.DetachDataChannels() // see readAll
	se.SetSCTPMaxReceiveBufferSize(channelReceive)
	api := webrtc.NewAPI(webrtc.WithMediaEngine(me), webrtc.WithSettingEngine(se),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	pc, err := api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{s.cert}})
	if err != nil {
		return nil, fmt.Errorf("make a peer connection: %w", err)
	}
	return pc, nil
}

func parseAddr(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is no IP address", text)
	}
	return addr.Unmap(), nil
}

func parsePorts(text string) (portRange, error) {
	from, to, ok := strings.Cut(text, "-")
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	if !ok || err1 != nil || err2 != nil || first == 0 || last < first {
		return portRange{}, fmt.Errorf("%q is no port range: want first-last", text)
	}
	return portRange{uint16(first), uint16(last)}, nil
}
