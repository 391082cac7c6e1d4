package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// How long certificates are good for.
const (
	authorityYears = 10
	pairYears      = 2
	early          = time.Hour // they are good from then on: clocks differ
)

// Files of an authority's directory.
const (
	AuthorityFile = "ca.pem"
	authorityKey  = "ca.key"
)

// An Authority makes certificates for one cluster.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// OpenAuthority reads the authority of a directory, or makes one there: ca.pem,
// which everybody may have, and ca.key, which nobody needs but to make more
// certificates.
func OpenAuthority(dir string, now time.Time) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	a := &Authority{dir: dir}
	err := a.read()
	if errors.Is(err, fs.ErrNotExist) {
		err = a.make(now)
	}
	if err != nil {
		return nil, fmt.Errorf("open authority %s: %w", dir, err)
	}
	return a, nil
}

func (a *Authority) read() error {
	cert, err := readPEM(filepath.Join(a.dir, AuthorityFile))
	if err != nil {
		return err
	}
	key, err := readPEM(filepath.Join(a.dir, authorityKey))
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(cert); err != nil {
		return err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	ec, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !ec.PublicKey.Equal(a.cert.PublicKey) {
		return fmt.Errorf("%s is not the key of %s", authorityKey, AuthorityFile)
	}
	a.key = ec
	return nil
}

func readPEM(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: not PEM", file)
	}
	return block.Bytes, nil
}

func (a *Authority) make(now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c, err := template("Patchbay cluster authority", now, authorityYears)
	if err != nil {
		return err
	}
	c.IsCA, c.BasicConstraintsValid, c.MaxPathLenZero, c.KeyUsage = true, true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key = key
	return write(a.dir, AuthorityFile, authorityKey, der, key, false)
}

// Issue makes a certificate for a broker, good for the names and addresses it
// is reached by: <file>.pem and <file>.key. Where there is one already it
// refuses, unless renew.
func (a *Authority) Issue(file string, names []string, now time.Time, renew bool) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("issue %s: %w", file, err)
	}
	c, err := template(file, now, pairYears)
	if err != nil {
		return fmt.Errorf("issue %s: %w", file, err)
	}
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} // routes are called, too
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err == nil {
		err = write(a.dir, file+".pem", file+".key", der, key, renew)
	}
	if err != nil {
		return fmt.Errorf("issue %s: %w", file, err)
	}
	return nil
}

func template(name string, now time.Time, years int) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-early), NotAfter: now.AddDate(years, 0, 0)}, nil
}

// write puts a certificate and its key into new files, or over old ones if that
// is meant: each appears whole, the key first and for its owner alone.
func write(dir, certName, keyName string, der []byte, key *ecdsa.PrivateKey, over bool) error {
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, kind string
		bytes      []byte
		mode       os.FileMode
	}{{keyName, "PRIVATE KEY", secret, 0o600}, {certName, "CERTIFICATE", der, 0o644}} {
		path := filepath.Join(dir, f.name)
		if _, err := os.Lstat(path); err == nil && !over {
			return fmt.Errorf("%s: %w", path, fs.ErrExist)
		}
		if err := replace(dir, path, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.bytes}), f.mode); err != nil {
			return err
		}
	}
	return nil
}

func replace(dir, path string, text []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(dir, ".pki-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
