package testkit

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/internal/golden"
)

// Dump returns what a stream holds: the last message of each subject, those
// that mark an end left out.
func Dump(t testing.TB, js jetstream.JetStream, stream string) map[string][]byte {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held := make(map[string][]byte)
	for seq := max(info.State.FirstSeq, 1); seq <= info.State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		delete(held, m.Subject)
		if m.Header.Get("KV-Operation") == "" && m.Header.Get("Nats-Marker-Reason") == "" {
			held[m.Subject] = m.Data
		}
	}
	return held
}

// Load publishes what Dump returned.
func Load(t testing.TB, js jetstream.JetStream, held map[string][]byte) {
	t.Helper()
	for to, data := range held {
		if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: to, Data: data}); err != nil {
			t.Fatalf("%s: %v", to, err)
		}
	}
}

// Frozen returns what an earlier release left in a file of testdata/v1: bytes
// by name. Such a file is written once, by the release that it is of, with
// -update while it is not there, and never again.
func Frozen(t testing.TB, path string, written func() map[string][]byte) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && golden.Updating() {
		if text, err = json.MarshalIndent(written(), "", "  "); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if err != nil {
		t.Fatalf("what an earlier release wrote: %v (-update writes it once)", err)
	}
	held := make(map[string][]byte)
	if err := json.Unmarshal(text, &held); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return held
}
