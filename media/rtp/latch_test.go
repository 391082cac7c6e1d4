package rtp_test

import (
	"net/netip"
	"testing"
	"time"

	"patchbay/media/rtp"
)

var (
	sdpAddr   = netip.MustParseAddrPort("192.0.2.1:4000")
	otherPort = netip.MustParseAddrPort("192.0.2.1:5000")
	signalled = netip.MustParseAddrPort("198.51.100.7:6000")
	stranger  = netip.MustParseAddrPort("203.0.113.9:7000")
)

func newLatch(mode rtp.Mode) *rtp.Latch {
	return rtp.NewLatch(mode, sdpAddr, signalled.Addr(), 5*time.Second)
}

// run sends count packets of one source in sequence and returns the verdicts as
// letters: a accepted, h held, r rejected.
func run(l *rtp.Latch, now time.Duration, src netip.AddrPort, ssrc uint32, first uint16, count int) string {
	letters := ""
	for i := range count {
		h := rtp.Header{SSRC: ssrc, Sequence: first + uint16(i)}
		letters += string("rha"[l.Judge(now+time.Duration(i)*20*ms, src, h, true)])
	}
	return letters
}

func TestLatchByMode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		mode   rtp.Mode
		source netip.AddrPort
		want   string
	}{
		{"the SDP's address and port at once", rtp.LatchSDP, sdpAddr, "aaaaaa"},
		{"the SDP's address and port with latching off", rtp.LatchOff, sdpAddr, "aaaaaa"},
		{"another port after four packets", rtp.LatchSDP, otherPort, "hhhaaa"},
		{"another port with latching off", rtp.LatchOff, otherPort, "rrrrrr"},
		{"another address", rtp.LatchSDP, stranger, "rrrrrr"},
		{"the SIP source's address", rtp.LatchSDP, signalled, "rrrrrr"},
		{"the SIP source's address behind NAT", rtp.LatchNAT, signalled, "hhhaaa"},
		{"the SDP's address behind NAT", rtp.LatchNAT, otherPort, "hhhaaa"},
		{"a stranger behind NAT", rtp.LatchNAT, stranger, "rrrrrr"},
		{"an unknown mode is off", "open", otherPort, "rrrrrr"},
	} {
		l := newLatch(c.mode)
		if got := run(l, 0, c.source, 1, 100, 6); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestOnceLockedNobodyElseIsHeard(t *testing.T) {
	t.Parallel()
	l := newLatch(rtp.LatchSDP)
	run(l, 0, otherPort, 1, 0, 4)
	if src, ok := l.Source(); !ok || src != otherPort || l.Target() != otherPort {
		t.Fatalf("latched to %v %v, sends to %v", src, ok, l.Target())
	}
	if got := run(l, 100*ms, sdpAddr, 1, 4, 8) + run(l, time.Minute, stranger, 1, 4, 8); got != "rrrrrrrrrrrrrrrr" {
		t.Errorf("after the lock others got %s", got)
	}
	if got := run(l, time.Hour, otherPort, 99, 5, 2); got != "aa" {
		t.Errorf("the latched source got %s with a new SSRC", got)
	}
	if got := l.Rejected(); got != 16 {
		t.Errorf("%d rejected, want 16", got)
	}
}

func TestFourPacketsMustFollowEachOtherWithOneSSRC(t *testing.T) {
	t.Parallel()
	l := newLatch(rtp.LatchSDP)
	got := run(l, 0, otherPort, 1, 10, 3) + run(l, 0, otherPort, 1, 14, 3) + run(l, 0, otherPort, 2, 17, 3)
	if got != "hhhhhhhhh" {
		t.Errorf("broken runs got %s", got)
	}
	if l.Rejected() != 6 {
		t.Errorf("%d rejected, want the six of the broken runs", l.Rejected())
	}
	if got := run(l, 0, otherPort, 2, 20, 1); got != "a" {
		t.Errorf("the fourth in a row got %s", got)
	}
	if l.Rejected() != 6 {
		t.Errorf("%d rejected: what was held of the winner is not rejected", l.Rejected())
	}
}

func TestUnknownPayloadTypesProveNothing(t *testing.T) {
	t.Parallel()
	l := newLatch(rtp.LatchSDP)
	for i := range 6 {
		for _, src := range []netip.AddrPort{otherPort, sdpAddr} {
			if got := l.Judge(0, src, rtp.Header{Sequence: uint16(i)}, false); got != rtp.Rejected {
				t.Fatalf("packet %d of %v: %v", i, src, got)
			}
		}
	}
	if _, ok := l.Source(); ok {
		t.Error("latched")
	}
}

func TestTheWindowClosesButNotForTheSDP(t *testing.T) {
	t.Parallel()
	l := newLatch(rtp.LatchSDP)
	if got := run(l, 0, otherPort, 1, 0, 2); got != "hh" {
		t.Fatal(got)
	}
	if got := run(l, 5100*ms, otherPort, 1, 2, 4); got != "rrrr" {
		t.Errorf("after the window: %s", got)
	}
	if got := run(l, 6*time.Second, sdpAddr, 1, 2, 1); got != "a" {
		t.Errorf("the SDP's own source after the window: %s", got)
	}
}

func TestAForeignSprayDoesNotOpenTheWindow(t *testing.T) {
	t.Parallel()
	l := newLatch(rtp.LatchSDP)
	run(l, 0, stranger, 1, 0, 100)
	if got := run(l, time.Minute, otherPort, 1, 0, 4); got != "hhha" {
		t.Errorf("the carrier's own packets got %s", got)
	}
}

func TestManyPortsOfOneAddressDoNotKeepTheCarrierOut(t *testing.T) {
	t.Parallel()
	l := newLatch(rtp.LatchSDP)
	if got := run(l, 0, otherPort, 1, 0, 2); got != "hh" {
		t.Fatal(got)
	}
	for port := range 500 {
		run(l, 0, netip.AddrPortFrom(sdpAddr.Addr(), uint16(10000+port)), 9, 7, 1)
	}
	if got := run(l, 60*ms, otherPort, 1, 2, 2); got != "ha" {
		t.Errorf("the carrier got %s", got)
	}
	if l.Rejected() != 500 {
		t.Errorf("%d rejected, want 500", l.Rejected())
	}
}

func TestTargetIsTheSDPUntilALockAndNothingWhereItNamesNothing(t *testing.T) {
	t.Parallel()
	if got := newLatch(rtp.LatchNAT).Target(); got != sdpAddr {
		t.Errorf("target %v", got)
	}
	for _, sdp := range []string{"0.0.0.0:4000", "[::]:4000", "192.0.2.1:0"} {
		l := rtp.NewLatch(rtp.LatchSDP, netip.MustParseAddrPort(sdp), signalled.Addr(), time.Second)
		if got := l.Target(); got.IsValid() {
			t.Errorf("%s: target %v", sdp, got)
		}
	}
	if got := rtp.NewLatch(rtp.LatchNAT, netip.AddrPort{}, netip.Addr{}, time.Second).Target(); got.IsValid() {
		t.Errorf("target %v of nothing", got)
	}
}
