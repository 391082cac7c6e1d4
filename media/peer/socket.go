package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/internal/fastudp"
	"patchbay/internal/pktinfo"
)

// queued is how many STUN and DTLS packets of one peer may wait for the
// library; more are dropped, as the network would.
const queued = 64

// A lane is where packets that are no RTP of the tap go: to the library's one
// candidate of an address family.
type lane struct {
	s     *socket
	ufrag string
	name  netip.AddrPort
	ch    chan datagram
	done  chan struct{}
	once  sync.Once

	answered bool // the library has just read the answer to a check
}

type datagram struct {
	b    []byte
	from netip.AddrPort
	at   netip.Addr // ours that it was sent to; invalid where that is not known
}

// A socket is one peer's UDP port. It is the library's ice.UDPMux, and takes
// RTP and RTCP out of the stream before the library sees them.
type socket struct {
	conn  *net.UDPConn
	fast  *fastudp.Conn
	names []netip.AddrPort // at most one per family
	paths paths
	lanes [2]atomic.Pointer[lane]
	hello hello

	mode   atomic.Int32             // where RTP goes
	remote atomic.Pointer[peerAddr] // of the selected ICE pair
	tap    atomic.Pointer[tap]
	heard  atomic.Int64 // when RTP or RTCP last came, ns after started; tap only
	panics func(where string)
	nudge  atomic.Pointer[func()] // once the library has seen a check answered; of offers only
	ended  chan struct{}          // the read loop is over

	life context.Context // ends when the port is closed
	die  context.CancelFunc
}

// A peerAddr is where the agent is, and how packets leave for it.
type peerAddr struct {
	addr netip.AddrPort
	oob  []byte
}

// Where RTP goes.
const (
	rtpDrop  = iota // the handshake is not over
	rtpTap          // decrypted here
	rtpTrack        // on to the library
)

