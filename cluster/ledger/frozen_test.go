package ledger_test

import (
	"os"
	"path/filepath"
	"testing"

	"patchbay/actors/call"
	"patchbay/cluster/journal"
	"patchbay/cluster/ledger"
	"patchbay/internal/testkit"
)

// TestTheSpoolOfRelease1IsReplayed is about a node that was stopped during an
// outage and starts as this release: events, records and snapshots of live
// calls wait on its disk.
func TestTheSpoolOfRelease1IsReplayed(t *testing.T) {
	t.Parallel()
	files := testkit.Frozen(t, "testdata/v1/spool.json", func() map[string][]byte {
		s, dir := newSite(t), t.TempDir()
		b := start(t, s.connect(), dir, 1)
		s.stop()
		b.live(1)
		b.live(2)
		b.over(2)
		eventually(t, "all on the disk", func() bool { w := b.Waiting(); return w.SpooledRecords == 1 && w.SpooledSnapshots >= 1 })
		b.stop()
		all := make(map[string][]byte)
		paths, err := filepath.Glob(filepath.Join(dir, "*.spool"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if all[filepath.Base(path)], err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		return all
	})
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) != 3 {
		t.Fatalf("%d files, want one of each kind", len(files))
	}
	s := newSite(t)
	c := s.connect()
	var l let
	b := start(t, c, dir, 2, l.hear, func(cfg *ledger.Config) {
		cfg.Gone = func(h journal.Head) bool { return h.Node == "m1" && h.Boot == 1 }
	})
	eventually(t, "an empty spool", func() bool {
		w := b.Waiting()
		return w.SpooledEvents+w.SpooledRecords+w.SpooledSnapshots == 0
	})
	eventually(t, "the call that was up", func() bool { b.Sweep(); return len(l.lefts()) >= 1 })
	b.stop()
	if left := l.lefts()[0]; left.Record.ID != 1 || left.Snapshot == nil {
		t.Errorf("the call that was up: %+v", left)
	}
	k := look(t, c)
	if k.records[call.ID(2).String()] != 1 || len(k.seqs[call.ID(2).String()]) != 3 || len(k.seqs[call.ID(1).String()]) != 2 {
		t.Errorf("got %+v", k)
	}
	if _, damaged := b.of(ledger.FateDamaged); damaged != 0 {
		t.Errorf("%d entries could not be read", damaged)
	}
}
