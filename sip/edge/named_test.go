package edge_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"patchbay/actors/call"
	"patchbay/internal/testkit/port"
	"patchbay/sip/edge"
)

// leadsTo is what every name leads to.
func leadsTo(all ...netip.AddrPort) edge.Option {
	return edge.WithLocate(func(_ context.Context, to call.Target) (hops []call.Hop, _ error) {
		for _, a := range all {
			hops = append(hops, call.Hop{Transport: to.Transport, Addr: a, Name: to.Host})
		}
		return hops, nil
	})
}

func TestANamesServersAreTriedInTheirOrderUntilOneTakesTheRequest(t *testing.T) {
	t.Parallel()
	accepted, addr := tcpSink(t)
	rig := start(t, settings(), rejecting(404), leadsTo(port.Closed(t), port.Closed(t), addr))
	told := make(chan bool, 2)
	tx := call.Transmission{Flow: call.Flow{Transport: call.TCP}, Host: "pbx.example", Raw: bye()}
	rig.Send(tx, func(sent bool) { told <- sent })
	if !take(t, told) {
		t.Error("it was not sent")
	}
	if got := accepted().read(patience); !strings.HasPrefix(got, "BYE ") {
		t.Errorf("the third server got %q", got)
	}
	rig = start(t, settings(), rejecting(404), leadsTo(port.Closed(t), port.Closed(t)))
	rig.Send(tx, func(sent bool) { told <- sent })
	if take(t, told) {
		t.Error("it was sent to nobody")
	}
}

func TestWhyAPeersCertificateIsNotBelievedIsInTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	roots := writeCertificate(t, cert, key, "sbc.carrier.example")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	ln, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		asked <- h.ServerName
		return &pair, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		if c, err := ln.Accept(); err == nil {
			_ = c.(*tls.Conn).HandshakeContext(context.Background()) // it fails: that is the test
			_ = c.Close()
		}
	}()
	var log lockedBuffer
	rig := start(t, settings(), rejecting(404), leadsTo(ln.Addr().(*net.TCPAddr).AddrPort()), edge.WithRoots(roots),
		edge.WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
	told := make(chan bool, 1)
	// The name of the URI counts, whatever server its records lead to (RFC 5922 4).
	rig.Send(call.Transmission{Flow: call.Flow{Transport: call.TLS}, Host: "carrier.example", Raw: bye()}, func(sent bool) { told <- sent })
	if take(t, told) {
		t.Error("a server whose certificate is for another name was believed")
	}
	if got := take(t, asked); got != "carrier.example" {
		t.Errorf("the server was asked for %q (SNI), want the name of the URI", got)
	}
	line := log.String()
	for _, want := range []string{`"level":"WARN"`, `"name":"carrier.example"`, "certificate is valid for sbc.carrier.example, not carrier.example"} {
		if !strings.Contains(line, want) {
			t.Errorf("the log has no %s:\n%s", want, line)
		}
	}
	if strings.Contains(line, "BYE") {
		t.Errorf("the log holds the message:\n%s", line)
	}
}

// A lockedBuffer is written to by the edge and read by the test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Of the addresses that a name leads to, an INVITE that an account has us send
// goes to none that accounts may not call.
func TestAnInviteOfAnAccountGoesToNoAddressThatAccountsMayNotCall(t *testing.T) {
	t.Parallel()
	accepted, open := tcpSink(t)
	private := netip.MustParseAddrPort("10.0.0.1:5060")
	guard := edge.WithDialable(func(a netip.Addr) error {
		if a == private.Addr() {
			return errors.New("private")
		}
		return nil
	})
	invite := call.Transmission{Flow: call.Flow{Transport: call.TCP}, Host: "pbx.example", Fill: true, Raw: bye()}
	told := make(chan bool, 1)
	rig := start(t, settings(), rejecting(404), guard, leadsTo(private, open))
	rig.Send(invite, func(sent bool) { told <- sent })
	if !take(t, told) || !strings.HasPrefix(accepted().read(patience), "BYE ") {
		t.Error("the address that may be called was not")
	}
	rig = start(t, settings(), rejecting(404), guard, leadsTo(private))
	for name, to := range map[string]call.Transmission{"by name": invite, "by address": {Flow: invite.Flow, To: private, Fill: true, Raw: bye()}} {
		rig.Send(to, func(sent bool) { told <- sent })
		if take(t, told) {
			t.Errorf("%s: an INVITE left", name)
		}
	}
	rig.seen.await(t, "dropped "+string(edge.DropForbidden), 2)
}
