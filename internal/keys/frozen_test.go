package keys_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/internal/keys"
)

// What the first release sealed, with the key of these tests: a secret of the
// store, and a snapshot bound to the context "c.1".
const (
	secretV1   = "AQM8sFUmWYUFU48fs70JIk5/JU3thpsmJljPEGEDVtPHT8Gj8EI="
	snapshotV1 = "AQNWuCYW0OhpIVO1Us6JLOT4U1nLGD4uw26jpeRolg3UImRMIvAmHF6vufo="
)

func frozenKey(t *testing.T) *keys.Cluster {
	t.Helper()
	c, err := keys.ParseCluster([]byte("3:" + strings.Repeat("a5", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatRelease1SealedOpens(t *testing.T) {
	t.Parallel()
	c := frozenKey(t)
	if got, err := c.Open(endpoint.SecretRef(secretV1)); err != nil || got != "a secret" {
		t.Errorf("secret: %q, %v", got, err)
	}
	sealed, err := base64.StdEncoding.DecodeString(snapshotV1)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Vault(keys.Snapshot).Open(sealed, []byte("c.1")); err != nil || string(got) != "a snapshot" {
		t.Errorf("snapshot: %q, %v", got, err)
	}
}

func TestAVaultOpensWhatItSealedAndNothingElse(t *testing.T) {
	t.Parallel()
	v := frozenKey(t).Vault(keys.Snapshot)
	sealed, err := v.Seal([]byte("text"), []byte("context"))
	if err != nil || len(sealed) != len("text")+keys.VaultOverhead {
		t.Fatalf("%d bytes, %v", len(sealed), err)
	}
	again, err := v.Seal([]byte("text"), []byte("context"))
	if err != nil || string(again) == string(sealed) {
		t.Errorf("two seals are alike, %v", err)
	}
	if got, err := v.Open(sealed, []byte("context")); err != nil || string(got) != "text" {
		t.Errorf("got %q, %v", got, err)
	}
	other, err := keys.ParseCluster([]byte("3:" + strings.Repeat("b6", 32)))
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := keys.ParseCluster([]byte("4:" + strings.Repeat("b6", 32) + "\n3:" + strings.Repeat("a5", 32)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := rotated.Vault(keys.Snapshot).Open(sealed, []byte("context")); err != nil || string(got) != "text" {
		t.Errorf("after a rotation: %q, %v", got, err)
	}
	for what, open := range map[string]func() ([]byte, error){
		"another context": func() ([]byte, error) { return v.Open(sealed, []byte("other")) },
		"another purpose": func() ([]byte, error) { return frozenKey(t).Vault(keys.Storage).Open(sealed, []byte("context")) },
		"another key":     func() ([]byte, error) { return other.Vault(keys.Snapshot).Open(sealed, []byte("context")) },
		"another version": func() ([]byte, error) { return v.Open(append([]byte{9}, sealed[1:]...), []byte("context")) },
		"cut short":       func() ([]byte, error) { return v.Open(sealed[:len(sealed)-1], []byte("context")) },
		"nothing":         func() ([]byte, error) { return v.Open(nil, nil) },
	} {
		if got, err := open(); !errors.Is(err, keys.ErrSealed) || got != nil {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}
