package tail_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"patchbay/cluster/tail"
	"patchbay/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func filled(t *testing.T, n int) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(testkit.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		publish(t, js, fmt.Sprint("s.", i%3), i)
	}
	return js
}

func publish(t *testing.T, js jetstream.JetStream, subject string, i int) {
	t.Helper()
	if _, err := js.Publish(t.Context(), subject, fmt.Append(nil, i)); err != nil {
		t.Fatal(err)
	}
}

// collect follows until want messages have come.
func collect(t *testing.T, js jetstream.JetStream, q tail.Query, want int, begun func(uint64)) (got []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := tail.Follow(ctx, js, q, begun, func(m tail.Message) error {
		got = append(got, fmt.Sprintf("%d %s %s", m.Sequence, m.Subject, m.Data))
		if len(got) == want {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("after %q: %v", got, err)
	}
	return got
}

func TestAStreamIsFollowedFromWhereItStoodWithoutAGap(t *testing.T) {
	t.Parallel()
	js := filled(t, 5)
	pending := uint64(0)
	got := collect(t, js, tail.Query{Stream: "S", From: 3}, 4, func(n uint64) {
		pending = n
		publish(t, js, "s.new", 9)
	})
	if want := []string{"3 s.2 2", "4 s.0 3", "5 s.1 4", "6 s.new 9"}; !slices.Equal(got, want) || pending != 3 {
		t.Errorf("got %q, %d pending", got, pending)
	}
}

func TestAFilteredTailHasTheLastOfEachSubjectFirst(t *testing.T) {
	t.Parallel()
	js := filled(t, 6)
	got := collect(t, js, tail.Query{Stream: "S", Filter: "s.*"}, 3, func(uint64) {})
	if want := []string{"4 s.0 3", "5 s.1 4", "6 s.2 5"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	got = collect(t, js, tail.Query{Stream: "S", Filter: "s.1", From: 1, Headers: true}, 2, func(uint64) {})
	if want := []string{"2 s.1 ", "5 s.1 "}; !slices.Equal(got, want) {
		t.Errorf("headers alone: %q", got)
	}
}

func TestAnInterruptionIsToldAndWhoeverBeginsAgainMissesNothing(t *testing.T) {
	t.Parallel()
	js := filled(t, 3)
	refused := errors.New("not now")
	seen := uint64(0)
	err := tail.Follow(t.Context(), js, tail.Query{Stream: "S", From: 1}, func(uint64) {}, func(m tail.Message) error {
		if m.Sequence == 2 {
			return refused
		}
		seen = m.Sequence
		return nil
	})
	if !errors.Is(err, refused) || seen != 1 {
		t.Fatalf("got %v at %d", err, seen)
	}
	if got := collect(t, js, tail.Query{Stream: "S", From: seen + 1}, 2, func(uint64) {}); len(got) != 2 || got[0] != "2 s.1 1" {
		t.Errorf("got %q", got)
	}
	// The consumer goes away under it, as with its server: that is no silence.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = tail.Follow(ctx, js, tail.Query{Stream: "S", From: 1}, func(uint64) {
		s, err := js.Stream(t.Context(), "S")
		if err != nil {
			t.Error(err)
			return
		}
		for name := range s.ConsumerNames(t.Context()).Name() {
			if err := s.DeleteConsumer(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	}, func(tail.Message) error { return nil })
	if err == nil || ctx.Err() != nil {
		t.Errorf("a consumer that is gone: %v", err)
	}
}

func TestAStreamThatIsNotThereIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	js := filled(t, 0)
	err := tail.Follow(t.Context(), js, tail.Query{Stream: "T", From: 1}, func(uint64) {}, func(tail.Message) error { return nil })
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestAConsumerThatIsNotMadeIsAskedForAgain follows by an API whose first
// question goes to a broker that has died.
func TestAConsumerThatIsNotMadeIsAskedForAgain(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	publish(t, js, "s.0", 7)
	var made atomic.Int32
	_, err = nc.Subscribe("api.>", func(m *nats.Msg) {
		subject := "$JS.API" + strings.TrimPrefix(m.Subject, "api")
		if strings.Contains(subject, ".CONSUMER.CREATE.") && made.Add(1) == 1 {
			return
		}
		_ = nc.PublishMsg(&nats.Msg{Subject: subject, Reply: m.Reply, Header: m.Header, Data: m.Data})
	})
	if err != nil {
		t.Fatal(err)
	}
	by, err := jetstream.NewWithAPIPrefix(nc, "api")
	if err != nil {
		t.Fatal(err)
	}
	if got := collect(t, by, tail.Query{Stream: "S"}, 1, func(uint64) {}); !slices.Equal(got, []string{"1 s.0 7"}) || made.Load() < 2 {
		t.Errorf("got %q of %d questions", got, made.Load())
	}
}
