package media

import (
	"net/netip"
	"testing"
	"time"

	"patchbay/media/rtp"
)

func TestReportsMeasureTheRoundTrip(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *legConfig) { c.terms.fill = false })
	for i := range 20 { // 2 of 20 are lost
		if i != 5 && i != 6 {
			r.leg.receive(time.Duration(i)*20*ms, carrierRTP, packet(0, 7, uint16(i), 1))
		}
	}
	r.leg.fromAgent(0, 1, packet(96, 8, 1, 1, 2, 3))
	carrierSR := rtp.AppendReport(nil, 7, &rtp.SenderReport{NTP: 0x1111222233334444}, nil, "carrier")
	r.leg.receiveRTCP(1000*ms, carrierRTCP, carrierSR)
	r.run(6 * time.Second)
	if len(r.rtcp.sent) != 1 || r.rtcp.to[0] != carrierRTCP {
		t.Fatalf("%d reports to %v in 6 s", len(r.rtcp.sent), r.rtcp.to)
	}
	f, err := rtp.ParseRTCP(r.rtcp.sent[0], 7)
	if err != nil || !f.Reported || f.Sender.Packets != 1 || f.Sender.Octets != 3 || !f.Described {
		t.Fatalf("%+v %v", f, err)
	}
	if f.Block.Lost != 2 || f.Block.Highest != 19 || f.Block.LSR != 0x22223333 || f.Block.DLSR == 0 {
		t.Errorf("block %+v", f.Block)
	}
	// The carrier held our report for 300 ms; it comes back after 380 ms.
	reply := rtp.AppendReport(nil, 7, nil, &rtp.ReportBlock{
		SSRC: f.SSRC, Lost: 4, LSR: rtp.NTPMiddle(f.Sender.NTP), DLSR: 300 * 65536 / 1000,
	}, "carrier")
	at := time.Duration(float64(f.Sender.NTP-rtp.NTP(r.leg.epoch)) / (1 << 32) * float64(time.Second))
	r.leg.receiveRTCP(at+380*ms, carrierRTCP, reply)
	q := r.leg.quality()
	if q.RTTMs < 79 || q.RTTMs > 81 || q.RemoteLost != 4 || q.PacketsLost != 2 || q.PacketsReceived != 18 {
		t.Errorf("%+v", q)
	}
	r.run(11 * time.Second)
	if f, _ := rtp.ParseRTCP(r.rtcp.sent[1], 7); f.Reported {
		t.Error("a sender report although nothing was sent")
	}
}

func TestOnOnePortRTCPIsToldFromRTP(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *legConfig) {
		c.rtcp, c.terms.offer.RTCPMux, c.terms.offer.RTCP = nil, true, netip.AddrPort{}
	})
	for i := range 4 {
		r.leg.receive(0, natted, packet(0, 7, uint16(i), 1))
	}
	r.leg.receive(0, natted, rtp.AppendReport(nil, 7, &rtp.SenderReport{NTP: 1 << 40}, nil, "x"))
	r.leg.report(time.Second, true)
	if len(r.agent) != 1 || len(r.rtp.sent) != 1 || r.rtp.to[0] != natted {
		t.Fatalf("agent got %d, sent %d to %v", len(r.agent), len(r.rtp.sent), r.rtp.to)
	}
	if f, err := rtp.ParseRTCP(r.rtp.sent[0], 7); err != nil || f.Block.LSR != 1<<24 || !f.Bye {
		t.Errorf("%+v %v", f, err)
	}
}

func TestBehindNATReportsGoWhereTheCarriersComeFrom(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	from := netip.AddrPortFrom(natted.Addr(), 9999)
	report := rtp.AppendReport(nil, 7, nil, nil, "x")
	r.leg.receiveRTCP(0, from, report) // before RTP has proved the host
	for i := range 4 {
		r.leg.receive(0, natted, packet(0, 7, uint16(i), 1))
	}
	r.leg.receiveRTCP(0, from, report)
	r.leg.receiveRTCP(0, netip.AddrPortFrom(natted.Addr(), 1111), report) // learnt once
	r.leg.report(0, false)
	if len(r.rtcp.to) != 1 || r.rtcp.to[0] != from {
		t.Errorf("reports to %v", r.rtcp.to)
	}
}

func TestANeighbourOfTheCarrierGetsNoReports(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	neighbour := netip.AddrPortFrom(carrierRTCP.Addr(), 1111)
	for i := range 4 {
		r.leg.receive(0, carrierRTP, packet(0, 7, uint16(i), 1))
	}
	goodbye := rtp.AppendBye(nil, 7)
	report := rtp.AppendReport(nil, 8, nil, nil, "x") // of a stream that is not the carrier's
	for _, p := range [][]byte{goodbye, report} {
		r.leg.receiveRTCP(0, neighbour, p)
	}
	r.leg.report(0, false)
	r.leg.receiveRTCP(0, carrierRTCP, rtp.AppendReport(nil, 7, nil, nil, "x"))
	r.leg.receiveRTCP(0, neighbour, rtp.AppendReport(nil, 7, nil, nil, "x")) // too late: the carrier's place is known
	r.leg.report(time.Second, false)
	for _, to := range r.rtcp.to {
		if to != carrierRTCP {
			t.Errorf("a report went to %v, want %v alone", to, carrierRTCP)
		}
	}
	if len(r.rtcp.to) != 2 || r.leg.quality().Rejected != 3 {
		t.Errorf("%d reports, %d packets rejected, want 2 and 3", len(r.rtcp.to), r.leg.quality().Rejected)
	}
}

func TestRTCPOnThePortOfRTPIsNoStreamOfItsOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil) // RTCP has a port of its own
	for i := range 4 {
		r.leg.receive(0, carrierRTP, packet(0, 7, uint16(i), 1))
	}
	r.leg.receive(0, carrierRTP, rtp.AppendReport(nil, 7, &rtp.SenderReport{NTP: 1 << 40, RTP: 1 << 30}, nil, "x"))
	r.leg.receive(0, carrierRTP, packet(0, 7, 4, 1))
	if h, _ := parse(t, r.agent[len(r.agent)-1]); len(r.agent) != 5 || h.Marker {
		t.Errorf("the agent got %d packets, the last %+v, want the fifth as if nothing had come between", len(r.agent), h)
	}
	if q := r.leg.quality(); q.PacketsReceived != 5 || q.PacketsLost != 0 {
		t.Errorf("%d packets received, %d lost, want the 5 of audio", q.PacketsReceived, q.PacketsLost)
	}
}
