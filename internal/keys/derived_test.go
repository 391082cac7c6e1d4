package keys_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay/internal/keys"
)

func TestWhatIsExtractedIsReadAgainAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*keys.Cluster{"one key": parse(t, hexA), "two keys": parse(t, "7:"+hexB+"\n"+hexA)} {
		text := c.Extract(keys.Token, keys.Login("edge"))
		for _, root := range []string{hexA, hexB} {
			if strings.Contains(string(text), root) {
				t.Fatalf("%s: the cluster key is in the file", name)
			}
		}
		d := parse(t, string(text))
		for _, p := range []keys.Purpose{keys.Token, keys.Login("edge")} {
			if d.Derive(p).ID != c.Derive(p).ID || d.Derive(p).Secret.Reveal() != c.Derive(p).Secret.Reveal() {
				t.Errorf("%s: %s is another key", name, p)
			}
			want, wantOK := c.Previous(p)
			got, ok := d.Previous(p)
			if ok != wantOK || ok && (got.ID != want.ID || got.Secret.Reveal() != want.Secret.Reveal()) {
				t.Errorf("%s: the previous %s is %d, %v", name, p, got.ID, ok)
			}
		}
		if d.Has(keys.Storage) || d.Whole() || !c.Has(keys.Storage) || !c.Whole() {
			t.Errorf("%s: a derived file has what it was not given", name)
		}
		if _, ok := d.Previous(keys.Storage); ok {
			t.Errorf("%s: a previous key of a purpose that it has not", name)
		}
	}
}

func TestDerivedFilesThatAreRefusedShowNothing(t *testing.T) {
	t.Parallel()
	const head = "# patchbay derived keys, version 1\n"
	for name, text := range map[string]string{
		"no key":          head,
		"two words":       head + "token " + hexA,
		"no number":       head + "token x " + hexA,
		"id too big":      head + "token 16 " + hexA,
		"short":           head + "token 0 " + hexA[:62],
		"id twice":        head + "token 0 1:" + hexA,
		"same id":         head + "token 0 " + hexA + "\ntoken 0 " + hexB,
		"three keys":      head + "token 0 " + hexA + "\ntoken 1 " + hexB + "\ntoken 2 " + hexA,
		"too many lines":  head + strings.Repeat("#\n", 32) + "token 0 " + hexA,
		"another version": strings.Replace(head, "1", "2", 1) + "token 0 " + hexA,
	} {
		_, err := keys.ParseCluster([]byte(text))
		if !errors.Is(err, keys.ErrFormat) {
			t.Errorf("%s: got %v", name, err)
		} else if strings.Contains(err.Error(), "0304") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

func TestAKeyFileIsItsOwnersAloneAndNotWrittenOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "edge.key")
	text := parse(t, hexA).Extract(keys.Token)
	if err := keys.WriteFile(path, text); err != nil {
		t.Fatal(err)
	}
	if at, err := os.Stat(path); err != nil || at.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", at.Mode(), err)
	}
	if c, err := keys.ReadCluster(path); err != nil || !c.Has(keys.Token) {
		t.Errorf("read again: %v", err)
	}
	if err := keys.WriteFile(path, text); !errors.Is(err, os.ErrExist) {
		t.Errorf("written over: %v", err)
	}
}
