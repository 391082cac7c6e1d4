package edge_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"patchbay/actors/call"
	"patchbay/config"
	"patchbay/sip/edge"
)

// writeCertificate makes a certificate of 127.0.0.1 that is its own authority,
// and returns the authority.
func writeCertificate(t testing.TB, certFile, keyFile, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}

// secureSettings are settings with every transport open.
func secureSettings(t testing.TB) config.SIP {
	t.Helper()
	dir := t.TempDir()
	cfg := settings()
	cfg.TLS, cfg.WS, cfg.WSS = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.TLSCertificate, cfg.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cfg.TLSCertificate, cfg.TLSKey, "first.example")
	return cfg
}

// over returns a peer that speaks over a transport.
func (r *rig) over(over call.Transport) *peer {
	r.t.Helper()
	switch over {
	case call.UDP:
		return r.udp()
	case call.TCP:
		return r.tcp()
	case call.TLS:
		c := r.secure(r.Addrs().TLS)
		return &peer{t: r.t, conn: c, br: bufio.NewReader(c)}
	}
	ws, res, err := r.browser(over, nil)
	if err != nil {
		r.t.Fatalf("open %s: %v, %v", over, err, res)
	}
	return newSocketPeer(r.t, ws)
}

// secure opens a TLS connection without looking at the certificate.
func (r *rig) secure(to netip.AddrPort) *tls.Conn {
	r.t.Helper()
	c, err := tls.Dial("tcp4", to.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// browser opens a WebSocket with the given header fields.
func (r *rig) browser(over call.Transport, header http.Header) (*websocket.Conn, *http.Response, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	r.t.Cleanup(transport.CloseIdleConnections)
	url := "ws://" + r.Addrs().WS.String()
	if over == call.WSS {
		url = "wss://" + r.Addrs().WSS.String()
	}
	ws, res, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport},
		HTTPHeader: header, Subprotocols: []string{"sip"}})
	if err == nil {
		r.t.Cleanup(func() { _ = ws.CloseNow() })
	}
	return ws, res, err
}

// A socketPeer is the far side of a WebSocket.
type socketPeer struct {
	t    testing.TB
	conn *websocket.Conn
	in   chan string // closed with the connection
	kind websocket.MessageType
}

func newSocketPeer(t testing.TB, ws *websocket.Conn) *peer {
	ws.SetReadLimit(1 << 20)
	p := &socketPeer{t: t, conn: ws, in: make(chan string, 64), kind: websocket.MessageText}
	go func() {
		defer close(p.in)
		for {
			_, m, err := ws.Read(context.Background())
			if err != nil {
				return
			}
			p.in <- string(m)
		}
	}()
	t.Cleanup(func() {
		_ = ws.CloseNow()
		for range p.in { // until the reader has gone
		}
	})
	return &peer{t: t, ws: p}
}

func (p *socketPeer) send(msg string) {
	p.t.Helper()
	if err := p.conn.Write(context.Background(), p.kind, []byte(msg)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *socketPeer) read(wait time.Duration) string {
	select {
	case m := <-p.in:
		return m
	case <-time.After(wait):
		return ""
	}
}

func (p *socketPeer) closed(wait time.Duration) bool {
	for end := time.After(wait); ; {
		select {
		case _, open := <-p.in:
			if !open {
				return true
			}
		case <-end:
			return false
		}
	}
}

var streams = []call.Transport{call.TCP, call.TLS, call.WS, call.WSS}

func TestEveryTransportAnswersOnItsConnection(t *testing.T) {
	t.Parallel()
	flows := make(chan call.Flow, 8)
	r := rejecting(404)
	r.invite = noting(flows)
	cfg := secureSettings(t)
	cfg.Advertise = "sip.example.com"
	rig := start(t, cfg, r)
	at := rig.Addrs()
	for over, local := range map[call.Transport]netip.AddrPort{call.UDP: at.UDP, call.TCP: at.TCP, call.TLS: at.TLS, call.WS: at.WS, call.WSS: at.WSS} {
		p := rig.over(over)
		if got := status(p.ask(msg{method: "OPTIONS"}.String())); got != "200" {
			t.Errorf("%s: OPTIONS got %q", over, got)
		}
		p.send(msg{method: "INVITE", via: "8u2df7mvtc9a.invalid"}.String())
		flow := take(t, flows)
		if flow.Transport != over || flow.Local != local || over.Reliable() != (flow.Conn != 0) || flow.Advertise != cfg.Advertise {
			t.Errorf("%s: the flow is %+v", over, flow)
		}
		told := make(chan bool, 1)
		rig.Send(call.Transmission{Flow: flow, Host: "8u2df7mvtc9a.invalid", Raw: bye()}, func(sent bool) { told <- sent })
		if over != call.UDP && (!take(t, told) || !strings.HasPrefix(p.read(patience), "BYE ")) {
			t.Errorf("%s: a request of ours did not come by the live connection", over)
		}
	}
}

func TestWithoutACertificateNothingIsSecret(t *testing.T) {
	t.Parallel()
	cfg := secureSettings(t)
	cfg.TLSCertificate, cfg.TLSKey = "", ""
	rig := start(t, cfg, rejecting(404))
	if at := rig.Addrs(); at.TLS.IsValid() || at.WSS.IsValid() || !at.WS.IsValid() {
		t.Errorf("listens at %+v", at)
	}
	if err := rig.ReloadCertificate(); err != nil {
		t.Errorf("reload of nothing: %v", err)
	}
}

func TestACertificateThatCannotBeReadStopsTheStart(t *testing.T) {
	t.Parallel()
	cfg := secureSettings(t)
	if err := os.WriteFile(cfg.TLSKey, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := edge.New(cfg, edgeID, boot, nil, rejecting(404)).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "sip.tls_certificate_file") {
		t.Errorf("got %v", err)
	}
}

// shown returns the name in the certificate that a new connection gets.
func (r *rig) shown() string {
	c := r.secure(r.Addrs().TLS)
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].DNSNames[0]
}

