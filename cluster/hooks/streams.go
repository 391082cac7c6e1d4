package hooks

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"patchbay/cluster/lookup"
	"patchbay/cluster/stream"
	"patchbay/cluster/subject"
)

// Limits of the streams.
const (
	hooksMaxBytes = 1 << 30         // where the configuration names none
	reserveBytes  = 32 << 20        // beyond it, for the ends of what waits: they are messages, too
	maxItem       = 224 << 10       // bytes of one delivery, its event among them; a NATS message has 256 KiB
	maxEvent      = 192 << 10       // bytes of an event that webhooks hear of
	doneTTL       = 2 * time.Minute // how long it is known that a delivery has ended
	stateTTL      = 30 * 24 * time.Hour
	logKept       = 200 // deliveries of one webhook that ended one way
	logMaxAge     = 72 * time.Hour
	logMaxBytes   = 256 << 20
	writeWait     = 2 * time.Second // for one write
)

// Declare makes the streams, or waits for them. maxBytes bounds what waits; 0: 1
// GiB.
func Declare(ctx context.Context, js jetstream.JetStream, terms stream.Terms, maxBytes int64) error {
	maxBytes = bounded(maxBytes)
	for _, cfg := range []jetstream.StreamConfig{{
		// Full means that events wait where they are: what waits is never dropped.
		// Deliverers take nothing more up before that.
		Name: subject.StreamHooks, Description: "Patchbay: what webhooks are still to hear of", Subjects: []string{subject.HookAll},
		Storage: jetstream.FileStorage, MaxMsgsPerSubject: 1, MaxMsgSize: maxItem, MaxBytes: maxBytes + reserveBytes, Discard: jetstream.DiscardNew,
		AllowRollup: true, DenyDelete: true, AllowDirect: true, AllowMsgTTL: true, AllowAtomicPublish: true,
	}, {
		Name: subject.StreamHookLog, Description: "Patchbay: what webhooks have heard of late, and what was given up", Subjects: []string{subject.HookLogAll},
		Storage: jetstream.FileStorage, MaxMsgsPerSubject: logKept, MaxMsgSize: maxItem, MaxAge: logMaxAge, MaxBytes: logMaxBytes,
		Duplicates: 2 * time.Minute, AllowDirect: true,
	}} {
		if err := terms.Open(ctx, js, cfg); err != nil {
			return fmt.Errorf("open webhooks: %w", err)
		}
	}
	return nil
}

func bounded(maxBytes int64) int64 {
	if maxBytes <= 0 {
		return hooksMaxBytes
	}
	return maxBytes
}

// Errors of a write.
var (
	// errRevision says that something is not at the version expected of it: either
	// another node has written, or a write of ours landed unheard.
	errRevision = errors.New("hooks: at another version")
	// errAway says that JetStream did not answer, or not say that it has done it.
	errAway = errors.New("hooks: JetStream does not answer")
)

// A write is one message for HOOKS, taken only if its subject is at a sequence.
type write struct {
	to     string
	expect uint64
	data   []byte        // nil: an end, which is known for doneTTL
	ttl    time.Duration // 0: for ever
}

func (w *write) message() *nats.Msg {
	m := nats.NewMsg(w.to)
	m.Data = w.data
	m.Header.Set("Nats-Expected-Last-Subject-Sequence", strconv.FormatUint(w.expect, 10))
	ttl := w.ttl
	if w.data == nil {
		m.Header.Set("KV-Operation", "PURGE")
		m.Header.Set("Nats-Rollup", "sub")
		ttl = doneTTL
	}
	if ttl > 0 {
		m.Header.Set("Nats-TTL", strconv.Itoa(int(max(ttl, time.Second)/time.Second)))
	}
	return m
}

// put makes all writes or none and returns the sequence of the last; those of
// the others precede it one by one (ADR-50).
func put(ctx context.Context, js jetstream.JetStream, writes ...write) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	batch, last := nuid.Next(), len(writes)-1
	for i := range writes[:last] {
		m := writes[i].message()
		m.Header.Set("Nats-Batch-Id", batch)
		m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if err := js.Conn().PublishMsg(m); err != nil {
			return 0, fmt.Errorf("%w: %w", errAway, err)
		}
	}
	m := writes[last].message()
	if last > 0 {
		m.Header.Set("Nats-Batch-Id", batch)
		m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(last+1))
		m.Header.Set("Nats-Batch-Commit", "1")
	}
	ack, err := js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	if err == nil {
		return ack.Sequence, nil
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return 0, fmt.Errorf("%w: %w", errRevision, err)
	}
	return 0, fmt.Errorf("%w: %w", errAway, err)
}

// get reads the last message of a subject as the leader has it. Of one that is
// gone only the sequence is known.
func get(ctx context.Context, nc *nats.Conn, name, to string) (m lookup.Message, there bool, err error) {
	m, ok, err := lookup.Last(ctx, nc, name, to)
	if err != nil {
		return m, false, fmt.Errorf("%w: %w", errAway, err)
	}
	return m, ok && m.Marker == "", nil
}
