package pki

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"
)

// ownFile is the name of a node's own pair.
const ownFile = "node"

// renewBefore is how long before its end a node makes itself a new certificate.
const renewBefore = 90 * 24 * time.Hour

// Own returns a certificate that a node makes for itself, good for the names and
// addresses by which it is reached, of an authority of its own: clients that
// trust ca.pem of the directory trust it. It makes a new one at a start where
// there is none, where the one that is there ends soon, and where it is not good
// for one of the names.
func Own(dir string, names []string, now time.Time) (*Pair, error) {
	cert, key := filepath.Join(dir, ownFile+".pem"), filepath.Join(dir, ownFile+".key")
	pair, err := OpenPair(cert, key)
	if err == nil && pair.goodFor(names, now.Add(renewBefore)) {
		return pair, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	authority, err := OpenAuthority(dir, now)
	if err != nil {
		return nil, err
	}
	if err := authority.Issue(ownFile, names, now, true); err != nil {
		return nil, err
	}
	return OpenPair(cert, key)
}

// goodFor reports whether the certificate has all the names, and lasts.
func (p *Pair) goodFor(names []string, until time.Time) bool {
	leaf := p.Certificate().Leaf
	if leaf == nil || until.After(leaf.NotAfter) {
		return false
	}
	for _, name := range names {
		if leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}
