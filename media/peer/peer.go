package peer

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"patchbay/actors/call"
	"patchbay/media"
)

// Wanted is what a peer shall carry. Codecs are offered in their order, under
// payload types of our own; names that no agent leg can carry are left out.
type Wanted struct {
	Codecs  []call.Codec
	DTMF    []call.Codec
	Channel bool // a data channel for events and commands
	Dialect Dialect
}

// A Peer is one agent's leg. It implements [media.AgentLeg] once it is
// connected.
type Peer struct {
	stack   *Stack
	codecs  []call.Codec
	dtmf    []call.Codec
	wantDC  bool
	channel channel
	track   *track
	rx      atomic.Pointer[func([]byte)]
	live    atomic.Bool // packets may be sent
	nudges  atomic.Int32

	up   chan struct{} // connected
	down chan struct{} // broken or closed

	// making is held while the library describes itself, and while it is closed:
	// one that is closed before it has made its ICE agent still makes it, and
	// nobody closes that.
	making sync.Mutex

	mu      sync.Mutex
	place   place
	sock    *socket
	pc      *webrtc.PeerConnection
	ice     *webrtc.ICETransport
	ssrc    uint32
	codec   call.Codec
	digits  *call.Codec
	lite    bool // we answered
	ours    side
	theirs  side
	isUp    bool
	isDown  bool
	closed  bool // by Close
	started bool
	cause   call.Cause
	gone    func(call.Cause)
}

// Peer returns a new peer. It takes a port with Offer or AnswerTo, and must be
// closed.
func (s *Stack) Peer(w Wanted) *Peer {
	p := &Peer{
		stack: s, codecs: offered(w.Codecs), dtmf: offered(w.DTMF), wantDC: w.Channel,
		channel: channel{dialect: w.Dialect, commands: NewCommands(nil), panics: s.hooks.panicked, parting: s.parting},
		track:   newTrack(), up: make(chan struct{}), down: make(chan struct{}),
	}
	p.channel.left, p.channel.hear = p.left, w.Dialect.hearing(&p.channel)
	return p
}

// open takes a port and makes the connection, with the codecs given.
func (p *Peer) open(codecs []call.Codec, lite bool) error {
	me, err := engine(codecs)
	if err != nil {
		return err
	}
	where := p.stack.place(time.Now())
	if len(where.names) == 0 {
		return fmt.Errorf("%w: this node has no network address", media.ErrAgentUnreachable)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.sock != nil {
		return media.ErrClosed
	}
	conn, err := p.stack.ports.listen(where.network, where.bind)
	if err != nil {
		return err
	}
	sock, err := newSocket(conn, where.names, p.stack.hooks.panicked)
	if err != nil {
		return err
	}
	sock.paths.six = where.network != "udp4"
	go sock.read()
	if p.pc, err = p.stack.connection(me, sock, lite); err != nil {
		sock.shut()
		return err
	}
	p.sock, p.place, p.lite = sock, where, lite
	if !p.stack.tap {
		sock.mode.Store(rtpTrack)
	}
	return p.wire(lite)
}

// wire adds our track and listens to the library.
func (p *Peer) wire(lite bool) error {
	tr, err := p.pc.AddTransceiverFromTrack(p.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendrecv})
	if err != nil {
		return fmt.Errorf("add the audio track: %w", err)
	}
	p.ssrc = uint32(tr.Sender().GetParameters().Encodings[0].SSRC)
	p.ice = tr.Sender().Transport().ICETransport()
	p.ice.OnSelectedCandidatePairChange(p.selected)
	if !lite {
		nudge := p.nudge
		p.sock.nudge.Store(&nudge)
	}
	p.pc.OnConnectionStateChange(p.changed)
	p.pc.OnTrack(func(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		go p.readControl(receiver)
		p.readTrack(remote)
	})
	return nil
}

