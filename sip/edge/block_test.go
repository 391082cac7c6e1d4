package edge_test

import (
	"bufio"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"patchbay/sip/edge"
)

// scanner talks from 127.0.0.2, which the tests block.
func scanner(t *testing.T, network string, to netip.AddrPort) *peer {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	if network == "tcp4" {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
	}
	c, err := d.Dial(network, to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	p := &peer{t: t, conn: c}
	if network == "tcp4" {
		p.br = bufio.NewReader(c)
	}
	return p
}

func TestABlockedSourceIsNotHeardAndNotAnswered(t *testing.T) {
	t.Parallel()
	var on atomic.Bool
	blocked := func(a netip.Addr) bool { return on.Load() && a == netip.MustParseAddr("127.0.0.2") }
	rig := start(t, settings(), rejecting(404), edge.WithBlocklist(blocked))
	options, garbage := msg{method: "OPTIONS"}.String(), "OPTIONS sip:x SIP/2.0\r\nnonsense\r\n\r\n"

	udp, tcp := scanner(t, "udp4", rig.Addrs().UDP), scanner(t, "tcp4", rig.Addrs().TCP)
	for _, p := range []*peer{udp, tcp} {
		if got := status(p.ask(options)); got != "200" {
			t.Fatalf("before the block: %s", got)
		}
	}
	on.Store(true)
	udp.send(options)
	udp.send(garbage)
	udp.send(msg{method: "INVITE"}.String())
	if got := udp.read(silence); got != "" {
		t.Errorf("a blocked source over UDP hears %q", got)
	}
	tcp.send(options)
	if !tcp.closed(patience) {
		t.Error("the connection of a source that is blocked stays open")
	}
	if late := scanner(t, "tcp4", rig.Addrs().TCP); !late.closed(patience) {
		t.Error("a blocked source may connect")
	}
	rig.seen.awaitAll(t, 5, "dropped blocked")
	for _, p := range []*peer{rig.udp(), rig.tcp()} {
		if got := p.ask(options); !strings.HasPrefix(got, "SIP/2.0 200") {
			t.Errorf("a neighbour of the blocked source: %.40q", got)
		}
	}
	on.Store(false)
	if got := status(udp.ask(options)); got != "200" {
		t.Errorf("after the block was taken back: %s", got)
	}
}
