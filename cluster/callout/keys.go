package callout

import (
	"fmt"

	"github.com/nats-io/nkeys"

	"patchbay/internal/keys"
)

// Keys vouch for clients, and seal what servers and those who answer them say:
// it holds passwords.
type Keys struct {
	Issuer string // public key that answers are signed with
	XKey   string // public key that questions are sealed for

	issuer, curve nkeys.KeyPair
}

// KeysOf makes the keys of a cluster: the current ones, and while the cluster key
// is rotated those from before. Brokers ask with the first.
func KeysOf(c *keys.Cluster) ([]Keys, error) {
	if !c.Has(keys.Vouching) || !c.Has(keys.Sealing) {
		return nil, fmt.Errorf("%w: no key to answer NATS servers with: the file was derived by an earlier version, or for another role", keys.ErrFormat)
	}
	current, err := pairs(c.Derive(keys.Vouching), c.Derive(keys.Sealing))
	if err != nil {
		return nil, err
	}
	all := []Keys{current}
	vouching, ok := c.Previous(keys.Vouching)
	sealing, both := c.Previous(keys.Sealing)
	if !ok || !both {
		return all, nil
	}
	before, err := pairs(vouching, sealing)
	return append(all, before), err
}

func pairs(vouching, sealing keys.Derived) (k Keys, err error) {
	if k.issuer, k.Issuer, err = pair(vouching, nkeys.PrefixByteAccount, nkeys.FromSeed); err != nil {
		return Keys{}, fmt.Errorf("make the key of answers: %w", err)
	}
	if k.curve, k.XKey, err = pair(sealing, nkeys.PrefixByteCurve, nkeys.FromCurveSeed); err != nil {
		return Keys{}, fmt.Errorf("make the key of questions: %w", err)
	}
	return k, nil
}

// pair makes a pair of keys of a derived key, and writes its public half.
func pair(d keys.Derived, kind nkeys.PrefixByte, of func([]byte) (nkeys.KeyPair, error)) (nkeys.KeyPair, string, error) {
	secret := d.Secret.Reveal()
	seed, err := nkeys.EncodeSeed(kind, secret[:])
	if err != nil {
		return nil, "", err
	}
	made, err := of(seed)
	if err != nil {
		return nil, "", err
	}
	public, err := made.PublicKey()
	return made, public, err
}
