package anyedge_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// A phone is a carrier that sends each message to the edge it is told to. Over
// UDP it has one socket, over TCP a connection with each edge, and a listener
// for those that edges open.
type phone struct {
	t       *testing.T
	over    call.Transport
	addr    netip.AddrPort // in Via and Contact
	edges   []netip.AddrPort
	udp     *net.UDPConn
	streams []net.Conn

	mu    sync.Mutex
	calls map[string]chan heard // by Call-ID
}

// A heard message came from an edge, by its number; -1: by a connection that an
// edge opened.
type heard struct {
	*wire.Message
	from int
}

func newPhone(c *anyEdge, over call.Transport) *phone {
	p := &phone{t: c.t, over: over, calls: map[string]chan heard{}}
	if over == call.UDP {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { _ = conn.Close() })
		p.udp, p.addr = conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()
		for _, e := range c.edges {
			p.edges = append(p.edges, e.Addrs().UDP)
		}
		go p.listenUDP()
		return p
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = ln.Close() })
	p.addr = ln.Addr().(*net.TCPAddr).AddrPort()
	go func() {
		for conn, err := ln.Accept(); err == nil; conn, err = ln.Accept() {
			c.t.Cleanup(func() { _ = conn.Close() })
			go p.listenStream(conn, -1)
		}
	}()
	for i, e := range c.edges {
		p.edges = append(p.edges, e.Addrs().TCP)
		conn, err := net.Dial("tcp4", e.Addrs().TCP.String())
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { _ = conn.Close() })
		p.streams = append(p.streams, conn)
		go p.listenStream(conn, i)
	}
	return p
}

func (p *phone) listenUDP() {
	buf := make([]byte, 65535)
	for {
		n, from, err := p.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		for i, at := range p.edges {
			if at == from {
				p.take(bytes.Clone(buf[:n]), i)
			}
		}
	}
}

