package edge_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/edge"
)

// told is the header of a balancer about a client.
func told(t *testing.T, client, dialled string) []byte {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client)), net.TCPAddrFromAddrPort(netip.MustParseAddrPort(dialled)))
	raw, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// sources is a router that tells from where an INVITE came, and which address
// its sender had dialled.
func sources(seen chan string) fakeRouter {
	r := rejecting(404)
	r.invite = func(inv endpoint.Invite, _ bool, p call.Packet, done func(edge.Outcome)) {
		seen <- fmt.Sprint(inv.Source, " ", p.Flow.Remote, " ", p.Flow.Local)
		done(edge.Outcome{Status: 404})
	}
	return r
}

// behind is an edge whose balancer is this machine.
func behind(t *testing.T, r edge.Router, opts ...edge.Option) *rig {
	t.Helper()
	cfg := secureSettings(t)
	cfg.Balancers = []string{"127.0.0.1", "192.0.2.0/24"}
	return start(t, cfg, r, opts...)
}

func TestABalancerSaysWhoseItsConnectionIs(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 8)
	rig := behind(t, sources(seen))
	for over, to := range map[call.Transport]netip.AddrPort{call.TCP: rig.Addrs().TCP, call.TLS: rig.Addrs().TLS} {
		for client, dialled := range map[string]string{"203.0.113.9:40000": "198.51.100.1:5060", "[2001:db8::9]:40000": "[2001:db8::1]:5061"} {
			c, err := net.Dial("tcp4", to.String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			for _, b := range told(t, client, dialled) { // however it is cut
				if _, err := c.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			if over == call.TLS {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			}
			p := &peer{t: t, conn: c, br: bufio.NewReader(c)}
			if res := p.ask(msg{method: "INVITE", callID: client}.String()); status(res) != "404" {
				t.Errorf("over %s: %q", over, res)
			}
			want := fmt.Sprint(client, " ", client, " ", dialled)
			if got := take(t, seen); got != want {
				t.Errorf("over %s: %s, want %s", over, got, want)
			}
		}
	}
}

// A balancer that checks whether we live, or keeps a connection of its own,
// says LOCAL. What it adds is for others (PROXY protocol 2.2).
func TestABalancerMaySpeakForItself(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	rig := behind(t, sources(seen))
	bare, err := proxyproto.HeaderProxyFromAddrs(2, nil, nil).Format()
	if err != nil {
		t.Fatal(err)
	}
	of := func(client, dialled string) []byte { // LOCAL with addresses, which mean nothing
		raw := told(t, client, dialled)
		raw[12] = 0x20
		return raw
	}
	for what, raw := range map[string][]byte{
		"no-address": bare, "IPv4": of("203.0.113.9:40000", "198.51.100.1:5060"), "IPv6": of("[2001:db8::9]:1", "[2001:db8::1]:2"),
	} {
		p := rig.tcp()
		p.send(string(raw))
		p.ask(msg{method: "INVITE", callID: what}.String())
		if got := take(t, seen); !strings.HasPrefix(got, p.conn.LocalAddr().String()+" ") {
			t.Errorf("%s: from %s, want the balancer's own address %s", what, got, p.conn.LocalAddr())
		}
	}
}

func TestWhatABalancerAddsToTheAddressesIsPassedOver(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	rig := behind(t, sources(seen))
	h := proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(netip.MustParseAddrPort("203.0.113.9:40000")), net.TCPAddrFromAddrPort(netip.MustParseAddrPort("198.51.100.1:5060")))
	if err := h.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte("sip.example")}, {Type: 0xEA, Value: make([]byte, 200)}}); err != nil {
		t.Fatal(err)
	}
	raw, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	p := rig.tcp()
	p.send(string(raw) + msg{method: "INVITE"}.String())
	if got := take(t, seen); !strings.HasPrefix(got, "203.0.113.9:40000 ") {
		t.Errorf("from %s", got)
	}
}

// Over UDP nobody announces: a datagram's source is what it is, and a header in
// front of a message makes it no SIP.
func TestADatagramIsOfItsSourceAlone(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	rig := behind(t, sources(seen))
	p := rig.udp()
	header := told(t, "203.0.113.9:40000", "198.51.100.1:5060")
	header[13] = 0x12 // a datagram's
	p.send(string(header) + msg{method: "INVITE", callID: "announced"}.String())
	rig.seen.await(t, "malformed not_sip", 1)
	p.ask(msg{method: "INVITE"}.String())
	if got := take(t, seen); !strings.HasPrefix(got, p.conn.LocalAddr().String()+" ") {
		t.Errorf("from %s", got)
	}
}

func TestABalancersConnectionThatSaysNothingOfItsClientIsClosed(t *testing.T) {
	t.Parallel()
	rig := behind(t, rejecting(404))
	whole := told(t, "203.0.113.9:40000", "198.51.100.1:5060")
	long := append(append([]byte{}, whole[:14]...), 0xff, 0xff)
	udp := append([]byte{}, whole...)
	udp[13] = 0x12 // a datagram
	nobody := told(t, "0.0.0.0:40000", "198.51.100.1:5060")
	for why, text := range map[string]string{
		"SIP at once":     msg{method: "INVITE"}.String(),
		"version 1":       "PROXY TCP4 203.0.113.9 198.51.100.1 40000 5060\r\n" + msg{method: "INVITE"}.String(),
		"too long":        string(long),
		"a datagram's":    string(udp),
		"of nobody":       string(nobody),
		"another version": string(append(append([]byte{}, whole[:12]...), append([]byte{0x31}, whole[13:]...)...)),
	} {
		p := rig.tcp()
		p.send(text)
		if !p.closed(patience) {
			t.Errorf("%s: the connection stays open", why)
		}
	}
	rig.seen.await(t, "dropped "+string(edge.DropAnnouncement), 6)
}

func TestHalfOfABalancersHeaderKeepsNoConnectionOpen(t *testing.T) {
	t.Parallel()
	cfg := secureSettings(t)
	cfg.Balancers, cfg.FirstMessage = []string{"127.0.0.1"}, 300*time.Millisecond
	slow := start(t, cfg, rejecting(404), edge.AsUsual).tcp()
	slow.send(string(told(t, "203.0.113.9:40000", "198.51.100.1:5060")[:10]))
	if !slow.closed(patience) {
		t.Error("the connection stays open")
	}
}

func TestWhoIsNoBalancerAnnouncesNothing(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	cfg := settings()
	cfg.Balancers = []string{"192.0.2.0/24"}
	rig := start(t, cfg, sources(seen))
	p := rig.tcp()
	p.send(string(told(t, "203.0.113.9:40000", "198.51.100.1:5060")) + msg{method: "INVITE"}.String())
	if !p.closed(patience) {
		t.Error("the connection stays open")
	}
	select {
	case got := <-seen:
		t.Errorf("an INVITE of %s was heard", got)
	default:
	}
	q := rig.tcp()
	q.ask(msg{method: "INVITE"}.String())
	if got := take(t, seen); !strings.HasPrefix(got, q.conn.LocalAddr().String()+" ") {
		t.Errorf("from %s", got)
	}
}

func TestABlockedClientIsNotHeardThroughABalancer(t *testing.T) {
	t.Parallel()
	rig := behind(t, rejecting(404), edge.WithBlocklist(func(a netip.Addr) bool { return a == netip.MustParseAddr("203.0.113.9") }))
	p := rig.tcp()
	p.send(string(told(t, "203.0.113.9:40000", "198.51.100.1:5060")))
	if !p.closed(patience) {
		t.Error("the connection stays open")
	}
}
