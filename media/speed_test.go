package media

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"patchbay/media/rtp"
)

func quiet(t testing.TB) *rig {
	r := newRig(t, func(c *legConfig) { c.toAgent = func([]byte) {} })
	r.rtp.quiet = true
	return r
}

func TestAPacketAllocatesNothingEitherWay(t *testing.T) {
	r := quiet(t)
	b := packet(0, 7, 0, make([]byte, 160)...)
	a := packet(96, 8, 0, make([]byte, 160)...)
	seq := uint16(0)
	if n := testing.AllocsPerRun(1000, func() {
		seq++
		rtp.Header{PayloadType: 0, SSRC: 7, Sequence: seq, Timestamp: uint32(seq) * 160}.Put(b)
		r.leg.receive(time.Duration(seq)*20*ms, carrierRTP, b)
		rtp.Header{PayloadType: 96, SSRC: 8, Sequence: seq, Timestamp: uint32(seq) * 160}.Put(a)
		r.leg.fromAgent(time.Duration(seq)*20*ms, 1, a)
	}); n != 0 {
		t.Errorf("%v allocations for a packet each way", n)
	}
}

func BenchmarkCarrierToAgent(b *testing.B) {
	r := quiet(b)
	p := packet(0, 7, 0, make([]byte, 160)...)
	seq := uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		rtp.Header{PayloadType: 0, SSRC: 7, Sequence: seq, Timestamp: uint32(seq) * 160}.Put(p)
		r.leg.receive(time.Duration(seq)*20*ms, carrierRTP, p)
	}
}

func BenchmarkAgentToCarrier(b *testing.B) {
	r := quiet(b)
	p := packet(96, 8, 0, make([]byte, 160)...)
	seq := uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		rtp.Header{PayloadType: 96, SSRC: 8, Sequence: seq, Timestamp: uint32(seq) * 160}.Put(p)
		r.leg.fromAgent(time.Duration(seq)*20*ms, 1, p)
	}
}

func BenchmarkTick(b *testing.B) {
	r := quiet(b)
	r.leg.fromAgent(0, 1, packet(96, 8, 0, 1))
	b.ReportAllocs()
	for b.Loop() {
		r.leg.tick(0)
	}
}

// A packet through the kernel to a latched socket, and on to the agent.
func BenchmarkFromTheCarriersSocket(b *testing.B) {
	ours, err := listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		b.Fatal(err)
	}
	carrier, err := listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _, _ = ours.Close(), carrier.Close() }()
	from := carrier.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	to := ours.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	r := newRig(b, func(c *legConfig) {
		c.terms.offer.Addr, c.rtp, c.toAgent = from, ours, func([]byte) {}
	})
	p, buf := packet(0, 7, 0, make([]byte, 160)...), make([]byte, packetSize)
	seq := uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		rtp.Header{SSRC: 7, Sequence: seq, Timestamp: uint32(seq) * 160}.Put(p)
		if err := carrier.Send(p, to); err != nil {
			b.Fatal(err)
		}
		n, source, err := ours.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		r.leg.receive(time.Duration(seq)*20*ms, source, buf[:n])
	}
	if got := r.leg.quality().PacketsLost; got != 0 {
		b.Errorf("%d lost", got)
	}
}
