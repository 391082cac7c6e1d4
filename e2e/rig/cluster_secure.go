package rig

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"patchbay/internal/pki"
)

// SecureDomain is what names end in that a cluster's certificate is for, besides
// the address of loopback.
const SecureDomain = "carrier.test"

// certify makes the authority of a Secure plan, and the one certificate that
// edges and phones have.
func (c *Cluster) certify() {
	c.t.Helper()
	c.pki = c.t.TempDir()
	a, err := pki.OpenAuthority(c.pki, time.Now())
	if err == nil {
		err = a.Issue("sip", []string{loopback.String(), "*." + SecureDomain}, time.Now(), false)
	}
	if err != nil {
		c.t.Fatalf("make a certificate: %v", err)
	}
}

func (c *Cluster) secure(edge *Node) {
	edge.TLS = netip.AddrPortFrom(edge.SIP.Addr(), uint16(c.block.take(c.t, 1)))
	edge.Believes = filepath.Join(c.pki, pki.AuthorityFile)
	edge.set(Settings{"sip.tls": edge.TLS.String(), "sip.wss": "", "sip.tls_certificate_file": filepath.Join(c.pki, "sip.pem"),
		"sip.tls_key_file": filepath.Join(c.pki, "sip.key")})
}

// Secured are the TLS settings of a phone of a Secure plan.
func (c *Cluster) Secured() *tls.Config {
	c.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(c.pki, "sip.pem"), filepath.Join(c.pki, "sip.key"))
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(c.pki, pki.AuthorityFile))
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		c.t.Fatalf("read the authority: %v", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{pair}}
}
