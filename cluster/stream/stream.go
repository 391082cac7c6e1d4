// Package stream makes the streams behind buckets, events and records, or waits
// for those that another node makes.
//
// It decides how many replicas a stream has: what is asked for, or what it has
// already where that is more, so that a node with a smaller setting takes
// nothing away. It refuses to make what its node may not (docs/permissions.md:
// brokers and control do), and waits for it instead, saying so.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Waits for JetStream, which takes seconds to elect its leaders when a cluster
// starts.
const (
	tryWait   = 2 * time.Second // an answer can be lost where several nodes make the same
	tryAgain  = 500 * time.Millisecond
	toldEvery = 5 * time.Second
)

// Terms are a node's part in making streams. The zero value makes them, with
// one replica, in one try.
type Terms struct {
	Replicas int           // of what is made; 0: one
	Found    bool          // they are made by others, and only waited for
	Wait     time.Duration // longest wait; 0: one try
	Log      *slog.Logger  // hears of the wait; nil: nobody
}

// Open returns once the stream is there as cfg says, with the replicas of t.
func (t Terms) Open(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	cfg.Replicas = max(t.Replicas, 1)
	start := time.Now()
	told := start
	for {
		err := t.try(ctx, js, cfg)
		if err == nil || permanent(err) {
			return err
		}
		if ctx.Err() != nil || time.Since(start) >= t.Wait {
			return fmt.Errorf("stream %s: %w", cfg.Name, err)
		}
		if t.Log != nil && time.Since(told) > toldEvery {
			told = time.Now()
			t.Log.Info("waiting for a stream", "stream", cfg.Name, "reason", err.Error())
		}
		select {
		case <-time.After(tryAgain):
		case <-ctx.Done():
		}
	}
}

func (t Terms) try(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, tryWait)
	defer cancel()
	there, err := js.Stream(ctx, cfg.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound) && t.Found:
		return errors.New("not there yet: a broker of the cluster or a control node makes it")
	case errors.Is(err, jetstream.ErrStreamNotFound):
		_, err = js.CreateStream(ctx, cfg)
		return err
	case err != nil || t.Found:
		return err
	}
	has := there.CachedInfo().Config
	if cfg.Replicas = max(cfg.Replicas, has.Replicas); fulfils(has, cfg) {
		return nil
	}
	_, err = js.UpdateStream(ctx, cfg)
	return err
}

// fulfils reports whether a stream is as want says already: nodes that start
// together need not all change it. What want leaves at its zero value is the
// server's choice, but for the compression: none is meant.
func fulfils(has, want jetstream.StreamConfig) bool {
	if has.Compression != want.Compression {
		return false
	}
	h, w := reflect.ValueOf(has), reflect.ValueOf(want)
	for i := range w.NumField() {
		if !w.Field(i).IsZero() && !reflect.DeepEqual(h.Field(i).Interface(), w.Field(i).Interface()) {
			return false
		}
	}
	return true
}

// permanent reports whether trying again is no use.
func permanent(err error) bool {
	return errors.Is(err, jetstream.ErrInvalidStreamName) || errors.Is(err, context.Canceled)
}
