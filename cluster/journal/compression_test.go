package journal_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/cluster/journal"
	"patchbay/cluster/subject"
	"patchbay/internal/testkit"
)

// An earlier release compressed them.
func TestStreamsThatWereCompressedAreNotAnyMore(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	node(t, js, "m1", 1)
	s, err := js.Stream(t.Context(), subject.StreamRecords)
	if err != nil {
		t.Fatal(err)
	}
	old := s.CachedInfo().Config
	old.Compression = jetstream.S2Compression
	if _, err := js.UpdateStream(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if _, err := begin(t.Context(), node(t, js, "m1", 2), record(5, 0)); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Info(t.Context()); err != nil || info.Config.Compression != journal.Compression {
		t.Errorf("compression is %v, %v; want %v", info.Config.Compression, err, journal.Compression)
	}
}
