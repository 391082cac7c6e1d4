package peer

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pion/srtp/v3"
)

// For tests of what no agent can be made to do.
var (
	UsableAddrs = usableAddrs
	Announced   = announced
	HasBye      = hasBye
)

// ReadFormats returns the names of the codecs in an agent's description.
func ReadFormats(sdp string) ([]string, error) {
	a, err := readAudio(sdp)
	var names []string
	for _, c := range a.codecs {
		names = append(names, c.Name)
	}
	return names, err
}

// See shows a DTLS packet to a fresh hello, and returns its SRTP profile.
func See(packet []byte) uint16 {
	var h hello
	h.see(packet, true)
	return h.profile
}

// Tap returns the two halves of a tap with the given keys.
func Tap(cfg *srtp.Config, rx func([]byte)) (receive func([]byte) bool, seal func([]byte) ([]byte, error), err error) {
	var p atomic.Pointer[func([]byte)]
	p.Store(&rx)
	t, err := newTap(cfg, &p, func() {})
	if err != nil {
		return nil, nil, err
	}
	return t.receive, t.seal, nil
}

// Remembered returns a tap's halves that take packets, and what it keeps of the
// agent's synchronization sources afterwards.
func Remembered(cfg *srtp.Config) (receive func([]byte) bool, rtp, rtcp func(ssrc uint32) bool, err error) {
	var p atomic.Pointer[func([]byte)]
	t, err := newTap(cfg, &p, func() {})
	if err != nil {
		return nil, nil, nil, err
	}
	rtp = func(ssrc uint32) bool { _, ok := t.in.ROC(ssrc); return ok }
	rtcp = func(ssrc uint32) bool { _, ok := t.in.Index(ssrc); return ok }
	return t.receive, rtp, rtcp, nil
}

// Remote returns the address that packets are taken from and sent to.
func (p *Peer) Remote() netip.AddrPort { return p.sock.remote.Load().addr }

// Port returns the peer's own port.
func (p *Peer) Port() uint16 { return p.sock.port() }

// State is a leg's snapshot, as a node that carries it on reads it.
type State = state

// Part is how long the stack's peers wait at the end of a call for their agents.
func (s *Stack) Part(within time.Duration) { s.parting = within }

// Die takes the peer's socket away, as the death of its node does: nothing is
// sent any more.
func (p *Peer) Die() { _ = p.sock.conn.Close() }