func (p *phone) listenStream(conn net.Conn, from int) {
	r := bufio.NewReader(conn)
	for {
		var head bytes.Buffer
		length := 0
		for !bytes.HasSuffix(head.Bytes(), []byte("\r\n\r\n")) {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		p.take(append(head.Bytes(), body...), from)
	}
}

func (p *phone) take(raw []byte, from int) {
	m, fault := wire.Read(raw, wire.RelayLimits())
	if fault != nil {
		p.t.Errorf("an edge sent what the guard refuses: %v", fault)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.calls[m.CallID] <- heard{m, from}:
	default: // of no call, or of one whose caller has gone
	}
}

// send sends a message by an edge.
func (p *phone) send(by int, raw []byte) {
	var err error
	if p.over == call.UDP {
		_, err = p.udp.WriteToUDPAddrPort(raw, p.edges[by])
	} else {
		_, err = p.streams[by].Write(raw)
	}
	if err != nil {
		p.t.Errorf("send by edge %d: %v", by, err)
	}
}

// A talk is one call of a phone.
type talk struct {
	p      *phone
	user   string // tells calls apart in records
	callID string
	in     chan heard
	turn   int    // the edge of the next message
	dead   int    // 1: nothing is sent by edge 0 any more
	to     string // with the tag, once there is one
	target string // Contact of the other side
	branch string // of the INVITE
	seq    uint32
	ack    []byte // once the call is answered
}

func (p *phone) talk(user string, firstEdge int) *talk {
	k := &talk{p: p, user: user, callID: rand.Text(), turn: firstEdge, in: make(chan heard, 64),
		to: "<sip:desk-abcdefghjkmnpqrstuvwxyz23@sip.localhost>", target: "sip:desk-abcdefghjkmnpqrstuvwxyz23@sip.localhost"}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[k.callID] = k.in
	return k
}

const anyOffer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"

// request writes a request of the call.
func (k *talk) request(method string) []byte {
	branch := "z9hG4bK" + rand.Text()
	switch method {
	case "INVITE":
		k.seq++
		k.branch = branch
	case "CANCEL":
		branch = k.branch
	case "BYE":
		k.seq++
	}
	transport := string(k.p.over)
	r := wire.Request{Method: method, URI: k.target, CallID: k.callID, CSeq: k.seq,
		Vias: []string{wire.Hop{Transport: k.p.over, SentBy: k.p.addr.String(), Branch: branch}.String()},
		From: "<sip:" + k.user + "@carrier.example>;tag=f", To: k.to, Contact: "sip:" + k.user + "@" + k.p.addr.String() + ";transport=" + transport}
	if method == "INVITE" {
		r.ContentType, r.Body = "application/sdp", []byte(anyOffer)
	}
	return r.Bytes()
}

// cancel writes the CANCEL of the INVITE: no To-tag, the same branch (RFC 3261
// 9.1).
func (k *talk) cancel() []byte {
	to := k.to
	k.to, _, _ = strings.Cut(to, ";tag=")
	defer func() { k.to = to }()
	return k.request("CANCEL")
}

// refusalAck acknowledges a refusal: with the INVITE's branch (RFC 3261 17.1.1.3).
func (k *talk) refusalAck() []byte {
	return bytes.Replace(k.request("ACK"), []byte("branch="), []byte("branch="+k.branch+";was="), 1)
}

// next sends a message by the next edge, and returns which.
func (k *talk) next(raw []byte) int {
	by := k.dead + k.turn%(len(k.p.edges)-k.dead)
	k.turn++
	k.p.send(by, raw)
	return by
}

// ask sends a request by the next edge until what it wants comes, as a
// transaction does: over UDP each copy takes another edge (RFC 3261 17.1).
func (k *talk) ask(request []byte, what string) heard {
	k.p.t.Helper()
	for end := time.Now().Add(anyPatience); k.p.over == call.UDP && time.Now().Before(end); {
		k.next(request)
		if h, ok := k.hears(what, time.Second); ok {
			return h
		}
	}
	if k.p.over != call.UDP {
		k.next(request)
	}
	return k.await(what)
}

// await waits for a message: "200 INVITE", "BYE". Others that come first are
// passed over.
func (k *talk) await(what string) heard {
	k.p.t.Helper()
	h, ok := k.hears(what, anyPatience)
	if !ok {
		k.p.t.Errorf("%s over %s: no %s", k.user, k.p.over, what)
		panic(errNothingCame)
	}
	return h
}

var errNothingCame = fmt.Errorf("nothing came")

func (k *talk) hears(what string, wait time.Duration) (heard, bool) {
	end := time.After(wait)
	for {
		select {
		case h := <-k.in:
			got := h.Method
			if !h.IsRequest() {
				got = strconv.Itoa(h.Status) + " " + h.CSeqMethod
			}
			if h.Status > 100 && h.CSeqMethod == "INVITE" {
				k.to = strings.Clone(h.Header("To"))
			}
			if got == what {
				return h, true
			}
			if got == "200 INVITE" && k.ack != nil { // ours was lost (RFC 3261 13.2.2.4)
				k.next(k.ack)
			}
		case <-end:
			return heard{}, false
		}
	}
}

// answered places the call, and returns its 200.
func (k *talk) answered(invite []byte) heard {
	h := k.ask(invite, "200 INVITE")
	k.accept(h)
	return h
}

// accept makes the dialog of a 200.
func (k *talk) accept(h heard) {
	contact, err := h.Contact()
	if err != nil {
		k.p.t.Errorf("Contact: %v", err)
	}
	k.target = contact.Reveal()
	k.ack = k.request("ACK")
}

// place runs a script of a call; what failed is told already.
func place(t *testing.T, script func()) {
	defer func() {
		if v := recover(); v != nil && v != any(errNothingCame) {
			t.Errorf("panic: %v", v)
		}
	}()
	script()
}

// ok is a 200 to a request of the other side.
func (k *talk) ok(h heard) []byte { return h.Reply(wire.Reply{Status: 200}) }
