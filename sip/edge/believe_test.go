package edge_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/edge"
)

// An authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	return (&authority{}).issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
}

// issue signs a certificate; an authority of nobody signs its own.
func (a *authority) issue(t *testing.T, of *x509.Certificate) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of.SerialNumber = big.NewInt(time.Now().UnixNano())
	of.Subject = pkix.Name{CommonName: "carrier.example"} // never a name (RFC 6125 6.4.4)
	if of.NotAfter.IsZero() {
		of.NotAfter = time.Now().Add(time.Hour)
	}
	of.NotBefore = of.NotAfter.Add(-3 * time.Hour)
	by, signer := a.cert, a.key
	if by == nil {
		by, signer = of, key
	}
	der, err := x509.CreateCertificate(rand.Reader, of, by, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func identities(t *testing.T, all ...string) (uris []*url.URL) {
	t.Helper()
	for _, one := range all {
		u, err := url.Parse(one)
		if err != nil {
			t.Fatal(err)
		}
		uris = append(uris, u)
	}
	return uris
}

// Over TLS the domain of the URI must be what the certificate is for (RFC 5922).
func TestACertificateIsForTheDomainOfTheURI(t *testing.T) {
	t.Parallel()
	root, stranger := newAuthority(t), newAuthority(t)
	between := root.issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	dns := func() *x509.Certificate { return &x509.Certificate{DNSNames: []string{"carrier.example"}} }
	sip := func(all ...string) *x509.Certificate { return &x509.Certificate{URIs: identities(t, all...)} }
	expired := dns()
	expired.NotAfter = time.Now().Add(-time.Hour)
	client := dns()
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	throughBetween := between.issue(t, dns())
	cases := []struct {
		what  string
		shown []*authority // the server's own first
		taken bool
	}{
		{"a DNS name", []*authority{root.issue(t, dns())}, true},
		{"a DNS name, in capitals", []*authority{root.issue(t, &x509.Certificate{DNSNames: []string{"Carrier.EXAMPLE"}})}, true},
		{"an authority between", []*authority{throughBetween, between}, true},
		{"a SIP domain", []*authority{root.issue(t, sip("sip:Carrier.example"))}, true},
		{"a SIP domain among others", []*authority{root.issue(t, sip("sip:other.example", "https://carrier.example", "sip:carrier.example"))}, true},
		{"another DNS name", []*authority{root.issue(t, &x509.Certificate{DNSNames: []string{"sbc.carrier.example"}})}, false},
		{"another SIP domain", []*authority{root.issue(t, sip("sip:other.example"))}, false},
		{"a person of it", []*authority{root.issue(t, sip("sip:alice@carrier.example"))}, false},
		{"a web site of it", []*authority{root.issue(t, sip("https://carrier.example"))}, false},
		{"a common name alone", []*authority{root.issue(t, &x509.Certificate{})}, false},
		{"an authority between, not shown", []*authority{throughBetween}, false},
		{"another authority", []*authority{stranger.issue(t, dns())}, false},
		{"another authority, a SIP domain", []*authority{stranger.issue(t, sip("sip:carrier.example"))}, false},
		{"nobody's", []*authority{(&authority{}).issue(t, dns())}, false},
		{"expired", []*authority{root.issue(t, expired)}, false},
		{"for clients only", []*authority{root.issue(t, client)}, false},
	}
	var shown atomic.Pointer[tls.Certificate]
	ln, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown.Load(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				if c.(*tls.Conn).HandshakeContext(t.Context()) == nil { // whether it fails is what is tested
					_, _ = io.Copy(io.Discard, c)
				}
				_ = c.Close()
			}()
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(root.cert)
	for _, tc := range cases {
		pair := &tls.Certificate{PrivateKey: tc.shown[0].key}
		for _, a := range tc.shown {
			pair.Certificate = append(pair.Certificate, a.cert.Raw)
		}
		shown.Store(pair)
		rig := start(t, settings(), rejecting(404), leadsTo(ln.Addr().(*net.TCPAddr).AddrPort()), edge.WithRoots(roots))
		told := make(chan bool, 1)
		rig.Send(call.Transmission{Flow: call.Flow{Transport: call.TLS}, Host: "carrier.example", Raw: bye()}, func(sent bool) { told <- sent })
		if got := take(t, told); got != tc.taken {
			t.Errorf("%s: sent is %t", tc.what, got)
		}
		rig.stop()
	}
}
