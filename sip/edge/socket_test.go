package edge_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/edge"
)

// noting returns a router's Invite that takes everything and notes its flow.
func noting(flows chan<- call.Flow) func(endpoint.Invite, bool, call.Packet, func(edge.Outcome)) {
	return func(_ endpoint.Invite, _ bool, p call.Packet, done func(edge.Outcome)) {
		flows <- p.Flow
		done(edge.Outcome{Taken: true})
	}
}

// raw opens a connection to the WebSocket listener and says something.
func (r *rig) raw(text string) *peer {
	r.t.Helper()
	c, err := net.Dial("tcp4", r.Addrs().WS.String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Write([]byte(text)); err != nil {
		r.t.Fatal(err)
	}
	return &peer{t: r.t, conn: c, br: bufio.NewReader(c)}
}

// upgrade is the request of a browser, with lines left out or added.
func upgrade(without string, with ...string) string {
	lines := []string{"GET / HTTP/1.1", "Host: sip.example:5066", "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: chat, sip"}
	var kept []string
	for _, line := range lines {
		if without == "" || !strings.HasPrefix(line, without) {
			kept = append(kept, line)
		}
	}
	return strings.Join(append(kept, with...), "\r\n") + "\r\n\r\n"
}

func TestAWebSocketIsOpenedAsRFC7118Says(t *testing.T) {
	t.Parallel()
	cfg := secureSettings(t)
	cfg.WSOrigins = []string{"https://app.example"}
	rig := start(t, cfg, rejecting(404))
	for name, tc := range map[string]struct{ request, want string }{
		"a client that is no browser": {upgrade(""), "101"},
		"without the subprotocol":     {upgrade("Sec-WebSocket-Protocol"), "400"},
		"another subprotocol":         {upgrade("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: xmpp, sips"), "400"},
		"a page of this host":         {upgrade("", "Origin: http://sip.example:5066"), "101"},
		"a page that may":             {upgrade("", "Origin: https://app.example"), "101"},
		"a page of another host":      {upgrade("", "Origin: https://evil.example"), "403"},
		"a page of another port":      {upgrade("", "Origin: http://sip.example"), "403"},
		"a page without origin":       {upgrade("", "Origin: null"), "403"},
		"plain HTTP":                  {upgrade("Upgrade"), "426"},
		"another method":              {strings.Replace(upgrade(""), "GET ", "PUT ", 1), "405"},
		"another version":             {upgrade("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), "400"},
		"SIP":                         {msg{method: "OPTIONS"}.String(), ""},
		"a head without end":          {upgrade("", "X-Pad: "+strings.Repeat("x", 9000)), ""},
	} {
		p := rig.raw(tc.request)
		_ = p.conn.SetReadDeadline(time.Now().Add(patience))
		line, _ := p.br.ReadString('\n')
		_, got, _ := strings.Cut(strings.TrimSpace(line), " ")
		if got, _, _ = strings.Cut(got, " "); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
		if tc.want != "101" && !p.closed(patience) {
			t.Errorf("%s: the connection stays open", name)
		}
	}
}

func TestAnyOriginMayBeAllowed(t *testing.T) {
	t.Parallel()
	cfg := secureSettings(t)
	cfg.WSOrigins = []string{"*"}
	rig := start(t, cfg, rejecting(404))
	ws, _, err := rig.browser(call.WSS, http.Header{"Origin": {"null"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := ws.Subprotocol(); got != "sip" {
		t.Errorf("the subprotocol is %q", got)
	}
}

func TestEachWebSocketMessageIsOneSIPMessage(t *testing.T) {
	t.Parallel()
	rig := start(t, secureSettings(t), rejecting(404))
	p := rig.over(call.WS)
	options := msg{method: "OPTIONS"}.String()
	for name, tc := range map[string]struct{ send, want string }{
		"whole":                  {options, "200"},
		"without Content-Length": {strings.Replace(options, "Content-Length: 0\r\n", "", 1), "200"},
		"two at once":            {options + msg{method: "REGISTER"}.String(), "200"}, // what follows is cut, as of a datagram
		"half a message":         {options[:len(options)/2], ""},
		"a body cut short":       {strings.Replace(options, "Length: 0", "Length: 9", 1), "400"},
		"nothing":                {"", ""},
		"a line end":             {"\r\n", ""},
	} {
		p.send(tc.send)
		wait := 3 * silence // that no answer comes
		if tc.want != "" {
			wait = patience
		}
		if got := p.read(wait); status(got) != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
	p.ws.kind = websocket.MessageBinary
	if got := status(p.ask(options)); got != "200" {
		t.Errorf("binary: got %q", got)
	}
	if got := p.ask("\r\n\r\n"); got != "\r\n" {
		t.Errorf("a keep-alive got %q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.ws.conn.Ping(ctx); err != nil {
		t.Errorf("a ping: %v", err)
	}
}

func TestALongWebSocketMessageEndsItsConnection(t *testing.T) {
	t.Parallel()
	rig := start(t, secureSettings(t), rejecting(404))
	p := rig.over(call.WS)
	if got := status(p.ask(msg{method: "OPTIONS", headers: []string{"X-Pad: " + strings.Repeat("x", 8000)}}.String())); got != "200" {
		t.Errorf("a large message got %q", got)
	}
	p.send(strings.Repeat("x", 65537))
	if !p.closed(patience) {
		t.Error("the connection stays open")
	}
	rig.seen.await(t, "dropped "+string(edge.DropFraming), 1)
}

// TestSlowPeersOfEveryTransportLoseTheirConnections: whoever stops in the
// middle of a handshake or of a message is let go in time.
func TestSlowPeersOfEveryTransportLoseTheirConnections(t *testing.T) {
	t.Parallel()
	cfg := secureSettings(t)
	cfg.FirstMessage = 5 * time.Second // the handshakes of this test are part of it
	rig := start(t, cfg, rejecting(404))
	half := msg{method: "INVITE"}.String()[:40]
	bare := func(at string, text string) *peer {
		c, err := net.Dial("tcp4", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = c.Write([]byte(text))
		return &peer{t: t, conn: c, br: bufio.NewReader(c)}
	}
	secure := rig.over(call.TLS)
	secure.send(half)
	wss := rig.secure(rig.Addrs().WSS)
	_, _ = wss.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n"))
	frame := rig.raw(upgrade(""))
	_, _ = frame.br.ReadString('\n')
	_, _ = frame.conn.Write([]byte{0x81, 0x80 | 100, 1, 2, 3, 4, 'x'}) // a frame of 100 bytes, one of which comes
	for name, p := range map[string]*peer{
		"TLS without a handshake": bare(rig.Addrs().TLS.String(), ""),
		"half a handshake":        bare(rig.Addrs().TLS.String(), "\x16\x03\x01\x02"),
		"half a message over TLS": secure,
		"WSS without a handshake": bare(rig.Addrs().WSS.String(), ""),
		"half a request over WSS": {t: t, conn: wss, br: bufio.NewReader(wss)},
		"WS without a request":    bare(rig.Addrs().WS.String(), ""),
		"half a request":          bare(rig.Addrs().WS.String(), "GET / HTTP/1.1\r\nHost: a\r\n"),
		"half a frame":            frame,
	} {
		if !p.closed(patience) {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	rig.seen.awaitAll(t, 0, "connections")
	rig.seen.awaitAll(t, 8, "dropped "+string(edge.DropSlow), "dropped "+string(edge.DropHandshake))
}

func TestConnectionsOfEveryTransportShareOneCap(t *testing.T) {
	t.Parallel()
	cfg := secureSettings(t)
	cfg.MaxConnsPerIP = 8
	rig := start(t, cfg, rejecting(404))
	for range 2 {
		for _, over := range streams {
			rig.over(over).ask(msg{method: "OPTIONS"}.String())
		}
	}
	for _, at := range []string{rig.Addrs().TCP.String(), rig.Addrs().TLS.String(), rig.Addrs().WS.String(), rig.Addrs().WSS.String()} {
		c, err := net.Dial("tcp4", at)
		if err != nil {
			continue // turned away at once
		}
		t.Cleanup(func() { _ = c.Close() })
		if p := (&peer{t: t, conn: c, br: bufio.NewReader(c)}); !p.closed(patience) {
			t.Errorf("a ninth connection stays open at %s", at)
		}
	}
	rig.seen.await(t, "dropped "+string(edge.DropSourceCap), 4)
}

func TestAWebSocketMayBeSilentAtFirst(t *testing.T) {
	t.Parallel()
	cfg := secureSettings(t)
	cfg.FirstMessage = 5 * time.Second // the handshake is part of it
	rig := start(t, cfg, rejecting(404))
	p := rig.over(call.WS)
	time.Sleep(cfg.FirstMessage + time.Second) // real: its user has not called yet
	if got := status(p.ask(msg{method: "OPTIONS"}.String())); got != "200" {
		t.Errorf("got %q", got)
	}
}

func TestWebSocketsAreClosedInOrderWhenAnEdgeStops(t *testing.T) {
	t.Parallel()
	flows := make(chan call.Flow, 2)
	r := rejecting(404)
	r.invite = noting(flows)
	rig := start(t, secureSettings(t), r)
	for _, over := range []call.Transport{call.WS, call.WSS} {
		p := rig.over(over)
		p.send(msg{method: "INVITE"}.String())
		flow := take(t, flows)
		for i := range 4 {
			rig.Send(call.Transmission{Flow: flow, Raw: fmt.Appendf(nil, "BYE sip:%d SIP/2.0\r\n\r\n", i)}, nil)
		}
		if over == call.WSS {
			rig.stop()
		}
		for i := range 4 {
			if got := p.read(patience); !strings.HasPrefix(got, fmt.Sprintf("BYE sip:%d ", i)) {
				t.Fatalf("%s: message %d is %.40q", over, i, got)
			}
		}
	}
}
