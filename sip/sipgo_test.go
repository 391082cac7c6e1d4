// Package sip_test lets the parts of the door work together with an
// implementation that is not ours: a call of ours through a real edge to a
// user agent server of sipgo.
package sip_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	sipmsg "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/internal/testkit/port"
	"patchbay/sip/dialog"
	"patchbay/sip/edge"
	"patchbay/sip/token"
	"patchbay/sip/txn"
)

// patience is the longest wait for what must come.
const patience = 30 * time.Second

// A caller is one call of ours: its dialog, kept by a lock, behind an edge.
type caller struct {
	t      *testing.T
	edge   *edge.Edge
	mu     sync.Mutex
	dialog actors.Caller
	events chan call.Event
}

// Invite implements edge.Router: nobody calls us.
func (c *caller) Invite(_ endpoint.Invite, _ bool, _ call.Packet, done func(edge.Outcome)) {
	done(edge.Outcome{Status: 404})
}

// InDialog implements edge.Router.
func (c *caller) InDialog(_ call.Slot, _ call.ID, p call.Packet, done func(error)) {
	c.do(func(now time.Time) []call.Output { return c.dialog.Receive(now, p) })
	done(nil)
}

func (c *caller) do(f func(now time.Time) []call.Output) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range f(time.Now()) {
		if o.Event != nil {
			c.events <- *o.Event
			continue
		}
		told := func(bool) {}
		if o.Send.Fill {
			told = func(sent bool) {
				if !sent {
					go c.do(c.dialog.Unsent)
				}
			}
		}
		c.edge.Send(*o.Send, told)
	}
}

// await returns the next event of a kind.
func (c *caller) await(kind call.EventKind) call.Event {
	c.t.Helper()
	for {
		select {
		case ev := <-c.events:
			if ev.Kind == kind {
				return ev
			}
			c.t.Logf("told %+v", ev)
		case <-time.After(patience):
			c.t.Fatalf("no %s", kind)
		}
	}
}

// newCaller starts an edge and makes a call that was not sent yet.
func newCaller(t *testing.T, out call.Outgoing) *caller {
	t.Helper()
	keys, err := token.NewKeys(token.Key{ID: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	timers := txn.Timers{T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second}
	f, err := dialog.NewFactory(dialog.Options{Keys: keys, Slot: 3, Timers: timers})
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{t: t, events: make(chan call.Event, 64)}
	if c.dialog, _, err = f.Call(77, out); err != nil {
		t.Fatal(err)
	}
	c.edge = edge.New(config.SIP{UDP: "127.0.0.1:0", TCP: "127.0.0.1:0", UDPSockets: 1, MaxConns: 10, MaxConnsPerIP: 10, MaxPending: 10,
		FirstMessage: patience, IdleTimeout: patience, WriteTimeout: patience}, "edge-1", 1, keys, c)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 2)
	go func() { over <- c.edge.Run(ctx) }()
	<-c.edge.Ready()
	ticks := time.NewTicker(20 * time.Millisecond)
	go func() {
		for ctx.Err() == nil {
			<-ticks.C
			c.do(func(now time.Time) []call.Output {
				if at := c.dialog.Deadline(); at.IsZero() || now.Before(at) {
					return nil
				}
				return c.dialog.Wake(now)
			})
		}
		over <- nil
	}()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-over; err != nil {
				t.Error(err)
			}
		}
		ticks.Stop()
	})
	return c
}

// quiet keeps sipgo from logging.
var quiet = sync.OnceFunc(func() { sipmsg.SetDefaultLogger(slog.New(slog.DiscardHandler)) })

// A pbx is a user agent server of sipgo, which wants credentials.
type pbx struct {
	addr netip.AddrPort
	got  chan string // methods, in order
}

const password = "open sesame"

func newPBX(t *testing.T, transport call.Transport) *pbx {
	t.Helper()
	quiet()
	ua, err := sipgo.NewUA()
	if err != nil {
		t.Fatal(err)
	}
	server, err := sipgo.NewServer(ua)
	if err != nil {
		t.Fatal(err)
	}
	p := &pbx{got: make(chan string, 64)}
	server.OnInvite(p.invite)
	server.OnAck(func(req *sipmsg.Request, _ sipmsg.ServerTransaction) { p.got <- "ACK" })
	server.OnCancel(func(req *sipmsg.Request, tx sipmsg.ServerTransaction) {})
	server.OnBye(func(req *sipmsg.Request, tx sipmsg.ServerTransaction) {
		p.got <- "BYE"
		_ = tx.Respond(sipmsg.NewResponseFromRequest(req, 200, "OK", nil))
	})
	if transport == call.TCP {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p.addr = l.Addr().(*net.TCPAddr).AddrPort()
		go func() { _ = server.ServeTCP(l) }()
		t.Cleanup(func() { _ = l.Close() })
	} else {
		l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		p.addr = l.LocalAddr().(*net.UDPAddr).AddrPort()
		go func() { _ = server.ServeUDP(l) }()
		t.Cleanup(func() { _ = l.Close() })
	}
	t.Cleanup(func() { _ = ua.Close() })
	return p
}

