package e2e_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"patchbay/e2e/rig"
)

// A voice is one source of RTP, and all that came back to it.
type voice struct {
	conn *net.UDPConn
	ssrc uint32
	seq  uint16

	codec uint8 // its payload number

	mu    sync.Mutex
	heard []*rtp.Packet
	rtcp  []rtcp.Packet
	other int // packets that are neither
}

// speakAt opens a voice at an address and port; port 0 is any.
func speakAt(t *testing.T, addr string, port int) *voice {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(addr), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	v := &voice{conn: conn, ssrc: 0x1234567}
	go v.listen()
	return v
}

func (v *voice) listen() {
	buf := make([]byte, 2048)
	for {
		n, err := v.conn.Read(buf)
		if err != nil {
			return
		}
		v.take(append([]byte(nil), buf[:n]...))
	}
}

// take sorts a packet by its payload type (RFC 5761 section 4).
func (v *voice) take(b []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(b) > 1 && b[1] >= 192 && b[1] <= 223 {
		reports, err := rtcp.Unmarshal(b)
		if err != nil {
			v.other++
		}
		v.rtcp = append(v.rtcp, reports...)
		return
	}
	p := &rtp.Packet{}
	if p.Unmarshal(b) != nil {
		v.other++
		return
	}
	v.heard = append(v.heard, p)
}

// nothing fails the test if anything came back.
func (v *voice) nothing(t *testing.T, who string) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.heard)+len(v.rtcp)+v.other != 0 {
		t.Errorf("%s was sent %d packets of RTP, RTCP %v and %d others, want nothing", who, len(v.heard), v.rtcp, v.other)
	}
}

// goodbye reports whether the node's stream was said to have ended (RFC 3550
// section 6.6).
func (v *voice) goodbye() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.rtcp {
		if _, ok := p.(*rtcp.Goodbye); ok {
			return true
		}
	}
	return false
}

func (v *voice) packets() []*rtp.Packet {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.heard[:len(v.heard):len(v.heard)]
}

// reported is the RTCP that came.
func (v *voice) reported() []rtcp.Packet {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.rtcp[:len(v.rtcp):len(v.rtcp)]
}

// say sends one packet of PCMU, all bytes of which are the word.
func (v *voice) say(t *testing.T, to *net.UDPAddr, word byte) {
	t.Helper()
	v.seq++
	p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: v.codec, SequenceNumber: v.seq, Timestamp: uint32(v.seq) * 160, SSRC: v.ssrc}, Payload: bytes.Repeat([]byte{word}, 160)}
	raw, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.conn.WriteToUDP(raw, to); err != nil {
		t.Errorf("send RTP: %v", err)
	}
}

// Words of the carrier and of strangers.
const (
	carrierWord  = 0x2a
	strangerWord = 0x66
)

var mediaLine = regexp.MustCompile(`m=audio (\d+) `)

// place places a call by hand, whose SDP names a port of 127.0.0.1, and returns
// it and where the node wants RTP.
func (s *stage) place(t *testing.T, slug string, port int) (*talk, *net.UDPAddr) {
	t.Helper()
	c := &talk{Peer: s.Dial(t, "udp"), invite: rig.Request{Method: "INVITE", URI: s.URI(slug), Body: rig.Offer(port)}.Fresh()}
	c.answer = c.Final(c.invite)
	if c.answer.Status() != 200 {
		t.Fatalf("an INVITE got %q, want 200", c.answer.Line())
	}
	c.Send(c.invite.Within(c.answer, "ACK", 1))
	return c, mediaOf(t, c.answer)
}

// mediaOf is where the node wants RTP.
func mediaOf(t *testing.T, answer rig.Response) *net.UDPAddr {
	t.Helper()
	m := mediaLine.FindStringSubmatch(string(answer))
	if m == nil {
		t.Fatalf("the answer names no port:\n%s", answer)
	}
	at, err := strconv.ParseUint(m[1], 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(at)))
}

// words counts packets by what they say.
func words(packets []*rtp.Packet) map[byte]int {
	count := map[byte]int{}
	for _, p := range packets {
		count[p.Payload[0]]++
	}
	return count
}

