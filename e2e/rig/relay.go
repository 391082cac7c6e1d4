package rig

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// A Fate is what a relay does to the packets of each direction. The shares are
// in percent.
type Fate struct {
	Lost, Twice, Late int
	Delay             time.Duration // the longest, of one that comes late or twice
	OneACK            bool          // no ACK comes to the client twice
}

// Lossy is a bad network: others overtake what is late.
var Lossy = Fate{Lost: 5, Twice: 5, Late: 10, Delay: 40 * time.Millisecond}

// Careless loses and doubles packets, and keeps their order: SIPp cannot do
// without. It takes the second ACK of a refusal for that of the 200 which follows.
var Careless = Fate{Lost: 5, Twice: 5, Delay: time.Millisecond, OneACK: true}

// maxHeld is how many packets a relay holds back at once; further ones are lost.
const maxHeld = 256

// A Relay stands between one client and its edges, on loopback, and loses,
// doubles and reorders UDP. What becomes of the n-th packet of a direction
// follows from the seed alone.
type Relay struct {
	near, far *net.UDPConn
	fate      Fate
	held      chan struct{}

	Lost, Twice, Late atomic.Int64
}

// NewRelay opens a relay between a client's address and an edge's.
func NewRelay(client, edge netip.AddrPort, seed uint64, fate Fate) (*Relay, error) {
	return NewSprayingRelay(client, []netip.AddrPort{edge}, seed, fate)
}

// NewSprayingRelay opens a relay that gives each packet of its client to the next
// of some edges.
func NewSprayingRelay(client netip.AddrPort, edges []netip.AddrPort, seed uint64, fate Fate) (*Relay, error) {
	r := &Relay{fate: fate, held: make(chan struct{}, maxHeld)}
	var err error
	if r.near, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0))); err != nil {
		return nil, fmt.Errorf("open a relay: %w", err)
	}
	if r.far, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0))); err != nil {
		_ = r.near.Close()
		return nil, fmt.Errorf("open a relay: %w", err)
	}
	go r.pass(r.near, r.far, edges, rand.New(rand.NewPCG(seed, 1)))
	go r.pass(r.far, r.near, []netip.AddrPort{client}, rand.New(rand.NewPCG(seed, 2)))
	return r, nil
}

// Near is where the client sends.
func (r *Relay) Near() netip.AddrPort { return addrPort(r.near) }

// Far is the client's address as edges see it.
func (r *Relay) Far() netip.AddrPort { return addrPort(r.far) }

func addrPort(c *net.UDPConn) netip.AddrPort {
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Close ends the relay; what it holds is lost.
func (r *Relay) Close() {
	_ = r.near.Close()
	_ = r.far.Close()
}

// pass carries one direction, by each way in turn, until the relay is closed.
func (r *Relay) pass(in, out *net.UDPConn, ways []netip.AddrPort, dice *rand.Rand) {
	buf := make([]byte, 65535)
	acked := map[string]bool{} // ACKs of the client's responses that have come
	for failed, turn := 0, 0; failed < maxHeld; {
		n, _, err := in.ReadFromUDPAddrPort(buf)
		if err != nil {
			failed++ // a port that refuses shows here, and so does the end
			continue
		}
		failed = 0
		to := ways[turn%len(ways)]
		turn++
		roll := [4]int{dice.IntN(100), dice.IntN(100), dice.IntN(100), dice.IntN(1000)} // as many for each packet
		if roll[0] < r.fate.Lost {
			r.Lost.Add(1)
			continue
		}
		packet := bytes.Clone(buf[:n])
		if r.fate.OneACK && out == r.near && bytes.HasPrefix(packet, []byte("ACK ")) {
			m := Response(packet) // for its header fields
			if name := m.Header("Call-ID") + " " + m.Header("CSeq"); !acked[name] {
				acked[name] = true
				_, _ = out.WriteToUDPAddrPort(packet, to)
			}
			continue
		}
		delay := r.fate.Delay * time.Duration(1+roll[3]) / 1000
		if roll[1] < r.fate.Twice {
			r.Twice.Add(1)
			r.later(delay, out, packet, to)
		}
		if roll[2] < r.fate.Late {
			r.Late.Add(1)
			r.later(delay, out, packet, to)
			continue
		}
		_, _ = out.WriteToUDPAddrPort(packet, to) // lost, as any may be
	}
}

func (r *Relay) later(delay time.Duration, out *net.UDPConn, packet []byte, to netip.AddrPort) {
	select {
	case r.held <- struct{}{}:
	default:
		r.Lost.Add(1)
		return
	}
	time.AfterFunc(delay, func() {
		defer func() { <-r.held }()
		_, _ = out.WriteToUDPAddrPort(packet, to)
	})
}