// invite asks for credentials, rings, and answers, unless sip:never@ is called.
func (p *pbx) invite(req *sipmsg.Request, tx sipmsg.ServerTransaction) {
	p.got <- "INVITE"
	if !p.knows(req) {
		res := sipmsg.NewResponseFromRequest(req, 407, "Proxy Authentication Required", nil)
		c := digest.Challenge{Realm: "pbx", Nonce: "n0nce", Algorithm: "SHA-256", QOP: []string{"auth"}}
		res.AppendHeader(sipmsg.NewHeader("Proxy-Authenticate", c.String()))
		_ = tx.Respond(res)
		return
	}
	_ = tx.Respond(sipmsg.NewResponseFromRequest(req, 180, "Ringing", nil))
	if req.Recipient.User == "never" {
		<-tx.Done() // the CANCEL
		return
	}
	body := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
	res := sipmsg.NewResponseFromRequest(req, 200, "OK", []byte(body))
	res.AppendHeader(sipmsg.NewHeader("Content-Type", "application/sdp"))
	res.AppendHeader(sipmsg.NewHeader("Contact", fmt.Sprintf("<sip:pbx@%s;transport=%s>", p.addr, req.Transport())))
	_ = tx.Respond(res)
	select { // a handler that returns ends its transaction
	case <-tx.Done():
	case <-tx.Acks():
	case <-time.After(time.Second):
	}
}

// knows checks the credentials by the library's own computation.
func (p *pbx) knows(req *sipmsg.Request) bool {
	h := req.GetHeader("Proxy-Authorization")
	if h == nil {
		return false
	}
	c, err := digest.ParseCredentials(h.Value())
	if err != nil {
		return false
	}
	want, err := digest.Digest(&digest.Challenge{Realm: "pbx", Nonce: "n0nce", Algorithm: c.Algorithm, QOP: []string{"auth"}},
		digest.Options{Method: "INVITE", URI: c.URI, Count: c.Nc, Username: "alice", Password: password, Cnonce: c.Cnonce})
	return err == nil && want.Response == c.Response
}

func (p *pbx) await(t *testing.T, method string) {
	t.Helper()
	for {
		select {
		case got := <-p.got:
			if got == method {
				return
			}
		case <-time.After(patience):
			t.Fatalf("the PBX heard no %s", method)
		}
	}
}

func outgoingTo(p *pbx, user string, transport call.Transport) call.Outgoing {
	return call.Outgoing{To: fmt.Sprintf("sip:%s@%s;transport=%s", user, p.addr, transport), From: "sip:agent@patchbay.example",
		Credentials: call.Credentials{Username: "alice", Password: password}}
}

func ourOffer() call.Offer {
	codecs, dtmf := call.Formats(nil)
	return call.Offer{Addr: netip.MustParseAddrPort("127.0.0.1:20000"), Codecs: codecs, DTMF: dtmf}
}

func TestACallOfOursThroughAnEdgeToAPBXThatWantsCredentials(t *testing.T) {
	for _, transport := range []call.Transport{call.UDP, call.TCP} {
		t.Run(string(transport), func(t *testing.T) {
			p := newPBX(t, transport)
			c := newCaller(t, outgoingTo(p, "bob", transport))
			c.do(func(now time.Time) []call.Output { return c.dialog.Invite(now, ourOffer()) })
			c.await(call.CarrierRings)
			if ev := c.await(call.CarrierAnswered); ev.Answer == nil || ev.Answer.Codec.Name != "PCMU" || ev.Answer.Addr.Port() != 4000 {
				t.Errorf("answered with %+v", ev.Answer)
			}
			p.await(t, "ACK")
			c.do(func(now time.Time) []call.Output { return c.dialog.Bye(now, call.CauseOperator) })
			p.await(t, "BYE")
			if ev := c.await(call.ByeDone); ev.Status != 200 {
				t.Errorf("our BYE got %d", ev.Status)
			}
		})
	}
}

func TestACallOfOursIsGivenUpWhileAPBXRings(t *testing.T) {
	p := newPBX(t, call.UDP)
	c := newCaller(t, outgoingTo(p, "never", call.UDP))
	c.do(func(now time.Time) []call.Output { return c.dialog.Invite(now, ourOffer()) })
	c.await(call.CarrierRings)
	c.do(func(now time.Time) []call.Output { return c.dialog.Bye(now, call.CauseOperator) })
	if ev := c.await(call.CarrierFailed); ev.Status != 487 || ev.Cause != call.CauseOperator {
		t.Errorf("failed with %+v", ev)
	}
}

// Timer B, 32 s, is longer than the test waits.
func TestACallOfOursToAClosedPortFailsAtOnce(t *testing.T) {
	c := newCaller(t, call.Outgoing{To: fmt.Sprintf("sip:bob@%s;transport=tcp", port.Closed(t))})
	c.do(func(now time.Time) []call.Output { return c.dialog.Invite(now, ourOffer()) })
	if ev := c.await(call.CarrierFailed); ev.Status != 503 || ev.Cause != call.CauseUnreachable {
		t.Errorf("%+v", ev)
	}
}