func TestANewCertificateIsShownWithoutAConnectionLost(t *testing.T) {
	t.Parallel()
	cfg := secureSettings(t)
	cfg.IdleTimeout, cfg.FirstMessage = time.Minute, time.Minute
	rig := start(t, cfg, rejecting(404))
	before := map[call.Transport]*peer{call.TLS: rig.over(call.TLS), call.WSS: rig.over(call.WSS)}
	if got := rig.shown(); got != "first.example" {
		t.Fatalf("got %s", got)
	}
	writeCertificate(t, cfg.TLSCertificate, cfg.TLSKey, "second.example")
	if err := rig.ReloadCertificate(); err != nil {
		t.Fatal(err)
	}
	if got := rig.shown(); got != "second.example" {
		t.Errorf("after the reload: %s", got)
	}
	if err := os.WriteFile(cfg.TLSCertificate, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rig.ReloadCertificate(); err == nil || rig.shown() != "second.example" {
		t.Errorf("a broken certificate: %v", err)
	}
	writeCertificate(t, cfg.TLSCertificate, cfg.TLSKey, "third.example") // nobody tells the edge
	for end := time.Now().Add(30 * time.Second); rig.shown() != "third.example"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a change of the files was not seen")
		}
	}
	for over, p := range before {
		if got := status(p.ask(msg{method: "OPTIONS"}.String())); got != "200" {
			t.Errorf("%s: a connection from before gets %q", over, got)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	rig := start(t, secureSettings(t), rejecting(404))
	for _, at := range []netip.AddrPort{rig.Addrs().TLS, rig.Addrs().WSS} {
		c, err := tls.Dial("tcp4", at.String(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		if err == nil {
			_ = c.Close()
			t.Errorf("%s speaks TLS 1.1", at)
		}
		c, err = tls.Dial("tcp4", at.String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		if err != nil {
			t.Errorf("%s does not speak TLS 1.2: %v", at, err)
			continue
		}
		_ = c.Close()
	}
	rig.seen.await(t, "dropped "+string(edge.DropHandshake), 2)
}

func TestATLSConnectionThatWeOpenNeedsACertificateWeBelieve(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	roots := writeCertificate(t, cert, key, "pbx.example")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	arrived := make(chan string, 4)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				line, _ := bufio.NewReader(c).ReadString('\n')
				arrived <- line
				_ = c.Close()
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	locate := func(_ context.Context, to call.Target) ([]call.Hop, error) {
		return []call.Hop{{Transport: to.Transport, Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port), Name: to.Host}}, nil
	}
	rig := start(t, settings(), rejecting(404), edge.WithLocate(locate), edge.WithRoots(roots))
	flow := call.Flow{Transport: call.TLS, Remote: netip.MustParseAddrPort("127.0.0.1:9")}
	for host, want := range map[string]bool{"pbx.example:" + port: true, "other.example:" + port: false} {
		told := make(chan bool, 1)
		rig.Send(call.Transmission{Flow: flow, Host: host, Raw: bye()}, func(sent bool) { told <- sent })
		if got := take(t, told); got != want {
			t.Errorf("%s: sent is %t", host, got)
		}
		if line := take(t, arrived); want != strings.HasPrefix(line, "BYE ") {
			t.Errorf("%s got %q", host, line)
		}
	}
}
