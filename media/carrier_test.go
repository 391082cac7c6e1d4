package media

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/config"
	"patchbay/media/rtp"
)

const ms = time.Millisecond

var (
	carrierRTP  = netip.MustParseAddrPort("192.0.2.1:4000")
	carrierRTCP = netip.MustParseAddrPort("192.0.2.1:4001")
	natted      = netip.MustParseAddrPort("192.0.2.1:9000")
	stranger    = netip.MustParseAddrPort("203.0.113.9:4000")
)

// A memSocket keeps what was sent.
type memSocket struct {
	sent  [][]byte
	to    []netip.AddrPort
	fixed netip.AddrPort
	quiet bool // count only
	n     int
}

func (s *memSocket) Read([]byte) (int, netip.AddrPort, error) { select {} }
func (s *memSocket) Close() error                             { return nil }
func (s *memSocket) Fix(to netip.AddrPort)                    { s.fixed = to }
func (s *memSocket) Free()                                    { s.fixed = netip.AddrPort{} }
func (s *memSocket) Send(b []byte, to netip.AddrPort) error {
	s.n++
	if !s.quiet {
		s.sent, s.to = append(s.sent, bytes.Clone(b)), append(s.to, to)
	}
	return nil
}

// A rig is a carrier leg in virtual time.
type rig struct {
	t      testing.TB
	leg    *carrierLeg
	rtp    *memSocket
	rtcp   *memSocket
	agent  [][]byte
	events []string
	now    time.Duration
	faults int
}

func newRig(t testing.TB, change func(*legConfig)) *rig {
	r := &rig{t: t, rtp: &memSocket{}, rtcp: &memSocket{}}
	event := call.Codec{PayloadType: 101, Name: "telephone-event", ClockRate: 8000}
	c := legConfig{
		terms: terms{
			offer:      call.Offer{Addr: carrierRTP, RTCP: carrierRTCP, Direction: call.SendRecv},
			answer:     call.Answer{Codec: call.Codec{PayloadType: 0, Name: "PCMU", ClockRate: 8000}, DTMF: &event, Direction: call.SendRecv},
			agentTerms: agentTerms{agent: call.Codec{PayloadType: 96, Name: "PCMU", ClockRate: 8000}, agentSSRC: 0xa9e27, fill: true},
		},
		limits:   config.Media{LatchMode: "sdp", LatchWindow: 5 * time.Second, FirstRTP: 30 * time.Second, RTPSilence: 15 * time.Second},
		cname:    "call",
		rtp:      r.rtp,
		rtcp:     r.rtcp,
		number:   1,
		toAgent:  func(p []byte) { r.agent = append(r.agent, bytes.Clone(p)) },
		post:     func(ev call.Event) { r.events = append(r.events, text(ev)) },
		panicked: func(string, any) { r.faults++ },
		random:   func() uint32 { return 1000 },
		epoch:    time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC),
	}
	if change != nil {
		change(&c)
	}
	r.leg = newCarrierLeg(0, c)
	return r
}

func text(ev call.Event) string {
	switch ev.Kind {
	case call.Digit:
		return fmt.Sprintf("digit %s %v", ev.Digit, ev.Held)
	case call.DigitsAsked:
		return strings.TrimSpace(fmt.Sprintf("digits-asked %s %s", ev.Keys, map[bool]string{true: "by INFO"}[ev.Info]))
	case call.MediaTimeout:
		return "timeout " + ev.Cause.Word
	}
	return string(ev.Kind)
}

func (r *rig) want(events string) {
	r.t.Helper()
	if got := strings.Join(r.events, ", "); got != events {
		r.t.Errorf("events %q, want %q", got, events)
	}
}

// packet is one RTP packet of the carrier or the agent.
func packet(pt uint8, ssrc uint32, seq uint16, payload ...byte) []byte {
	b := make([]byte, rtp.HeaderSize, packetSize)
	rtp.Header{PayloadType: pt, SSRC: ssrc, Sequence: seq, Timestamp: uint32(seq) * 160}.Put(b)
	return append(b, payload...)
}

func parse(t testing.TB, b []byte) (rtp.Header, []byte) {
	t.Helper()
	h, start, end, err := rtp.Parse(b)
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	return h, b[start:end]
}