// newSocket takes conn over; it closes conn when it fails.
func newSocket(conn *net.UDPConn, names []netip.Addr, panics func(string)) (*socket, error) {
	fast, err := fastudp.New(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	s := &socket{conn: conn, fast: fast, panics: panics, ended: make(chan struct{})}
	s.life, s.die = context.WithCancel(context.Background())
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	for _, n := range names {
		s.names = append(s.names, netip.AddrPortFrom(n, port))
	}
	return s, nil
}

func (s *socket) port() uint16 { return s.names[0].Port() }

// lane returns the slot of an address family.
func (s *socket) lane(a netip.Addr) *atomic.Pointer[lane] {
	if a.Is4() {
		return &s.lanes[0]
	}
	return &s.lanes[1]
}

// started is what times are told from that go on whatever becomes of the
// machine's clock: long enough ago for what never was to be long past.
var started = time.Now().Add(-time.Hour)

// quiet is how long RTP and RTCP have not come.
func (s *socket) quiet() time.Duration { return time.Since(started) - time.Duration(s.heard.Load()) }

// read passes packets on until the socket is closed.
func (s *socket) read() {
	defer close(s.ended)
	buf, oob := make([]byte, 2048), make([]byte, pktinfo.Space)
	for {
		n, control, from, err := s.fast.Read(buf, oob)
		if err != nil {
			return
		}
		s.receive(buf[:n], oob[:control], from)
	}
}

// receive sorts one packet by its first octet (RFC 7983 section 7).
func (s *socket) receive(b, oob []byte, from netip.AddrPort) {
	defer func() {
		if recover() != nil {
			s.panics("media.peer")
		}
	}()
	if len(b) == 0 || from.Addr().IsLinkLocalUnicast() { // see reachable
		return
	}
	switch first := b[0]; {
	case first >= 128 && first <= 191:
		s.rtp(b, oob, from)
	case first >= 20 && first <= 63:
		s.hello.came(b, from)
		s.pass(b, oob, from)
	case first <= 3:
		s.pass(b, oob, from)
	}
}

func (s *socket) rtp(b, oob []byte, from netip.AddrPort) {
	switch s.mode.Load() {
	case rtpTrack:
		s.pass(b, oob, from)
	case rtpTap:
		if r := s.remote.Load(); r == nil || r.addr != from {
			return
		}
		if s.tap.Load().receive(b) {
			s.heard.Store(int64(time.Since(started)))
		}
	}
}

func (s *socket) pass(b, oob []byte, from netip.AddrPort) {
	l := s.lane(from.Addr()).Load()
	if l == nil {
		return
	}
	at, _ := pktinfo.Local(oob)
	select {
	case l.ch <- datagram{append([]byte(nil), b...), from, at.Unmap()}:
	default:
	}
}

// write sends one packet. Where it cannot leave as it should, the kernel finds
// another way: our addresses may change during a call.
func (s *socket) write(b []byte, to peerAddr) (int, error) {
	if len(to.oob) > 0 {
		n, err := s.fast.Write(b, to.oob, to.addr)
		if err == nil || errors.Is(err, net.ErrClosed) {
			return n, err
		}
	}
	return s.fast.Write(b, nil, to.addr)
}

// shut closes the port and waits for the read loop.
func (s *socket) shut() {
	s.conn.Close()
	s.die()
	for i := range s.lanes {
		if l := s.lanes[i].Load(); l != nil {
			l.Close()
		}
	}
	<-s.ended
}

// GetListenAddresses implements ice.UDPMux: one address per family. Checks of
// our own leave from where the kernel likes, so more would only be more checks.
func (s *socket) GetListenAddresses() []net.Addr {
	out := make([]net.Addr, len(s.names))
	for i, n := range s.names {
		out[i] = net.UDPAddrFromAddrPort(n)
	}
	return out
}

// GetConn implements ice.UDPMux. The library asks again after it has removed
// the lanes of a ufrag that it no longer uses.
func (s *socket) GetConn(ufrag string, addr net.Addr) (net.PacketConn, error) {
	ua, ok := addr.(*net.UDPAddr)
	if !ok {
		return nil, net.ErrClosed
	}
	name := netip.AddrPortFrom(ua.AddrPort().Addr().Unmap(), ua.AddrPort().Port())
	l := &lane{s: s, ufrag: ufrag, name: name, ch: make(chan datagram, queued), done: make(chan struct{})}
	if old := s.lane(name.Addr()).Swap(l); old != nil {
		old.Close()
	}
	return l, nil
}

// RemoveConnByUfrag implements ice.UDPMux.
func (s *socket) RemoveConnByUfrag(ufrag string) {
	for i := range s.lanes {
		if l := s.lanes[i].Load(); l != nil && l.ufrag == ufrag {
			l.Close()
		}
	}
}

// Close implements ice.UDPMux. The port stays open until shut.
func (s *socket) Close() error { return nil }

// ReadFromAddrPort implements ice.AddrPortReaderWriter. The library reads again
// when it has dealt with what it read before.
func (l *lane) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	if l.answered {
		l.answered = false
		if nudge := l.s.nudge.Load(); nudge != nil {
			(*nudge)()
		}
	}
	select {
	case d := <-l.ch:
		l.answered = isAnswer(d.b)
		l.s.paths.learn(d.from, d.at) // the library answers before it reads again
		return copy(b, d.b), d.from, nil
	case <-l.done:
		return 0, netip.AddrPort{}, io.EOF
	}
}

// WriteToAddrPort implements ice.AddrPortReaderWriter. It looks at our side of
// the handshake on its way out.
func (l *lane) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	select {
	case <-l.done:
		return 0, io.ErrClosedPipe
	default:
	}
	l.s.hello.sent(b, to)
	return l.s.write(b, l.s.paths.to(to))
}

// ReadFrom implements net.PacketConn.
func (l *lane) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := l.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(from), err
}

// WriteTo implements net.PacketConn.
func (l *lane) WriteTo(b []byte, to net.Addr) (int, error) {
	ua, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.ErrWriteToConnected
	}
	ap := ua.AddrPort()
	return l.WriteToAddrPort(b, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
}

// Close implements net.PacketConn: it ends the lane, not the port.
func (l *lane) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// LocalAddr implements net.PacketConn.
func (l *lane) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(l.name) }

// SetDeadline implements net.PacketConn. A lane has none: Close ends its reads.
func (l *lane) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn.
func (l *lane) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.PacketConn.
func (l *lane) SetWriteDeadline(time.Time) error { return nil }
