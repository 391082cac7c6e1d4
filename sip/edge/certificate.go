package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/actors/call"
)

// certificatePoll is how often the certificate's files are looked at.
const certificatePoll = 5 * time.Second

// certificateSoon is how long before its end a certificate is complained about.
const certificateSoon = 14 * 24 * time.Hour

// A certificate is what TLS listeners show, read again when its files change.
// Connections keep what they were opened with; a pair that cannot be used
// leaves the one before in place.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu   sync.Mutex // of reading the files
	seen [2]stamp
	pair atomic.Pointer[tls.Certificate]

	tls, wss *tls.Config // shared by their connections, so that these can be resumed
}

func newCertificate(certFile, keyFile string, log *slog.Logger) *certificate {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	c.tls = &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil },
	}
	c.wss = c.tls.Clone()
	c.wss.NextProtos = []string{"http/1.1"}
	return c
}

// A stamp tells one content of a file from another without reading it.
type stamp struct {
	changed time.Time
	size    int64
}

// errNoCertificate says that TLS is not served.
var errNoCertificate = errors.New("no certificate is set (sip.tls_certificate_file, sip.tls_key_file)")

// load reads the files.
func (c *certificate) load() error {
	if c.certFile == "" {
		return errNoCertificate
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = c.stamps() // before they are read: a change meanwhile is seen later
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("read certificate (sip.tls_certificate_file, sip.tls_key_file): %w", err)
	}
	c.pair.Store(&pair)
	ends := pair.Leaf.NotAfter
	c.log.Info("certificate read", "names", pair.Leaf.DNSNames, "not_after", ends)
	if left := time.Until(ends); left < certificateSoon {
		c.log.Warn("certificate ends soon, or has ended", "not_after", ends)
	}
	return nil
}

// watch reads the files again when they change, until ctx ends.
func (c *certificate) watch(ctx context.Context) {
	tick := time.NewTicker(certificatePoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		same := c.seen == c.stamps()
		c.mu.Unlock()
		if same {
			continue
		}
		if err := c.load(); err != nil { // perhaps one of the two is not written yet
			c.log.Error("certificate not read; the one before stays", "err", err)
		}
	}
}

func (c *certificate) stamps() (all [2]stamp) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if f, err := os.Stat(name); err == nil {
			all[i] = stamp{f.ModTime(), f.Size()}
		}
	}
	return all
}

// config returns the settings of a transport's connections: TLS 1.2 or later,
// no client certificates (carriers are told by their address or credentials).
func (c *certificate) config(t call.Transport) *tls.Config {
	if t == call.WSS {
		return c.wss
	}
	return c.tls
}

// ReloadCertificate reads the certificate's files again, at once. Without
// certificate nothing is done.
func (e *Edge) ReloadCertificate() error {
	if err := e.certificate.load(); !errors.Is(err, errNoCertificate) {
		return err
	}
	return nil
}