// run ticks until then.
func (r *rig) run(until time.Duration) {
	for ; r.now < until; r.now += wheelTurn {
		r.leg.tick(r.now)
	}
}

func TestAudioPassesBothWaysUnderTheOtherSidesNames(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.leg.receive(0, carrierRTP, packet(0, 7, 500, 1, 2, 3))
	r.leg.fromAgent(0, 1, packet(96, 8, 600, 4, 5, 6))
	h, payload := parse(t, r.agent[0])
	if h.PayloadType != 96 || h.SSRC != 0xa9e27 || !bytes.Equal(payload, []byte{1, 2, 3}) {
		t.Errorf("to the agent: %+v %v", h, payload)
	}
	h, payload = parse(t, r.rtp.sent[0])
	if h.PayloadType != 0 || h.SSRC == 8 || r.rtp.to[0] != carrierRTP || !bytes.Equal(payload, []byte{4, 5, 6}) {
		t.Errorf("to %v: %+v %v", r.rtp.to[0], h, payload)
	}
	r.want("first-rtp, first-agent-rtp")
}

// An agent that does not get the first packets cannot know that the numbers have
// begun again meanwhile, and decrypts nothing (RFC 3711 3.3.1).
func TestNumbersTowardsAnAgentBeginFarFromTheirEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *legConfig) { c.random = func() uint32 { return 0xfffffffe } })
	r.leg.receive(0, carrierRTP, packet(0, 7, 500, 1))
	r.leg.attach(0, r.leg.in.terms, 2, r.leg.in.agent) // and so for the next agent
	r.leg.receive(0, carrierRTP, packet(0, 7, 501, 1))
	for i, b := range r.agent {
		if h, _ := parse(t, b); h.Sequence >= 1<<15 {
			t.Errorf("packet %d has number %d", i, h.Sequence)
		}
	}
	if len(r.agent) != 2 {
		t.Errorf("the agents got %d packets", len(r.agent))
	}
}

func TestAProvenSourceIsSentToAndFixedInTheKernel(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for i := range 3 {
		r.leg.receive(0, natted, packet(0, 7, uint16(i), 1))
	}
	r.leg.fromAgent(0, 1, packet(96, 8, 1, 1))
	r.leg.receive(0, natted, packet(0, 7, 3, 1))
	r.leg.fromAgent(0, 1, packet(96, 8, 2, 1))
	if r.rtp.to[0] != carrierRTP || r.rtp.to[1] != natted || r.rtp.fixed != natted {
		t.Errorf("sent to %v, fixed to %v", r.rtp.to, r.rtp.fixed)
	}
	if len(r.agent) != 1 {
		t.Errorf("the agent got %d packets, want the fourth alone", len(r.agent))
	}
}

func TestStrangersAreCountedAndNeverHeard(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for i := range 100 {
		r.leg.receive(0, stranger, packet(0, 7, uint16(i), 1))
	}
	r.leg.receiveRTCP(0, stranger, rtp.AppendReport(nil, 7, nil, nil, "x"))
	if len(r.agent) != 0 || r.rtp.n != 0 || r.leg.quality().Rejected != 101 {
		t.Errorf("agent got %d, %d sent, %d rejected", len(r.agent), r.rtp.n, r.leg.quality().Rejected)
	}
	r.want("")
}

func TestDuplicatesAndUnknownTypesDoNotReachTheAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, p := range [][]byte{
		packet(0, 7, 1, 1), packet(0, 7, 1, 1), packet(13, 7, 2, 1), packet(0, 7, 3, 1), packet(0, 7, 2000, 1)[:11],
	} {
		r.leg.receive(0, carrierRTP, p)
	}
	if len(r.agent) != 2 {
		t.Fatalf("the agent got %d packets", len(r.agent))
	}
	first, _ := parse(t, r.agent[0])
	second, _ := parse(t, r.agent[1])
	if second.Sequence != first.Sequence+1 {
		t.Errorf("comfort noise left a hole: %d after %d", second.Sequence, first.Sequence)
	}
}

func TestSilenceFillsAPausingAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.leg.fromAgent(0, 1, packet(96, 8, 1, 1))
	r.run(500 * ms)
	if n := len(r.rtp.sent); n != 1+22 { // 60, 80, ... 480 ms
		t.Errorf("%d packets in half a second", n)
	}
	last := uint32(0)
	for i, b := range r.rtp.sent {
		h, payload := parse(t, b)
		if i > 0 && (len(payload) != 160 || payload[0] != 0xff || i > 1 && h.Timestamp-last != 160) {
			t.Errorf("packet %d: ts %d after %d, %d bytes of %#x", i, h.Timestamp, last, len(payload), payload[0])
		}
		last = h.Timestamp
	}
	if got := r.leg.quality(); got.Filled != 22 || got.PacketsSent != 23 {
		t.Errorf("%+v", got)
	}
	r.leg.fromAgent(500*ms, 1, packet(96, 8, 2, 1))
	if h, _ := parse(t, r.rtp.sent[23]); !h.Marker {
		t.Error("the agent resumed without a marker")
	}
}

func TestNoSilenceWhereNoneIsWantedOrTheCarrierIsOnHold(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*legConfig){
		"not wanted":     func(c *legConfig) { c.terms.fill = false },
		"held":           func(c *legConfig) { c.terms.answer.Direction = call.RecvOnly },
		"unknown codec":  func(c *legConfig) { c.terms.answer.Codec.Name = "G729" },
		"nobody to send": func(c *legConfig) { c.terms.offer.Addr = netip.MustParseAddrPort("0.0.0.0:0") },
	} {
		r := newRig(t, change)
		r.run(time.Second)
		if r.rtp.n != 0 {
			t.Errorf("%s: %d packets", name, r.rtp.n)
		}
	}
}

func TestLongPacketsOfAnAgentAreNotTakenForPauses(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for i := range 10 { // 60 ms each
		b := packet(96, 8, uint16(i), 1)
		rtp.Header{PayloadType: 96, SSRC: 8, Sequence: uint16(i), Timestamp: uint32(i) * 480}.Put(b)
		r.leg.fromAgent(r.now, 1, b)
		r.run(r.now + 60*ms)
	}
	if got := r.leg.quality().Filled; got > 1 {
		t.Errorf("%d packets filled between packets of 60 ms", got)
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*legConfig)
		rtpAt  time.Duration // last RTP; 0: none
		rtcpAt time.Duration
		until  time.Duration
		want   string
	}{
		{"never any RTP", nil, 0, 0, 31 * time.Second, "timeout no_first_rtp"},
		{"just in time", nil, 29 * time.Second, 0, 43 * time.Second, "first-rtp"},
		{"silence", nil, time.Second, 0, 17 * time.Second, "first-rtp, timeout rtp_timeout"},
		{"RTCP keeps it alive", nil, time.Second, 10 * time.Second, 20 * time.Second, "first-rtp"},
		{"RTCP is no first RTP", nil, 0, 10 * time.Second, 31 * time.Second, "timeout no_first_rtp"},
		{"on hold", func(c *legConfig) { c.terms.answer.Direction = call.SendOnly }, 0, 0, time.Hour, ""},
		{"switched off", func(c *legConfig) { c.limits.FirstRTP, c.limits.RTPSilence = 0, 0 }, time.Second, 0, time.Hour, "first-rtp"},
	} {
		r := newRig(t, c.change)
		r.leg.answered(0)
		for ; r.now <= c.until; r.now += time.Second {
			if c.rtpAt != 0 && r.now == c.rtpAt {
				r.leg.receive(r.now, carrierRTP, packet(0, 7, 1, 1))
			}
			if c.rtcpAt != 0 && r.now == c.rtcpAt {
				r.leg.receiveRTCP(r.now, carrierRTCP, rtp.AppendReport(nil, 7, nil, nil, "x"))
			}
			r.leg.tick(r.now)
		}
		if got := strings.Join(r.events, ", "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestNothingTimesOutBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.run(time.Minute)
	r.want("")
}

func TestAFaultCostsOnePacket(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *legConfig) { c.toAgent = func([]byte) { panic("fault") } })
	for i := range 3 {
		r.leg.receive(0, carrierRTP, packet(0, 7, uint16(i), 1))
	}
	if r.faults != 3 || r.leg.quality().PacketsReceived != 3 {
		t.Errorf("%d faults, %+v", r.faults, r.leg.quality())
	}
}
