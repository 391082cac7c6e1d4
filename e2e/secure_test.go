package e2e_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"patchbay/e2e/rig"
	"patchbay/internal/caller"
	"patchbay/internal/testkit"
)

// startSecure runs a node on every transport, with an agent that says back what
// it hears.
func startSecure(t *testing.T, settings rig.Settings) (*rig.Secure, *bed) {
	t.Helper()
	node := rig.StartSecure(t, settings)
	op := node.Operator(t)
	return node, &bed{node.Node, op, op.Echo(t), node.Port(t, 2)}
}

func TestACallOverEveryTransportIsAnsweredAndHeard(t *testing.T) {
	t.Parallel()
	node, b := startSecure(t, nil)
	rig.Together(t, 7, []string{"udp", "tcp", "tls", "ws", "wss", "sips tls", "sips wss"}, func(t *testing.T, over string) {
		ep := b.endpoint(t, nil)
		over, secured := strings.CutPrefix(over, "sips ")
		uri := node.Over(over, ep.Slug)
		if secured {
			uri = "sips" + strings.TrimPrefix(uri, "sip")
		}
		rep, err := caller.Call(t.Context(), caller.Options{URI: uri, TLS: node.Believes(t), Talk: 3 * time.Second})
		if err != nil || !rep.OK() || rep.ByeStatus != 200 {
			t.Fatalf("%+v, %v: want an answer, the tone back and a BYE that is answered", rep, err)
		}
		if end := ended(t, b.Node, string(ep.Key)); end.EndedBy != "carrier" || end.Transport != over {
			t.Errorf("ended by %s over %s, want carrier, %s", end.EndedBy, end.Transport, over)
		}
	})
	b.Idle(t, settle)
}

// Our BYE takes the connection that the caller has: a browser has no other.
func TestWhoCallsOverAConnectionHearsOurBye(t *testing.T) {
	t.Parallel()
	node, b := startSecure(t, nil)
	rig.Together(t, 4, []string{"tcp", "tls", "ws", "wss"}, func(t *testing.T, over string) {
		ep := b.endpoint(t, nil)
		done := make(chan caller.Report, 1)
		go func() {
			rep, err := caller.Call(context.Background(), caller.Options{URI: node.Over(over, ep.Slug), TLS: node.Believes(t), Talk: time.Minute})
			if err != nil {
				t.Error(err)
			}
			done <- rep
		}()
		b.op.Hangup(t, b.op.CallOf(t, ep, "established"))
		select {
		case rep := <-done:
			if !rep.EndedByPeer {
				t.Errorf("the caller did not hear our BYE: %+v", rep)
			}
		case <-time.After(settle):
			t.Error("the caller still talks")
		}
	})
	b.Idle(t, settle)
}

func TestACertificateIsRenewedUnderALiveCall(t *testing.T) {
	t.Parallel()
	node, b := startSecure(t, nil)
	ep := b.endpoint(t, nil)
	old := node.Believes(t)
	done := make(chan caller.Report, 1)
	ctx, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	var came atomic.Int64 // packets
	go func() {
		rep, err := caller.Call(ctx, caller.Options{URI: node.Over("tls", ep.Slug), TLS: old, Talk: 3 * time.Minute,
			OnPacket: func(uint16, []byte) { came.Add(1) }})
		if err != nil {
			t.Error(err)
		}
		done <- rep
	}()
	b.op.CallOf(t, ep, "established")
	node.Certify(t)
	node.Signal(syscall.SIGHUP)
	fresh := node.Believes(t)
	for _, at := range []netip.AddrPort{node.TLS, node.WSS} {
		rig.WaitFor(t, settle, "the new certificate is shown at "+at.String(), func() bool { return shows(at, fresh) })
		if shows(at, old) {
			t.Errorf("%s still shows the old certificate", at)
		}
	}
	since := came.Load()
	rig.WaitFor(t, settle, "the call goes on", func() bool { return came.Load() >= since+100 }) // with the caller's tone, which has a burst every second or so
	hangUp()
	if rep := <-done; !rep.OK() || rep.EndedByPeer || rep.ByeStatus != 200 {
		t.Errorf("the call that was up: %+v", rep)
	}
	b.Idle(t, settle)
}

func shows(at netip.AddrPort, believed *tls.Config) bool {
	c, err := tls.Dial("tcp", at.String(), believed)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func TestBaresipCallsOverTLS(t *testing.T) {
	t.Parallel()
	node, b := startSecure(t, nil)
	phone := baresip{dir: t.TempDir(), transport: "tls", sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU"}
	phone.write(t, 700, 8000)
	ep := b.endpoint(t, nil)
	heard := b.dials(t, phone, ep, node.Over("tls", ep.Slug), 5*word/2)
	hears(t, "baresip", heard, 700, 8000, 4*time.Second)
	if end := ended(t, b.Node, string(ep.Key)); end.EndedBy != "carrier" || end.Transport != "tls" {
		t.Errorf("ended by %s over %s, want carrier, tls", end.EndedBy, end.Transport)
	}
	b.Idle(t, settle)
}

// TestAPageCallsOverWebSocket has a browser speak SIP. Its audio is of no
// interest here: it offers plain RTP, which a page cannot send.
func TestAPageCallsOverWebSocket(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "chromium")
	page := newPageServer(t)
	node, b := startSecure(t, rig.Settings{"sip.ws_origins": page.URL})
	ep := b.endpoint(t, nil)
	browse(t, page.URL+"/caller.html?"+url.Values{"ws": {"ws://" + node.WS.String()}, "uri": {node.Over("ws", ep.Slug)},
		"media": {fmt.Sprintf("127.0.0.1:%d", b.media)}}.Encode())
	said := page.next(t, browserStart)
	if !said.Ready || !strings.HasPrefix(said.Location, "100 1 INVITE, 180 1 INVITE, 200 1 INVITE") || !strings.HasSuffix(said.Location, "200 2 BYE") {
		t.Errorf("the page heard %s", said.Location)
	}
	if end := ended(t, b.Node, string(ep.Key)); end.EndedBy != "carrier" || end.Transport != "ws" {
		t.Errorf("ended by %s over %s, want carrier, ws", end.EndedBy, end.Transport)
	}
	b.Idle(t, settle)
}

func TestANodeWithoutACertificateSaysThatItServesNoTLS(t *testing.T) {
	t.Parallel()
	node := rig.Start(t, rig.Settings{"sip.tls": "127.0.0.1:0"})
	if log := node.Log(); !strings.Contains(log, "sip.tls: sip.tls_certificate_file is empty") {
		t.Errorf("the log does not say so:\n%s", log)
	}
}
