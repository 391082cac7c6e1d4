package stream_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"patchbay/cluster/stream"
	"patchbay/internal/testkit"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(testkit.LeakedReplica), goleak.IgnoreAnyFunction(testkit.LeakedClock))
}

func connect(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(testkit.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

var config = jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, AllowDirect: true}

func info(t *testing.T, js jetstream.JetStream) jetstream.StreamConfig {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // there may be no leader yet
	defer cancel()
	for {
		one, cancel := context.WithTimeout(ctx, 2*time.Second)
		s, err := js.Stream(one, "S")
		cancel()
		if err == nil {
			return s.CachedInfo().Config
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestAStreamIsMadeAndBroughtUpToDate(t *testing.T) {
	t.Parallel()
	js := connect(t)
	for _, subject := range []string{"s.>", "t.>"} {
		cfg := config
		cfg.Subjects = []string{subject}
		if err := (stream.Terms{Wait: time.Minute}).Open(t.Context(), js, cfg); err != nil {
			t.Fatal(err)
		}
		if got := info(t, js); got.Subjects[0] != subject || !got.AllowDirect {
			t.Errorf("got %+v", got)
		}
	}
}

func TestANodeThatMayNotMakeAStreamWaitsForTheOneThatMay(t *testing.T) {
	t.Parallel()
	js := connect(t)
	err := (stream.Terms{Found: true}).Open(t.Context(), js, config)
	if err == nil || !strings.Contains(err.Error(), "not there yet") {
		t.Fatalf("got %v", err)
	}
	var out bytes.Buffer
	var work sync.WaitGroup
	var waited error
	work.Go(func() {
		waited = (stream.Terms{Found: true, Wait: time.Minute, Log: slog.New(slog.NewTextHandler(&out, nil))}).Open(t.Context(), js, config)
	})
	work.Go(func() {
		if err := (stream.Terms{Wait: time.Minute}).Open(t.Context(), js, config); err != nil {
			t.Error(err)
		}
	})
	work.Wait()
	if waited != nil {
		t.Errorf("got %v", waited)
	}
}

func TestASmallerSettingTakesNoReplicasAway(t *testing.T) {
	t.Parallel()
	servers := testkit.NATSCluster(t)
	js, err := jetstream.New(testkit.Dial(t, servers.URLs()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ asked, want int }{{1, 1}, {3, 3}, {1, 3}, {0, 3}} {
		cfg := config
		cfg.MaxMsgs = int64(10 + c.asked) // something to change
		if err := (stream.Terms{Replicas: c.asked, Wait: time.Minute}).Open(t.Context(), js, cfg); err != nil {
			t.Fatal(err)
		}
		// Another broker may have begun to lead, and not have heard of it yet.
		var got jetstream.StreamConfig
		for end := time.Now().Add(time.Minute); time.Now().Before(end) && (got.Replicas != c.want || got.MaxMsgs != cfg.MaxMsgs); time.Sleep(20 * time.Millisecond) {
			got = info(t, js)
		}
		if got.Replicas != c.want || got.MaxMsgs != cfg.MaxMsgs {
			t.Errorf("asked for %d: %d replicas, %d messages", c.asked, got.Replicas, got.MaxMsgs)
		}
	}
}
