package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay/control"
)

// fill gives an account agents and endpoints of every sort that can be
// exported.
func (b *bench) fill(tenant string, n int) {
	b.t.Helper()
	must[control.AccountView](b, "default", "account.create", `{"tenant":"`+tenant+`"}`)
	project := must[control.ProjectView](b, tenant, "project.create", `{"id":"`+absentID[:35]+`7","spec":{"name":"p"}}`)
	var lines []control.Line
	for i := range n {
		agent := fmt.Sprintf("00000000-0000-4000-8000-%012d", 2*i+100)
		lines = append(lines, control.Line{Kind: control.LineAgent, ID: agent,
			Spec: json.RawMessage(fmt.Sprintf(`{"name":"bot %d","webrtc":{"connector":"nats","codecs":["PCMU"]},"metadata":{"n":"%d <&>%s"}}`, i, i, strings.Repeat("x", 900)))})
		l := control.Line{Kind: control.LineEndpoint, ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", 2*i+101), SlugPrefix: "desk",
			Spec: json.RawMessage(fmt.Sprintf(`{"name":"desk %d","handler":{"active":"agent","agent_id":%q},"ip":{"mode":"list","entries":[{"raw":"203.0.113.%d","disabled":true}]},`+
				`"max_concurrent_calls":3,"is_active":%v}`, i, agent, i%256, i%2 == 0))}
		if i%3 == 0 {
			l.ProjectID = project.ID
		}
		lines = append(lines, l)
	}
	for len(lines) > 0 {
		k := min(len(lines), 200)
		raw, err := json.Marshal(control.Import{Lines: lines[:k]})
		if err != nil {
			b.t.Fatal(err)
		}
		must[control.Imported](b, tenant, "account.import", string(raw))
		lines = lines[k:]
	}
}

// exported has ctl export acme, slugs and all. A store that is slow says: try
// again.
func (b *bench) exported(args ...string) (out string) {
	b.t.Helper()
	b.until("an export", func() bool {
		var err error
		out, _, err = b.ctl(append([]string{"--tenant", "acme", "export", "--with-slugs"}, args...)...)
		if err != nil && !strings.Contains(err.Error(), string(control.CodeUnavailable)) {
			b.t.Fatal(err)
		}
		return err == nil
	})
	return out
}

func TestWhatIsExportedIsImportedAsItWas(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.fill("acme", 450) // three batches
	file := filepath.Join(t.TempDir(), "acme.jsonl")
	b.exported("-o", file)
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v; want mode 0600", st, err)
	}
	whole, err := os.ReadFile(file)
	if err != nil || strings.Count(string(whole), "\n") != 900 {
		t.Fatalf("%d lines, %v; want 900", strings.Count(string(whole), "\n"), err)
	}
	if got := b.mustCtl("--tenant", "acme", "import", file); got != "0 created, 0 changed, 900 as they were\n" {
		t.Errorf("into the same account: %s", got)
	}
	torn := filepath.Join(t.TempDir(), "torn.jsonl")
	if _, _, err := b.ctl("--nats", "nats://127.0.0.1:1", "export", "-o", torn); err == nil {
		t.Error("an export from nowhere")
	}
	if _, err := os.Stat(torn); err == nil {
		t.Error("an export that failed has left a file")
	}
	if plain := b.mustCtl("--tenant", "acme", "export"); strings.Contains(plain, `"slug":`) || strings.Count(plain, `"slug_prefix":"desk"`) != 450 {
		t.Error("an export without --with-slugs has them, or forgets their prefixes")
	}

	other := newBench(t, nil)
	must[control.AccountView](other, "default", "account.create", `{"tenant":"acme"}`)
	must[control.ProjectView](other, "acme", "project.create", `{"id":"`+absentID[:35]+`7","spec":{"name":"p"}}`)
	if got := other.mustCtl("--tenant", "acme", "import", "--dry-run", file); got != "900 would be created, 0 would be changed, 0 as they were\n" {
		t.Errorf("dry run: %s", got)
	}
	if got := other.mustCtl("--tenant", "acme", "import", file); got != "900 created, 0 changed, 0 as they were\n" {
		t.Errorf("into another cluster: %s", got)
	}
	if again := other.exported(); again != string(whole) {
		t.Errorf("exported again it differs: %d bytes, want %d", len(again), len(whole))
	}
}

func TestAnImportWithMistakesShowsThemAllAndWritesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	file := filepath.Join(t.TempDir(), "bad.jsonl")
	text := strings.Join([]string{
		`{"kind":"endpoint","id":"00000000-0000-4000-8000-000000000001","spec":{"name":"first"}}`,
		``,
		`{"kind":"endpoint","id":"00000000-0000-4000-8000-000000000002","spec":{"name":""}}`,
		`this is no JSON`,
		`{"kind":"endpoint","id":"00000000-0000-4000-8000-000000000001","spec":{}}`,
		`{"kind":"endpoint","id":"00000000-0000-4000-8000-000000000003","colour":"red","spec":{}}`,
		`{"kind":"endpoint","id":"00000000-0000-4000-8000-000000000004","spec":{"handler":{"active":"agent","agent_id":"00000000-0000-4000-8000-000000000009"}}}`,
	}, "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, err := b.ctl("import", file)
	if err == nil {
		t.Error("it succeeds")
	}
	for _, want := range []string{"line 3: name: ", "line 4: this is no line", "line 5: id: line 1 has the same id", "line 6: colour: ", "line 7: handler.agent_id: ", "5 mistakes; nothing was written"} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is not told:\n%s", want, errs)
		}
	}
	if page := must[control.Page[control.EndpointView]](b, "default", "endpoint.list", `{}`); len(page.Items) != 0 {
		t.Errorf("%d endpoints were written", len(page.Items))
	}
	if out, _, err := b.ctl("import", "--partial", file); err == nil || out != "1 created, 0 changed, 0 as they were\n" {
		t.Errorf("partial: %q, %v", out, err)
	}
}

