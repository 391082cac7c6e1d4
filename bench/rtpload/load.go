package rtpload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"

	"patchbay/bench/spread"
)

const (
	interval    = 20      // ms between packets of a call
	batch       = 128     // packets read at once
	bufferBytes = 4 << 20 // of each socket, each way
	drain       = 300 * time.Millisecond
	maxSamples  = 2_000_000 // of delays
)

// A Way is where each call's packets of one side go, by the call's number.
type Way []netip.AddrPort

// Options say what to send. B may be empty: then the far side sends back
// itself what it gets of A.
type Options struct {
	Local   [2]uint16 // ports of the sides A and B
	A, B    Way
	Secure  Protection    // of side B; nil: plain RTP
	Warm    time.Duration // sent, not counted
	For     time.Duration
	Measure func() // called when the warm-up is over
	Done    func() // called when the last packet was sent
}

// A Protection is SRTP of calls, by their numbers.
type Protection interface {
	Seal(call int, packet []byte) ([]byte, error)
	Open(packet []byte) ([]byte, error)
}

// A Result counts packets of the measured time. Delays are from a side to
// whichever side got the packet, in ms.
type Result struct {
	Sent     int     `json:"sent"`
	Received int     `json:"received"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

// Lost is the share of packets that did not arrive, in percent.
func (r Result) Lost() float64 {
	if r.Sent == 0 {
		return 100
	}
	return 100 * float64(r.Sent-r.Received) / float64(r.Sent)
}

// A load is one run.
type load struct {
	o        Options
	began    time.Time
	counting atomic.Bool
	from     time.Duration // packets that left before it do not count

	mu     sync.Mutex
	delays []time.Duration
	got    int
}

// Run sends for the warm-up and the measured time.
func Run(ctx context.Context, o Options) (Result, error) {
	l := &load{o: o, began: time.Now()}
	sides := make([]*side, 0, 2)
	for i, way := range []Way{o.A, o.B} {
		if len(way) == 0 {
			continue
		}
		s, err := l.side(i, way)
		if err != nil {
			return Result{}, err
		}
		defer func() { _ = s.conn.Close() }()
		sides = append(sides, s)
	}
	sent, err := l.send(ctx, sides)
	if err != nil {
		return Result{}, err
	}
	time.Sleep(drain)
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.delays)
	return Result{Sent: sent, Received: l.got, P50: spread.Share(l.delays, 50), P99: spread.Share(l.delays, 99)}, nil
}

type side struct {
	conn    *net.UDPConn
	batch   *ipv4.PacketConn
	to      []net.Addr
	sources []source
	secure  Protection
}

func (l *load) side(i int, way Way) (*side, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(l.o.Local[i])})
	if err != nil {
		return nil, fmt.Errorf("open the load's port %d: %w", l.o.Local[i], err)
	}
	if err := errors.Join(conn.SetReadBuffer(bufferBytes), conn.SetWriteBuffer(bufferBytes)); err != nil {
		return nil, err
	}
	s := &side{conn: conn, batch: ipv4.NewPacketConn(conn), sources: make([]source, len(way))}
	for n, at := range way {
		s.to = append(s.to, net.UDPAddrFromAddrPort(at))
		s.sources[n] = source{ssrc: uint32(i+1)<<24 | uint32(n), seq: uint16(n)}
	}
	if i == 1 {
		s.secure = l.o.Secure
	}
	go l.receive(s)
	return s, nil
}

// send sends each millisecond the packets of one twentieth of the calls.
func (l *load) send(ctx context.Context, sides []*side) (sent int, err error) {
	for tick := 0; ; tick++ {
		due := time.Duration(tick) * time.Millisecond
		if wait := due - time.Since(l.began); wait > 0 {
			time.Sleep(wait)
		}
		if due >= l.o.Warm && !l.counting.Load() {
			l.mu.Lock()
			l.from = time.Since(l.began)
			l.mu.Unlock()
			l.counting.Store(true)
			call(l.o.Measure)
		}
		if due >= l.o.Warm+l.o.For || ctx.Err() != nil {
			call(l.o.Done)
			return sent, ctx.Err()
		}
		for _, s := range sides {
			n, err := s.tick(tick%interval, time.Since(l.began))
			if err != nil {
				return sent, err
			}
			if l.counting.Load() {
				sent += n
			}
		}
	}
}

func call(f func()) {
	if f != nil {
		f()
	}
}

// tick sends a packet of every call whose turn it is.
func (s *side) tick(turn int, now time.Duration) (n int, err error) {
	var msgs []ipv4.Message
	for i := turn; i < len(s.to); i += interval {
		packet := make([]byte, headerBytes+payloadBytes)
		s.sources[i].next(packet, i, now)
		if s.secure != nil {
			if packet, err = s.secure.Seal(i, packet); err != nil {
				return n, fmt.Errorf("seal a packet: %w", err)
			}
		}
		msgs = append(msgs, ipv4.Message{Buffers: [][]byte{packet}, Addr: s.to[i]})
	}
	for left := msgs; len(left) > 0; {
		k, err := s.batch.WriteBatch(left, 0)
		if err != nil {
			return n, fmt.Errorf("send RTP: %w", err)
		}
		n, left = n+k, left[k:]
	}
	return n, nil
}

func (l *load) receive(s *side) {
	in := make([]ipv4.Message, batch)
	for i := range in {
		in[i].Buffers = [][]byte{make([]byte, 1500)}
	}
	for {
		n, err := s.batch.ReadBatch(in, 0)
		if err != nil {
			return
		}
		now := time.Since(l.began)
		for _, m := range in[:n] {
			packet := m.Buffers[0][:m.N]
			if s.secure != nil {
				if packet, err = s.secure.Open(packet); err != nil {
					continue // counted as lost
				}
			}
			l.take(now, packet)
		}
	}
}

func (l *load) take(now time.Duration, packet []byte) {
	left, ok := read(packet)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok || !l.counting.Load() || left < l.from {
		return
	}
	l.got++
	if len(l.delays) < maxSamples {
		l.delays = append(l.delays, now-left)
	}
}