// Offer returns our offer: full ICE, all candidates in it.
func (p *Peer) Offer(ctx context.Context) (string, error) {
	if len(p.codecs) == 0 {
		return "", media.ErrNoCodec
	}
	p.making.Lock()
	defer p.making.Unlock()
	all := append(append([]call.Codec(nil), p.codecs...), p.dtmf...)
	if err := p.open(all, false); err != nil {
		return "", err
	}
	if p.wantDC {
		dc, err := p.pc.CreateDataChannel(p.channel.dialect.label(), nil)
		if err != nil {
			return "", fmt.Errorf("make the data channel: %w", err)
		}
		p.channel.attach(dc)
	}
	p.pc.OnDataChannel(p.channel.ignore)
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return "", fmt.Errorf("make an offer: %w", err)
	}
	return p.describe(ctx, offer)
}

// Accept takes the agent's answer. It returns [media.ErrNoCodec] where the
// agent chose nothing that was offered, [media.ErrAgentRefused] where its SDP
// cannot be used.
func (p *Peer) Accept(answer string) error {
	a, err := readAudio(answer)
	if err != nil {
		return err
	}
	codec, digits, err := a.agreed(p.codecs, p.dtmf)
	if err != nil {
		return err
	}
	p.agree(codec, digits, answer)
	err = p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: reachable(answer)})
	if err != nil {
		return fmt.Errorf("%w: its answer does not fit our offer", media.ErrAgentRefused)
	}
	return nil
}

// AnswerTo answers an agent that dialled in: ICE-lite, one codec, the carrier's
// first that the agent has. Errors are those of Accept.
func (p *Peer) AnswerTo(ctx context.Context, offer string) (string, error) {
	a, err := readAudio(offer)
	if err != nil {
		return "", err
	}
	codec, digits, err := a.preferred(p.codecs, p.dtmf)
	if err != nil {
		return "", err
	}
	p.agree(codec, digits, offer)
	p.making.Lock()
	defer p.making.Unlock()
	chosen := []call.Codec{codec}
	if digits != nil {
		chosen = append(chosen, *digits)
	}
	if err := p.open(chosen, true); err != nil {
		return "", err
	}
	p.pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		if p.wantDC && dc.Label() == p.channel.dialect.label() {
			p.channel.attach(dc)
		} else {
			p.channel.ignore(dc)
		}
	})
	err = p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: reachable(offer)})
	if err != nil {
		return "", fmt.Errorf("%w: its offer cannot be used", media.ErrAgentRefused)
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: its offer cannot be answered", media.ErrAgentRefused)
	}
	return p.describe(ctx, answer)
}

// describe sets our description and waits for its candidates.
func (p *Peer) describe(ctx context.Context, d webrtc.SessionDescription) (string, error) {
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(d); err != nil {
		return "", fmt.Errorf("set our description: %w", err)
	}
	select {
	case <-gathered:
	case <-p.down:
		return "", media.ErrClosed
	case <-ctx.Done():
		return "", ctx.Err()
	}
	local := p.pc.LocalDescription()
	if local == nil {
		return "", media.ErrClosed
	}
	p.mu.Lock()
	p.ours = readSide(local.SDP)
	p.ours.candidates = nil // of this node: no use to another
	p.mu.Unlock()
	return withCandidates(local.SDP, p.place, p.sock.port()), nil
}

func (p *Peer) agree(codec call.Codec, digits *call.Codec, remote string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codec, p.digits, p.theirs = codec, digits, readSide(remote)
	p.track.pt.Store(int32(codec.PayloadType))
}

// Connected waits until ICE and DTLS are up. It returns
// [media.ErrAgentUnreachable] where they failed, or are down again, and ctx's
// error where it ended first.
func (p *Peer) Connected(ctx context.Context) error {
	select {
	case <-p.up:
	case <-p.down:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-p.down:
		return fmt.Errorf("%w: ICE or DTLS failed", media.ErrAgentUnreachable)
	default:
		return nil
	}
}

// Down is closed once the peer is broken or closed.
func (p *Peer) Down() <-chan struct{} { return p.down }

// selected follows the pair that ICE chose.
func (p *Peer) selected(pair *webrtc.ICECandidatePair) {
	if pair == nil || pair.Remote == nil {
		return
	}
	addr, err := netip.ParseAddr(pair.Remote.Address)
	if err != nil {
		return // an mDNS name: the tap waits for the peer-reflexive address
	}
	to := p.sock.paths.to(netip.AddrPortFrom(addr.Unmap(), pair.Remote.Port))
	p.sock.remote.Store(&to)
}
