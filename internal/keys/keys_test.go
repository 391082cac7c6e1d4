package keys_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/internal/keys"
)

const (
	hexA = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	hexB = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff"
)

func parse(t *testing.T, text string) *keys.Cluster {
	t.Helper()
	c, err := keys.ParseCluster([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The bytes were made apart from this package, by RFC 5869 2.2 and 2.3 with
// plain HMAC-SHA256.
func TestDerivationNeverChanges(t *testing.T) {
	t.Parallel()
	c := parse(t, hexA)
	for p, want := range map[keys.Purpose]string{
		keys.Token:    "b05d787bfdd78fe30acdbd3ab053cc66bff4e30d11d30bc78ebfd2cd36d6b115",
		keys.Nonce:    "f05c3c661f919097e4c2f79cbdf02228dca78bb342eb70010826c7e18464be54",
		keys.Snapshot: "64bd5184d8ef5b75e9408cec1bf5f49d4836cdd90ffae09a4a3c1cb4a7011bfa",
		keys.Storage:  "c2181488eb835c0c0d355057c975e11264c3804d907a4841fd8052423ae13350",
	} {
		key := c.Derive(p).Secret.Reveal()
		if got := hex.EncodeToString(key[:]); got != want {
			t.Errorf("%s: got %s, want %s", p, got, want)
		}
	}
}

func TestKeyFilesThatAreUnderstood(t *testing.T) {
	t.Parallel()
	if d := parse(t, hexA+"\n").Derive(keys.Token); d.ID != 0 {
		t.Errorf("got id %d", d.ID)
	}
	if _, ok := parse(t, hexA).Previous(keys.Token); ok {
		t.Error("a previous key where there is none")
	}
	c := parse(t, "7:"+strings.ToUpper(hexB)+"\r\n"+hexA+"\n")
	previous, ok := c.Previous(keys.Token)
	if d := c.Derive(keys.Token); d.ID != 7 || !ok || previous.ID != 0 || previous.Secret.Reveal() != parse(t, hexA).Derive(keys.Token).Secret.Reveal() {
		t.Errorf("got ids %d and %d", d.ID, previous.ID)
	}
}

func TestKeyFilesThatAreRefusedShowNothing(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":       "",
		"short":       hexA[:62],
		"long":        hexA + "00",
		"no hex":      strings.Replace(hexA, "0102", "secr", 1),
		"three lines": "1:" + hexA + "\n2:" + hexB + "\n3:" + hexA,
		"same id":     hexA + "\n" + hexB,
		"id too big":  "16:" + hexA,
		"id no digit": "x:" + hexA,
		"zeros":       strings.Repeat("0", 64),
	} {
		_, err := keys.ParseCluster([]byte(text))
		if !errors.Is(err, keys.ErrFormat) {
			t.Errorf("%s: got %v", name, err)
		} else if strings.Contains(err.Error(), "0304") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

func TestKeysHideThemselves(t *testing.T) {
	t.Parallel()
	c := parse(t, hexA)
	secret := c.Derive(keys.Token)
	admin := keys.NewAdmin()
	raw := secret.Secret.Reveal()
	var out bytes.Buffer
	for _, v := range []any{secret, &secret, secret.Secret, admin, &admin, struct{ k keys.Admin }{admin}, struct{ d keys.Derived }{secret}, c, *c, keys.Secret{}, keys.Admin{}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Fatal(err)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
	}
	for _, leak := range []string{admin.Reveal()[8:], hex.EncodeToString(raw[:4]), strings.ToUpper(hex.EncodeToString(raw[:4])), fmt.Sprint(raw[:4])[1:10], "010203", "1 2 3"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q shows in\n%s", leak, out.String())
		}
	}
}

func TestASealedSecretOpensOnlyHere(t *testing.T) {
	t.Parallel()
	c := parse(t, hexA)
	for _, secret := range []string{"", "hunter2", strings.Repeat("x", keys.MaxSecret)} {
		one, err := c.Seal(secret)
		if err != nil {
			t.Fatal(err)
		}
		two, _ := c.Seal(secret)
		if one == two || secret != "" && strings.Contains(string(one), secret) {
			t.Errorf("sealed as %s and %s", one, two)
		}
		if got, err := c.Open(one); err != nil || got != secret {
			t.Errorf("got %q (%v), want %q", got, err, secret)
		}
	}
	if _, err := c.Seal(strings.Repeat("x", keys.MaxSecret+1)); err == nil {
		t.Error("a secret that is too long was sealed")
	}
}

func TestASealSurvivesOneRotationOfTheKey(t *testing.T) {
	t.Parallel()
	sealed, err := parse(t, hexA).Seal("hunter2")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parse(t, "1:"+hexB+"\n"+hexA).Open(sealed); err != nil || got != "hunter2" {
		t.Errorf("with the previous key: got %q (%v)", got, err)
	}
	for name, file := range map[string]string{"two rotations later": "2:" + hexA + "\n1:" + hexB, "another cluster": hexB} {
		if _, err := parse(t, file).Open(sealed); !errors.Is(err, keys.ErrSealed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestASealThatWasChangedDoesNotOpen(t *testing.T) {
	t.Parallel()
	c := parse(t, hexA)
	sealed, err := c.Seal("hunter2")
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		b := []byte(sealed)
		b[i] ^= 4
		if got, err := c.Open(endpoint.SecretRef(b)); !errors.Is(err, keys.ErrSealed) {
			t.Errorf("byte %d changed: got %q (%v)", i, got, err)
		}
		if _, err := c.Open(sealed[:i]); !errors.Is(err, keys.ErrSealed) {
			t.Errorf("cut at %d: got %v", i, err)
		}
	}
}

func TestTheClusterKeyIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "cluster.key")
	var wg sync.WaitGroup
	secrets, makers := make([]keys.Secret, 8), make([]bool, 8)
	for i := range secrets {
		wg.Go(func() {
			c, made, err := keys.EnsureCluster(path)
			if err != nil {
				t.Error(err)
				return
			}
			secrets[i], makers[i] = c.Derive(keys.Token).Secret, made
		})
	}
	wg.Wait()
	made := 0
	for i := range secrets {
		if secrets[i].Reveal() != secrets[0].Reveal() {
			t.Error("two processes read different keys")
		}
		if makers[i] {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d processes made the key", made)
	}
	mode(t, path)
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func mode(t *testing.T, path string) {
	t.Helper()
	at, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if at.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %o", path, at.Mode().Perm())
	}
}

func TestAKeyFileOpenToOthersIsRefused(t *testing.T) {
	t.Parallel()
	for perm, want := range map[fs.FileMode]error{
		0o600: nil, 0o400: nil, 0o440: nil, 0o640: nil,
		0o644: keys.ErrExposed, 0o604: keys.ErrExposed, 0o660: keys.ErrExposed, 0o602: keys.ErrExposed,
	} {
		path := filepath.Join(t.TempDir(), "cluster.key")
		if err := os.WriteFile(path, []byte(hexA), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, perm); err != nil {
			t.Fatal(err)
		}
		if _, _, err := keys.EnsureCluster(path); !errors.Is(err, want) {
			t.Errorf("%o: got %v, want %v", perm, err, want)
		}
	}
}

func TestAKeyFileThatIsWrongIsNamedAndKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "cluster.key")
	if _, err := keys.ReadCluster(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("missing: got %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.EnsureCluster(path); !errors.Is(err, keys.ErrFormat) {
		t.Errorf("empty: got %v", err)
	}
	if _, err := keys.ReadCluster(dir); !errors.Is(err, keys.ErrFormat) {
		t.Errorf("directory: got %v", err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("0"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.ReadCluster(path); !errors.Is(err, keys.ErrFormat) {
		t.Errorf("large: got %v", err)
	}
}

func TestTheAdminKeyIsMadeOnceAndChecked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "admin.key")
	a, made, err := keys.EnsureAdmin(path)
	if err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	mode(t, path)
	again, made, err := keys.EnsureAdmin(path)
	if err != nil || made || again.Reveal() != a.Reveal() || again.Hash() != a.Hash() {
		t.Errorf("second start: made %v, %v", made, err)
	}
	if !strings.HasPrefix(a.Reveal(), "pbk_") || len(a.Reveal()) != 36 {
		t.Errorf("form: %d characters", len(a.Reveal()))
	}
	if !again.Matches(a.Reveal()) || again.Matches(a.Reveal()+" ") || again.Matches("") || (keys.Admin{}).Matches("") {
		t.Error("matches what it should not, or not itself")
	}
	for _, text := range []string{"", "pbk_", a.Reveal()[:35], "pbk_" + strings.Repeat("0", 32), "sk_" + a.Reveal()[4:]} {
		if _, err := keys.ParseAdmin([]byte(text)); !errors.Is(err, keys.ErrFormat) {
			t.Errorf("%d characters: got %v", len(text), err)
		}
	}
}

func FuzzParseCluster(f *testing.F) {
	f.Add([]byte(hexA))
	f.Add([]byte("1:" + hexA + "\n" + hexB))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := keys.ParseCluster(text)
		if err == nil && c.Derive(keys.Token).ID > keys.MaxID {
			t.Error("an id that a token cannot hold")
		}
	})
}
