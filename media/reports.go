package media

import (
	"net/netip"
	"sync"
	"time"

	"patchbay/media/rtp"
)

// reportEvery is the interval of RTCP reports (RFC 3550 6.2 wants at least 5 s).
const reportEvery = 5 * time.Second

// reports is what is kept from one RTCP report to the next.
type reports struct {
	mu     sync.Mutex
	next   time.Duration
	sent   uint64 // packets at the last report
	packet [512]byte
}

func (r *reports) due(now time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now < r.next {
		return false
	}
	r.next = now + reportEvery
	return true
}

// report sends a sender report, or a receiver report where nothing was sent
// since the last, and with it a BYE when the stream ends (RFC 3550 6.4, 6.6).
func (l *carrierLeg) report(now time.Duration, bye bool) {
	block, target := l.in.report(now)
	l.out.mu.Lock()
	packets, octets, ts := l.out.rw.Sent(now)
	ssrc := l.out.rw.SSRC()
	l.out.mu.Unlock()
	if !target.IsValid() {
		return
	}
	l.rep.mu.Lock()
	defer l.rep.mu.Unlock()
	var sender *rtp.SenderReport
	if packets > l.rep.sent {
		sender = &rtp.SenderReport{NTP: rtp.NTP(l.epoch.Add(now)), RTP: ts, Packets: uint32(packets), Octets: uint32(octets)}
		l.rep.sent = packets
	}
	p := rtp.AppendReport(l.rep.packet[:0], ssrc, sender, block, l.cname)
	if bye {
		p = rtp.AppendBye(p, ssrc)
	}
	_ = l.rtcp.Send(p, target) // lost, as any packet may be
}

// report returns the block about the carrier's stream, nil before its first
// packet, and where reports go.
func (in *inbound) report(now time.Duration) (*rtp.ReportBlock, netip.AddrPort) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.noRTCP {
		return nil, netip.AddrPort{}
	}
	if _, ok := in.rx.Source(); !ok {
		return nil, in.rtcpTarget
	}
	b := in.rx.Block()
	if in.lastSR != 0 {
		b.LSR, b.DLSR = in.lastSR, uint32((now-in.lastSRAt)<<16/time.Second)
	}
	return &b, in.rtcpTarget
}

// receiveRTCP takes one packet of the carrier's RTCP.
func (l *carrierLeg) receiveRTCP(now time.Duration, source netip.AddrPort, packet []byte) {
	defer l.guard("carrier rtcp")
	l.out.mu.Lock()
	ours := l.out.rw.SSRC()
	l.out.mu.Unlock()
	l.in.takeRTCP(now, l.epoch.Add(now), source, packet, ours)
}

func (in *inbound) takeRTCP(now time.Duration, wall time.Time, source netip.AddrPort, packet []byte, ours uint32) {
	in.mu.Lock()
	defer in.mu.Unlock()
	f, err := rtp.ParseRTCP(packet, ours)
	if !in.rtcpFrom(source, f.SSRC) {
		in.rejected++
		return
	}
	if err != nil {
		return
	}
	if in.heardRTP {
		in.heardAt = now
	}
	if stream, ok := in.rx.Source(); ok && f.Reported && f.SSRC == stream {
		in.lastSR, in.lastSRAt = rtp.NTPMiddle(f.Sender.NTP), now
	}
	if f.HasBlock {
		in.remoteLost = f.Block.Lost
		if rtt, ok := f.Block.RTT(wall); ok {
			in.rtt = rtt
		}
	}
}

// rtcpFrom reports whether a source may speak RTCP for the carrier: the one its
// SDP names, or once RTP is latched, its host. Behind NAT, RTCP comes from
// elsewhere than the SDP says: the first source of that host that reports under
// the SSRC of the carrier's stream is where reports go from then on. An address
// is no proof by itself: many share one.
func (in *inbound) rtcpFrom(source netip.AddrPort, ssrc uint32) bool {
	latched, ok := in.latch.Source()
	stream, heard := in.rx.Source()
	switch {
	case source == in.rtcpOffered:
	case !ok:
		return false
	case in.mux:
		return source == latched
	case in.rtcpLearnt:
		return source == in.rtcpTarget
	case source.Addr() != latched.Addr() || !heard || ssrc != stream:
		return false
	default:
		in.rtcpTarget = source
	}
	in.rtcpLearnt = true
	return true
}
