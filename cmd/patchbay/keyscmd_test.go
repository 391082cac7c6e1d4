package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay/internal/keys"
)

// installKeys runs keys install and returns what it said.
func installKeys(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetArgs(append([]string{"keys", "install"}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestTheFirstStartOfAClusterMakesItsKeyAndLaterOnesKeepIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	none := filepath.Join("..", "..", "deploy", "no-cluster.key")
	var texts []string
	for i, want := range []string{"a new key", "the key of before"} {
		out, err := installKeys(t, "--given", none, dir)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("start %d: %q, %v; want %q", i+1, out, err, want)
		}
		text, err := os.ReadFile(filepath.Join(dir, clusterKeyFile))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out, strings.TrimSpace(string(text))) {
			t.Fatal("the key is told")
		}
		texts = append(texts, string(text))
	}
	if texts[0] != texts[1] {
		t.Error("the second start has another key")
	}
	if _, err := keys.ReadCluster(filepath.Join(dir, clusterKeyFile)); err != nil {
		t.Errorf("a node cannot read it: %v", err)
	}
}

func TestAKeyThatIsGivenReplacesTheOneOfBefore(t *testing.T) {
	t.Parallel()
	dir, given := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	if _, err := installKeys(t, dir); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("5c", keys.Size)
	if err := os.WriteFile(given, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := installKeys(t, "--given", given, dir)
	if err != nil || !strings.Contains(out, "the key that was given") {
		t.Fatalf("%q, %v", out, err)
	}
	got, err := os.ReadFile(filepath.Join(dir, clusterKeyFile))
	if err != nil || strings.TrimSpace(string(got)) != text {
		t.Errorf("installed another key: %v", err)
	}
	at, err := os.Stat(filepath.Join(dir, clusterKeyFile))
	if err != nil || at.Mode().Perm() != 0o400 {
		t.Errorf("mode %v, %v; want 0400", at.Mode(), err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestKeysThatCannotBeUsedAreNotInstalled(t *testing.T) {
	t.Parallel()
	broken, open := filepath.Join(t.TempDir(), "broken"), filepath.Join(t.TempDir(), "open")
	for name, body := range map[string]string{broken: "secret-word", open: strings.Repeat("5c", keys.Size)} {
		if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want error
	}{
		{[]string{"--given", broken}, keys.ErrFormat},
		{[]string{"--given", open}, keys.ErrExposed},
		{[]string{"--given", filepath.Join(t.TempDir(), "nowhere")}, os.ErrNotExist},
		{[]string{"--owner", "nobody"}, errUsage},
	} {
		dir := t.TempDir()
		out, err := installKeys(t, append(c.args, dir)...)
		if !errors.Is(err, c.want) || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%v: %q, %v; want %v", c.args, out, err, c.want)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%v: installed %v", c.args, left)
		}
	}
}

// A NATS server takes no configuration in which a user is there twice.
func TestTheConfigurationOfANATSServerHasEachUserOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := command(t, "keys", "install", dir); err != nil {
		t.Fatal(out, err)
	}
	conf, err := command(t, "keys", "nats", "--key", filepath.Join(dir, clusterKeyFile), "edge", "edge+media", "media+edge", "operator", "tenant.acme", "tenant.acme")
	if err != nil {
		t.Fatal(conf, err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(conf) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "nkey: ") && !strings.HasPrefix(line, "user: ") {
			continue
		}
		if seen[line] {
			t.Errorf("twice: %s", line)
		}
		seen[line] = true
	}
	if len(seen) != 7 { // five kinds, edge+media, and the tenant
		t.Errorf("%d users, want 7", len(seen))
	}
}
