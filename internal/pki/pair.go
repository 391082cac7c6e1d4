// Package pki keeps the certificates by which brokers and nodes speak TLS: it
// reads them, again when their files change, and makes them for a cluster that
// has no authority of its own.
//
// It decides what a connection between brokers must show: a certificate of the
// cluster's authority, both ways. It refuses to write over a key.
package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxPEM is the largest file of certificates read, bytes.
const maxPEM = 1 << 20

// A Pair is a certificate with its key, in files. A handshake after a change
// uses the new one; a pair that cannot be read leaves the one before in place.
// It is safe for concurrent use.
type Pair struct {
	certFile, keyFile string

	mu   sync.Mutex
	seen [2]stamp
	pair *tls.Certificate
}

// A stamp tells one content of a file from another without reading it.
type stamp struct {
	changed time.Time // to the tick of the kernel's clock, in which a file may change twice
	size    int64
	inode   uint64 // of a file that was put in another's place
}

// OpenPair reads a certificate and its key.
func OpenPair(certFile, keyFile string) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile}
	p.seen = p.stamps()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	p.pair = &pair
	return p, nil
}

func (p *Pair) stamps() (all [2]stamp) {
	for i, name := range []string{p.certFile, p.keyFile} {
		if f, err := os.Stat(name); err == nil {
			all[i] = stamp{changed: f.ModTime(), size: f.Size()}
			if is, ok := f.Sys().(*syscall.Stat_t); ok {
				all[i].inode = is.Ino
			}
		}
	}
	return all
}

// Certificate is the newest that could be read.
func (p *Pair) Certificate() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.stamps(); now != p.seen {
		if pair, err := tls.LoadX509KeyPair(p.certFile, p.keyFile); err == nil {
			p.seen, p.pair = now, &pair
		}
	}
	return p.pair
}

// Pool reads the certificates of authorities.
func Pool(file string) (*x509.CertPool, error) {
	f, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	if f.Size() > maxPEM {
		return nil, fmt.Errorf("read certificates %s: larger than %d bytes", file, maxPEM)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read certificates %s: %w", file, errors.New("no certificate in it"))
	}
	return pool, nil
}

// Server is how a listener speaks TLS with clients that show no certificate.
func (p *Pair) Server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.Certificate(), nil }}
}

// Peer is how equals speak TLS, listening and calling: each shows a certificate
// of one of the authorities.
func (p *Pair) Peer(authorities *x509.CertPool) *tls.Config {
	c := p.Server()
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.Certificate(), nil }
	c.RootCAs, c.ClientCAs, c.ClientAuth = authorities, authorities, tls.RequireAndVerifyClientCert
	return c
}

// Client is how a client speaks TLS with servers of one of the authorities.
func Client(authorities *x509.CertPool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities}
}
