package testkit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/internal/testkit"
)

// recorder is a test that notes how it ended.
type recorder struct {
	testing.TB
	outcome string
}

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(format string, args ...any) {
	r.outcome = "failed: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}
func (r *recorder) Skipf(format string, args ...any) {
	r.outcome = "skipped: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func outcome(t *testing.T, f func(testing.TB)) string {
	r := &recorder{TB: t, outcome: "passed"}
	done := make(chan struct{})
	go func() { defer close(done); f(r) }()
	<-done
	return r.outcome
}

func TestAMissingToolSkipsOnALaptopAndFailsInCI(t *testing.T) {
	for name, c := range map[string]struct{ ci, e2e, want string }{
		"laptop":     {"", "", "skipped: "},
		"explicit 0": {"0", "0", "skipped: "},
		"CI":         {"1", "", "failed: "},
		"CI as word": {"true", "", "failed: "},
		"make test":  {"", "1", "failed: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CI", c.ci)
			t.Setenv("E2E", c.e2e)
			got := outcome(t, func(tb testing.TB) { testkit.Tool(tb, "no-such-program") })
			if !strings.HasPrefix(got, c.want) || !strings.Contains(got, "no-such-program") {
				t.Errorf("got %q, want %q and the program's name", got, c.want)
			}
		})
	}
}

func TestAToolThatIsThereIsFound(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tool")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got := testkit.Tool(t, "tool"); got != path {
		t.Errorf("got %s, want %s", got, path)
	}
}

func TestNATSTakesAtomicBatchesAndPerMessageTTL(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "S", Subjects: []string{"s.>"},
		AllowAtomicPublish: true, AllowMsgTTL: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, commit := range []bool{false, true} {
		m := nats.NewMsg("s." + string(rune('a'+i)))
		m.Header.Set("Nats-Batch-Id", "b")
		m.Header.Set("Nats-Batch-Sequence", string(rune('1'+i)))
		m.Header.Set("Nats-TTL", "1h")
		if commit {
			m.Header.Set("Nats-Batch-Commit", "1")
		}
		reply, err := nc.RequestMsg(m, 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(reply.Data), "error") {
			t.Fatalf("message %d: %s", i+1, reply.Data)
		}
	}
	s, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.CachedInfo().State.Msgs; got != 2 {
		t.Errorf("got %d messages, want the batch of 2", got)
	}
}
