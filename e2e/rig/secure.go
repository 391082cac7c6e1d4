package rig

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"patchbay/internal/pki"
)

// Secure are a node's listeners for TLS and WebSocket, and whom to believe.
type Secure struct {
	*Node
	TLS, WS, WSS netip.AddrPort
	dir          string
}

// StartSecure runs a node that listens on every transport, with a certificate
// of its own authority.
func StartSecure(t testing.TB, settings Settings) *Secure {
	t.Helper()
	n := Prepare(t, 1, nil)
	port := uint16(n.Port(t, 3))
	s := &Secure{Node: n, dir: t.TempDir(), TLS: netip.AddrPortFrom(loopback, port),
		WS: netip.AddrPortFrom(loopback, port+1), WSS: netip.AddrPortFrom(loopback, port+2)}
	s.Certify(t)
	all := Settings{"sip.tls": s.TLS.String(), "sip.ws": s.WS.String(), "sip.wss": s.WSS.String(),
		"sip.tls_certificate_file": s.file("sip.pem"), "sip.tls_key_file": s.file("sip.key")}
	maps.Copy(all, settings)
	n.set(all)
	n.Run()
	t.Cleanup(func() { n.Stop(t) })
	return s
}

func (s *Secure) file(name string) string { return filepath.Join(s.dir, name) }

// Certify writes a new certificate of a new authority, which nobody who
// believed the one before believes.
func (s *Secure) Certify(t testing.TB) {
	t.Helper()
	fresh := t.TempDir()
	a, err := pki.OpenAuthority(fresh, time.Now())
	if err == nil {
		err = a.Issue("sip", []string{"127.0.0.1"}, time.Now(), false)
	}
	for _, name := range []string{"ca.pem", "sip.key", "sip.pem"} {
		if err == nil {
			err = os.Rename(filepath.Join(fresh, name), s.file(name))
		}
	}
	if err != nil {
		t.Fatalf("make a certificate: %v", err)
	}
}

// A SecureCallee is a carrier that is called over TLS and answers every INVITE
// with one status.
type SecureCallee struct {
	Port      int
	Authority string        // file of the authority to believe
	Asked     chan string   // server names that connections asked for (SNI)
	Invites   chan Response // that came
}

// NewSecureCallee opens one on loopback, with a certificate for a name by an
// authority of its own. status is like "486 Busy Here". It ends with the test.
func NewSecureCallee(t testing.TB, name, status string) *SecureCallee {
	t.Helper()
	dir := t.TempDir()
	a, err := pki.OpenAuthority(dir, time.Now())
	if err == nil {
		err = a.Issue("sip", []string{name}, time.Now(), false)
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(filepath.Join(dir, "sip.pem"), filepath.Join(dir, "sip.key"))
	}
	if err != nil {
		t.Fatalf("make a certificate: %v", err)
	}
	c := &SecureCallee{Authority: filepath.Join(dir, "ca.pem"), Asked: make(chan string, 16), Invites: make(chan Response, 16)}
	ln, err := tls.Listen("tcp", netip.AddrPortFrom(loopback, 0).String(), &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { c.Asked <- h.ServerName; return &pair, nil }})
	if err != nil {
		t.Fatal(err)
	}
	c.Port = ln.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go c.serve(conn, status)
		}
	}()
	return c
}

func (c *SecureCallee) serve(conn net.Conn, status string) {
	defer func() { _ = conn.Close() }()
	for r := bufio.NewReader(conn); ; {
		m, err := framed(r)
		if err != nil {
			return
		}
		if m.Method() == "INVITE" {
			c.Invites <- m
			_, _ = io.WriteString(conn, replyTo(m, status))
		}
	}
}

// Authority is the file of the certificate to believe.
func (s *Secure) Authority() string { return s.file("ca.pem") }

// Believes are TLS settings that believe the node's certificate of now.
func (s *Secure) Believes(t testing.TB) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(s.Authority())
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("read %s: %v", s.Authority(), err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
}

// Over is the URI of a slug over a transport.
func (s *Secure) Over(transport, slug string) string {
	at := map[string]netip.AddrPort{"tls": s.TLS, "ws": s.WS, "wss": s.WSS}[transport]
	if !at.IsValid() {
		at = s.SIP
	}
	return fmt.Sprintf("sip:%s@%s;transport=%s", slug, at, transport)
}
