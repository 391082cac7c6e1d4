package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// The form of what a Vault seals: version, id of the cluster key, salt, then
// the text under AES-256-GCM.
const (
	vaultVersion = 1
	vaultSalt    = 16
	vaultHead    = 2 + vaultSalt
	vaultTag     = 16
)

// VaultOverhead is how much longer a sealed text is, bytes.
const VaultOverhead = vaultHead + vaultTag

// A Vault seals texts for one purpose, each under a key of its own that is
// derived with a random salt, so that their number needs no bound. It is safe
// for concurrent use.
type Vault struct {
	purpose  Purpose
	current  Derived
	previous *Derived
}

// Vault returns the vault of a purpose.
func (c *Cluster) Vault(p Purpose) *Vault {
	v := &Vault{purpose: p, current: c.Derive(p)}
	if d, ok := c.Previous(p); ok {
		v.previous = &d
	}
	return v
}

// Seal encrypts a text and binds it to context, without which it cannot be
// opened.
func (v *Vault) Seal(text, context []byte) ([]byte, error) {
	out := make([]byte, vaultHead, vaultHead+len(text)+vaultTag)
	out[0], out[1] = vaultVersion, v.current.ID
	if _, err := rand.Read(out[2:]); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	aead, err := v.aead(v.current, out[2:vaultHead])
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return aead.Seal(out, make([]byte, aead.NonceSize()), text, append(out[:2:2], context...)), nil
}

// Open returns the text that [Vault.Seal] sealed, with the present key or the
// previous one. The error wraps ErrSealed and shows nothing of the text.
func (v *Vault) Open(sealed, context []byte) ([]byte, error) {
	if len(sealed) < VaultOverhead || sealed[0] != vaultVersion {
		return nil, fmt.Errorf("%w: not in the form of version %d", ErrSealed, vaultVersion)
	}
	key := v.current
	if v.previous != nil && v.previous.ID == sealed[1] {
		key = *v.previous
	}
	if key.ID != sealed[1] {
		return nil, fmt.Errorf("%w: the cluster key of id %d is not here", ErrSealed, sealed[1])
	}
	aead, err := v.aead(key, sealed[2:vaultHead])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	text, err := aead.Open(nil, make([]byte, aead.NonceSize()), sealed[vaultHead:], append(sealed[:2:2], context...))
	if err != nil {
		return nil, fmt.Errorf("%w: changed, or of another cluster", ErrSealed)
	}
	return text, nil
}

// aead is the cipher of one text: its key is used once, so its nonce is zero.
func (v *Vault) aead(d Derived, salt []byte) (cipher.AEAD, error) {
	secret := d.Secret.Reveal()
	if secret == [Size]byte{} {
		return nil, fmt.Errorf("%w: no key for %s", ErrFormat, v.purpose)
	}
	key, err := hkdf.Key(sha256.New, secret[:], salt, "patchbay/v1/vault/"+string(v.purpose), Size)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
