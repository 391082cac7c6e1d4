package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"patchbay/actors/endpoint"
)

// ErrSealed says that a sealed secret cannot be opened: it was changed, cut
// short, or sealed with a key that is not here any more.
var ErrSealed = errors.New("sealed secret cannot be opened")

// MaxSecret is the largest secret that is sealed, bytes.
const MaxSecret = 4096

// The head of a sealed secret: version, id of the cluster key.
const (
	sealVersion = 1
	sealHead    = 2
	nonceSize   = 12
)

// Seal encrypts a secret with the storage key (AES-256-GCM, a random nonce),
// as base64. Two seals of one secret differ.
func (c *Cluster) Seal(secret string) (endpoint.SecretRef, error) {
	if len(secret) > MaxSecret {
		return "", fmt.Errorf("seal a secret: %d bytes, at most %d", len(secret), MaxSecret)
	}
	d := c.Derive(Storage)
	out := make([]byte, sealHead+nonceSize, sealHead+nonceSize+len(secret)+16)
	out[0], out[1] = sealVersion, d.ID
	if _, err := rand.Read(out[sealHead:]); err != nil {
		return "", fmt.Errorf("seal a secret: %w", err)
	}
	gcm, err := d.gcm()
	if err != nil {
		return "", fmt.Errorf("seal a secret: %w", err)
	}
	out = gcm.Seal(out, out[sealHead:], []byte(secret), out[:sealHead])
	return endpoint.SecretRef(base64.StdEncoding.EncodeToString(out)), nil
}

// Open returns the secret that [Cluster.Seal] sealed, with the present storage
// key or the previous one. The error wraps ErrSealed and shows neither text.
func (c *Cluster) Open(sealed endpoint.SecretRef) (string, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(string(sealed))
	if err != nil || len(b) < sealHead+nonceSize || b[0] != sealVersion {
		return "", fmt.Errorf("%w: not in the form of version %d", ErrSealed, sealVersion)
	}
	d := c.Derive(Storage)
	if previous, ok := c.Previous(Storage); ok && b[1] == previous.ID {
		d = previous
	}
	if b[1] != d.ID {
		return "", fmt.Errorf("%w: the cluster key of id %d is not here", ErrSealed, b[1])
	}
	gcm, err := d.gcm()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSealed, err)
	}
	secret, err := gcm.Open(nil, b[sealHead:sealHead+nonceSize], b[sealHead+nonceSize:], b[:sealHead])
	if err != nil {
		return "", fmt.Errorf("%w: changed, or of another cluster", ErrSealed)
	}
	return string(secret), nil
}

func (d Derived) gcm() (cipher.AEAD, error) {
	key := d.Secret.Reveal()
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
