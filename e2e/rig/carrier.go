package rig

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// A Carrier is a SIP client that knows several edges and sends each message of
// a call to the next of them, repetitions too. It has one UDP socket, or a
// connection to each edge and a listener; all of its calls share them.
type Carrier struct {
	t         testing.TB
	transport string
	local     string // host:port in Via and Contact
	edges     []netip.AddrPort
	udp       *net.UDPConn
	listener  net.Listener
	closing   atomic.Bool

	mu    sync.Mutex
	calls map[string]*Dialled // by Call-ID
	conns []net.Conn          // by edge; nil: none
}

// incoming is a message and the way back to where it came from.
type incoming struct {
	Response
	back func(text string) error
}

// Carrier returns a client of the edges of c over a transport.
func (c *Cluster) Carrier(t testing.TB, transport string) *Carrier {
	t.Helper()
	at := loopback
	if c.plan.Net != nil {
		at = c.plan.Net.Here
	}
	return NewCarrier(t, transport, at, c.SIP())
}

// NewCarrier returns a client at an address. It ends with the test.
func NewCarrier(t testing.TB, transport string, at netip.Addr, edges []netip.AddrPort) *Carrier {
	t.Helper()
	c := &Carrier{t: t, transport: transport, edges: edges, calls: map[string]*Dialled{}, conns: make([]net.Conn, len(edges))}
	var err error
	if transport == "udp" {
		c.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.udp.SetReadBuffer(4 << 20) // as much as the system grants
		c.local = c.udp.LocalAddr().String()
		go c.datagrams()
	} else {
		c.listener, err = net.Listen("tcp", netip.AddrPortFrom(at, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		c.local = c.listener.Addr().String()
		go c.accept()
	}
	t.Cleanup(c.close)
	return c
}

// host is the carrier's address.
func (c *Carrier) host() string { return netip.MustParseAddrPort(c.local).Addr().String() }

func (c *Carrier) close() {
	c.closing.Store(true)
	if c.udp != nil {
		_ = c.udp.Close()
	}
	if c.listener != nil {
		_ = c.listener.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

func (c *Carrier) datagrams() {
	buf := make([]byte, 65536)
	for {
		n, from, err := c.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // a port that refuses shows here
		}
		c.deliver(incoming{Response(buf[:n]), func(text string) error {
			_, err := c.udp.WriteToUDPAddrPort([]byte(text), from)
			return err
		}})
	}
}

func (c *Carrier) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		go c.stream(conn)
	}
}

// stream reads a connection until it ends.
func (c *Carrier) stream(conn net.Conn) {
	defer c.lost(conn)
	for r := bufio.NewReaderSize(conn, 64<<10); ; {
		msg, err := framed(r)
		if err != nil {
			return
		}
		c.deliver(incoming{msg, func(text string) error { _, err := io.WriteString(conn, text); return err }})
	}
}

func (c *Carrier) lost(conn net.Conn) {
	_ = conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, known := range c.conns {
		if known == conn {
			c.conns[i] = nil
		}
	}
}

// deliver hands a message to its call; one that it has no room for is dropped.
// A BYE of no call of ours is answered (RFC 3261 15.1.2).
func (c *Carrier) deliver(m incoming) {
	c.mu.Lock()
	d := c.calls[m.Header("Call-ID")]
	c.mu.Unlock()
	if d == nil {
		if m.Method() == "BYE" {
			_ = m.back(replyTo(m.Response, "481 Call/Transaction Does Not Exist"))
		}
		return
	}
	select {
	case d.in <- m:
	default:
	}
}

// send sends a message to an edge and returns the connection that it went on,
// nil over UDP.
func (c *Carrier) send(edge int, text string) (on net.Conn, err error) {
	if c.udp != nil {
		_, err := c.udp.WriteToUDPAddrPort([]byte(text), c.edges[edge])
		return nil, err
	}
	on, err = c.conn(edge)
	if err == nil {
		_, err = io.WriteString(on, text)
	}
	return on, err
}

// conn is the connection to an edge, a new one where there is none.
func (c *Carrier) conn(edge int) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns[edge] != nil {
		return c.conns[edge], nil
	}
	conn, err := net.DialTimeout("tcp", c.edges[edge].String(), answerLimit)
	if err != nil {
		return nil, err
	}
	c.conns[edge] = conn
	go c.stream(conn)
	return conn, nil
}

// broken reports that a connection which a message went on has ended.
func (c *Carrier) broken(on net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return on != nil && !slices.Contains(c.conns, on)
}

// Dial makes a call that has sent nothing yet. Its first message goes to the
// edge of that number.
func (c *Carrier) Dial(uri string, first int) *Dialled {
	d := &Dialled{carrier: c, next: first, in: make(chan incoming, 64),
		invite: Request{Method: "INVITE", URI: uri, CallID: rand.Text()}.Fresh()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[d.invite.CallID] = d
	return d
}

// forget ends the delivery to a call.
func (c *Carrier) forget(d *Dialled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, d.invite.CallID)
}