func TestStrangersPacketsReachNobodyAndGetNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	w := s.worker(t, []string{"PCMU"}, nil, echo)
	ep := s.endpoint(t, w)
	port := s.Port(t, 2)
	carrier, reports := speakAt(t, "127.0.0.1", port), speakAt(t, "127.0.0.1", port+1)
	elsewhere, beside := speakAt(t, "127.0.0.2", 0), speakAt(t, "127.0.0.1", 0)
	c, node := s.place(t, ep.Slug, port)
	control := &net.UDPAddr{IP: node.IP, Port: node.Port + 1}
	took := w.next(t)
	took.connected(t)
	const early = 30
	for range early { // before the carrier has said anything
		elsewhere.say(t, node, strangerWord)
	}
	bye, err := rtcp.Marshal([]rtcp.Packet{&rtcp.Goodbye{Sources: []uint32{carrier.ssrc}}})
	if err != nil {
		t.Fatal(err)
	}
	const spoken = 100
	for n := range spoken {
		carrier.say(t, node, carrierWord)
		if n == 0 {
			elsewhere.seq, beside.seq = carrier.seq+10, carrier.seq+10 // as if they went on where it is
		}
		for range 3 {
			elsewhere.say(t, node, strangerWord)
			beside.say(t, node, strangerWord)
		}
		for _, v := range []*voice{elsewhere, beside} {
			if _, err := v.conn.WriteToUDP(bye, control); err != nil {
				t.Errorf("send RTCP: %v", err)
			}
		}
		time.Sleep(20 * time.Millisecond) // as a carrier does
	}
	rig.WaitFor(t, settle, "the last packets have arrived", func() bool {
		return words(took.packets())[carrierWord] >= spoken-2 && words(carrier.packets())[carrierWord] >= spoken-5
	})
	heard := words(took.packets())
	if heard[strangerWord] != 0 || heard[carrierWord] < spoken-2 {
		t.Errorf("the agent heard %d packets of strangers and %d of the carrier, want none and %d", heard[strangerWord], heard[carrierWord], spoken)
	}
	back := words(carrier.packets())
	if back[strangerWord] != 0 || back[carrierWord] < spoken-5 {
		t.Errorf("the carrier heard %d packets of strangers and %d of its own, want none and %d", back[strangerWord], back[carrierWord], spoken)
	}
	c.bye(t)
	end := ended(t, s.Node, string(ep.Key))
	if end.Rejected < early || end.Received != spoken || end.Lost != 0 || end.Cause != "normal_clearing" {
		t.Errorf("the node took %d packets, missed %d, rejected %d, ended for %s, want %d, none, %d at least, normal_clearing",
			end.Received, end.Lost, end.Rejected, end.Cause, spoken, early)
	}
	s.Idle(t, settle) // the last report has left
	elsewhere.nothing(t, "the stranger at another address")
	beside.nothing(t, "the stranger at another port")
	rig.WaitFor(t, settle, "the carrier heard an RTCP BYE where its SDP wants RTCP", reports.goodbye)
}

func TestACarrierThatSendsFromAnotherPortIsFound(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	w := s.worker(t, []string{"PCMU"}, nil, echo)
	ep := s.endpoint(t, w)
	port := s.Port(t, 2)
	named, real := speakAt(t, "127.0.0.1", port), speakAt(t, "127.0.0.1", 0)
	c, node := s.place(t, ep.Slug, port)
	took := w.next(t)
	took.connected(t)
	const spoken = 50
	for range spoken {
		real.say(t, node, carrierWord)
		time.Sleep(20 * time.Millisecond)
	}
	rig.Until(t, settle, func() (string, bool) {
		there, back := words(took.packets())[carrierWord], words(real.packets())[carrierWord]
		return fmt.Sprintf("%d packets come to the agent and back to where the carrier sends from, or little less: %d and %d did", spoken-3, there, back),
			there >= spoken-5 && back >= spoken-8
	})
	if n := words(took.packets())[carrierWord]; n > spoken-3 {
		t.Errorf("the agent heard %d packets, want all but the three that proved the source", n)
	}
	if n := words(named.packets())[carrierWord]; n != 0 {
		t.Errorf("%d packets of the agent went to the port that the SDP names", n)
	}
	c.bye(t)
}
