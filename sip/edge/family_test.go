package edge_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/edge"
	"patchbay/sip/wire"
)

// dial opens a peer of a network, such as udp6, at an edge that listens to all.
func (r *rig) dial(network string, port uint16) *peer {
	r.t.Helper()
	host := "127.0.0.1"
	if strings.HasSuffix(network, "6") {
		host = "::1"
	}
	c, err := net.Dial(network, net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	p := &peer{t: r.t, conn: c}
	if strings.HasPrefix(network, "tcp") {
		p.br = bufio.NewReader(c)
	}
	return p
}

// One listener serves both families. What is written about a peer is in its
// family: received without brackets (RFC 5118 4.5), never a mapped address.
func TestOneEdgeServesBothFamilies(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.UDP, cfg.TCP = "[::]:0", "[::]:0"
	flows := make(chan call.Flow, 1)
	r := rejecting(404)
	r.invite = func(inv endpoint.Invite, _ bool, p call.Packet, done func(edge.Outcome)) {
		if inv.Source != p.Flow.Remote {
			t.Errorf("decided by %s, sent by %s", inv.Source, p.Flow.Remote)
		}
		flows <- p.Flow
		done(edge.Outcome{Status: 404})
	}
	rig := start(t, cfg, r)
	for network, own := range map[string]string{"udp4": "127.0.0.1", "udp6": "::1", "tcp4": "127.0.0.1", "tcp6": "::1"} {
		port := rig.Addrs().UDP.Port()
		if strings.HasPrefix(network, "tcp") {
			port = rig.Addrs().TCP.Port()
		}
		p := rig.dial(network, port)
		sentBy := p.conn.LocalAddr().String() // in brackets, where it is IPv6
		res := p.ask(msg{method: "INVITE", callID: network, via: "[2001:db8::9]:5070;rport"}.String())
		flow := take(t, flows)
		if flow.Remote.String() != sentBy || flow.Local.Addr().String() != own || flow.Local.Port() != port {
			t.Errorf("%s: a flow from %s to %s, sent from %s", network, flow.Remote, flow.Local, sentBy)
		}
		_, from, _ := strings.Cut(sentBy, own)
		from = from[strings.LastIndex(from, ":")+1:]
		if via := header(res, "Via"); !strings.HasSuffix(via, ";received="+own+";rport="+from) || !strings.Contains(via, " [2001:db8::9]:5070;") {
			t.Errorf("%s: answered with Via %s", network, via)
		}
		if own := sentBy; status(p.ask(msg{method: "OPTIONS", callID: network, via: own}.String())) != "200" { // its own sent-by, no rport
			t.Errorf("%s: no answer to who names %s", network, own)
		}
		if got, want := wire.SentBy("", flow.Transport, flow.Local), flow.Local.String(); got != want || strings.Contains(own, ":") != strings.HasPrefix(got, "[") {
			t.Errorf("%s: our sent-by is %s", network, got)
		}
		rig.Send(call.Transmission{Flow: flow, Raw: bye()}, nil)
		if got := p.read(patience); !strings.HasPrefix(got, "BYE ") {
			t.Errorf("%s: a request on its flow: %q", network, got)
		}
	}
}
