package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"patchbay/internal/pki"
)

func authority(t *testing.T, dir string) *pki.Authority {
	t.Helper()
	a, err := pki.OpenAuthority(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, dir, file string, names ...string) *pki.Pair {
	t.Helper()
	if err := authority(t, dir).Issue(file, names, time.Now(), false); err != nil {
		t.Fatal(err)
	}
	p, err := pki.OpenPair(filepath.Join(dir, file+".pem"), filepath.Join(dir, file+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pool(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	p, err := pki.Pool(filepath.Join(dir, pki.AuthorityFile))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// meet lets two sides shake hands and returns what each says.
func meet(t *testing.T, server, client *tls.Config, name string) (serverErr, clientErr error) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Write([]byte("x")) // shakes hands first
			c.Close()
		}
		done <- err
	}()
	client = client.Clone()
	client.ServerName = name
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.Addr().String(), client)
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 1))
		c.Close()
	}
	return <-done, err
}

func TestBrokersOfOneAuthorityMeetAndStrangersDoNot(t *testing.T) {
	t.Parallel()
	ours, theirs := t.TempDir(), t.TempDir()
	b1, b2 := issue(t, ours, "broker-1", "broker-1", "127.0.0.1"), issue(t, ours, "broker-2", "broker-2")
	stranger := issue(t, theirs, "broker-3", "broker-1")
	for name, c := range map[string]struct {
		server, client *tls.Config
		as             string
		meet           bool
	}{
		"two brokers":                      {b1.Peer(pool(t, ours)), b2.Peer(pool(t, ours)), "broker-1", true},
		"by address":                       {b1.Peer(pool(t, ours)), b2.Peer(pool(t, ours)), "127.0.0.1", true},
		"under another name":               {b1.Peer(pool(t, ours)), b2.Peer(pool(t, ours)), "broker-9", false},
		"a stranger calls":                 {b1.Peer(pool(t, ours)), stranger.Peer(pool(t, ours)), "broker-1", false},
		"a stranger answers":               {stranger.Peer(pool(t, theirs)), b2.Peer(pool(t, ours)), "broker-1", false},
		"a caller without a certificate":   {b1.Peer(pool(t, ours)), pki.Client(pool(t, ours)), "broker-1", false},
		"a node at a client port":          {b1.Server(), pki.Client(pool(t, ours)), "broker-1", true},
		"a node at a stranger's":           {stranger.Server(), pki.Client(pool(t, ours)), "broker-1", false},
		"a node under a name not the cert": {b2.Server(), pki.Client(pool(t, ours)), "broker-1", false},
	} {
		serverErr, clientErr := meet(t, c.server, c.client, c.as)
		if ok := serverErr == nil && clientErr == nil; ok != c.meet {
			t.Errorf("%s: %v, %v", name, serverErr, clientErr)
		}
	}
}

func TestANewCertificateIsUsedAndABrokenOneIsNot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := issue(t, dir, "b", "one")
	before := p.Certificate().Leaf.SerialNumber
	if err := authority(t, dir).Issue("b", []string{"one"}, time.Now(), true); err != nil {
		t.Fatal(err)
	}
	next := p.Certificate().Leaf.SerialNumber
	if next.Cmp(before) == 0 {
		t.Error("the old certificate is shown")
	}
	if err := os.WriteFile(filepath.Join(dir, "b.pem"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := p.Certificate(); got == nil || got.Leaf.SerialNumber.Cmp(next) != 0 {
		t.Error("a pair that cannot be read took the place of a good one")
	}
}

// A clock that ticks in milliseconds tells two changes apart no better than this.
func TestANewCertificateOfTheSameMomentIsUsed(t *testing.T) {
	t.Parallel()
	dir, at := t.TempDir(), time.Now().Add(-time.Hour)
	stop := func() (size int64) {
		t.Helper()
		for _, file := range []string{"b.key", "b.pem"} {
			if err := os.Chtimes(filepath.Join(dir, file), at, at); err != nil {
				t.Fatal(err)
			}
			f, err := os.Stat(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			size = f.Size()
		}
		return size
	}
	p := issue(t, dir, "b", "one")
	size := stop()
	for n := 0; ; n++ {
		before := p.Certificate().Leaf.SerialNumber
		if err := authority(t, dir).Issue("b", []string{"one"}, time.Now(), true); err != nil {
			t.Fatal(err)
		}
		next := stop()
		if p.Certificate().Leaf.SerialNumber.Cmp(before) == 0 {
			t.Fatalf("the old certificate is shown: %d bytes after %d", next, size)
		}
		if next == size || n == 100 { // signatures have one of a few lengths
			return
		}
		size = next
	}
}

func TestKeysAreTheirOwnersAloneAndNotWrittenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	issue(t, dir, "b", "one")
	if err := authority(t, dir).Issue("b", []string{"one"}, time.Now(), false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	for file, mode := range map[string]os.FileMode{"ca.key": 0o600, "b.key": 0o600, "ca.pem": 0o644, "b.pem": 0o644} {
		if at, err := os.Stat(filepath.Join(dir, file)); err != nil || at.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", file, at.Mode(), err)
		}
	}
	if _, err := pki.Pool(filepath.Join(dir, "b.key")); err == nil {
		t.Error("a key is no authority")
	}
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.OpenAuthority(dir, time.Now()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an authority's key without its certificate: %v", err)
	}
}

func TestANodesOwnCertificateStaysUntilItIsNoLongerGood(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	serial := func(now time.Time, names ...string) string {
		t.Helper()
		p, err := pki.Own(dir, names, now)
		if err != nil {
			t.Fatal(err)
		}
		return p.Certificate().Leaf.SerialNumber.String()
	}
	first := serial(now, "localhost", "127.0.0.1")
	if again := serial(now, "127.0.0.1"); again != first {
		t.Error("a second start made another certificate")
	}
	named := serial(now, "localhost", "pb-1.example.com")
	if named == first {
		t.Error("it is not good for the new name, and stayed")
	}
	p, err := pki.Own(dir, []string{"localhost"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if s, c := meet(t, p.Server(), pki.Client(pool(t, dir)), "localhost"); s != nil || c != nil {
		t.Errorf("a client that trusts ca.pem: %v, %v", s, c)
	}
	if late := serial(now.AddDate(2, 0, -30), "localhost"); late == named {
		t.Error("it ends in a month, and stayed")
	}
}