// A copy of a stopped node's data is a node (docs/operations.md, Backup).
func TestANodeStartsOnACopyOfItsData(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.fill("acme", 5)
	key := must[control.MadeKey](b, "acme", "key.create", `{"name":"k","scopes":["*"]}`).Secret
	must[control.BlockView](b, "default", "block.create", `{"source":"198.51.100.7"}`)
	before := b.everythingOf("acme")
	b.stop()
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(b.cfg.Node.DataDir)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cluster.key", "admin.key"} { // CopyFS gives every file its own mode, less the umask
		if err := os.Chmod(filepath.Join(copied, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := newBench(t, map[string]string{"node.data_dir": copied})
	if after := c.everythingOf("acme"); after != before {
		t.Errorf("the copy differs:\n got  %s\n want %s", after, before)
	}
	if got, body := c.waiting(key, absentID); got != 200 {
		t.Errorf("a key at the copy: %d %s", got, body)
	}
	if page := must[control.Page[control.BlockView]](c, "default", "block.list", `{}`); len(page.Items) != 1 {
		t.Errorf("%d blocks at the copy, want 1", len(page.Items))
	}
}

// A backup of a running node, restored into an empty data directory, is a node
// (docs/operations.md, Backup).
func TestANodeStartsOnWhatWasBackedUpWhileAnotherRan(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.fill("acme", 30)
	key := must[control.MadeKey](b, "acme", "key.create", `{"name":"k","scopes":["*"]}`).Secret
	theirs := b.build("globex")
	b.ring(must[control.EndpointView](b, "globex", "endpoint.get", `{"id":"`+theirs.endpoint+`"}`).Slug, "+15551230100", "call@carrier")
	b.hangUp("globex")
	record := b.recordOf("globex")
	dir := filepath.Join(t.TempDir(), "backup")
	if got := b.mustCtl("backup", dir); !strings.Contains(got, "KV_endpoints: ") || !strings.Contains(got, "KV_cluster: ") {
		t.Errorf("backup: %s", got)
	}
	if _, _, err := b.ctl("backup", dir); err == nil {
		t.Error("a backup was written over another")
	}
	for _, name := range []string{".", "KV_endpoints", "KV_endpoints/stream.tar.s2"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v; want it closed to others", name, st, err)
		}
	}
	before := b.everythingOf("acme")
	must[control.EndpointView](b, "acme", "endpoint.create", `{}`) // after the backup: not in it

	cfg := settings(t, nil)
	if _, err := restoreInto(t.Context(), cfg, filepath.Join(dir, "nowhere")); err == nil {
		t.Error("nothing was restored, and nothing is said")
	}
	if _, err := restoreInto(t.Context(), cfg, dir); err != nil {
		t.Fatal(err)
	}
	if _, err := restoreInto(t.Context(), cfg, dir); err == nil {
		t.Error("a backup was restored over what is there")
	}
	secret, err := os.ReadFile(filepath.Join(b.cfg.Node.DataDir, "cluster.key"))
	if err == nil {
		err = os.WriteFile(filepath.Join(cfg.Node.DataDir, "cluster.key"), secret, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &bench{t: t, cfg: cfg}
	c.start()
	t.Cleanup(c.stop)
	if after := c.everythingOf("acme"); after != before {
		t.Errorf("the restored node differs:\n got  %s\n want %s", after, before)
	}
	if got, body := c.waiting(key, absentID); got != 200 {
		t.Errorf("a key at the restored node: %d %s", got, body)
	}
	if after := c.recordOf("globex"); after != record {
		t.Errorf("the record of a call at the restored node:\n got  %s\n want %s", after, record)
	}
	must[control.EndpointView](c, "acme", "endpoint.create", `{}`)
}

// recordOf waits for an account's one record and returns the list.
func (b *bench) recordOf(tenant string) string {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		_, raw := b.ask(tenant, "record.list", `{}`)
		if strings.Contains(string(raw), `"call_id"`) {
			return string(raw)
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("no record: %s", raw)
		}
	}
}

// An operator who slips with the folder has made nothing that a node would take
// for its own, and may do it again.
func TestARestoreFromAWrongFolderMakesNothing(t *testing.T) {
	t.Parallel()
	empty, half := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(half, "KV_endpoints"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "KV_endpoints", "backup.json"), []byte(`{"config":{"name":"KV_endpoints"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := settings(t, nil)
	for _, dir := range []string{empty, half, filepath.Join(empty, "nowhere")} {
		if _, err := restoreInto(t.Context(), cfg, dir); err == nil {
			t.Errorf("%s: nothing is said", dir)
		}
		if _, err := os.Stat(filepath.Join(cfg.Node.DataDir, "jetstream")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a JetStream was made: %v", dir, err)
		}
	}
}
