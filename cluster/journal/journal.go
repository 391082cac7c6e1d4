package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/call"
	"patchbay/cluster/lookup"
	"patchbay/cluster/stream"
	"patchbay/cluster/subject"
	"patchbay/internal/keys"
)

// Limits of the bucket and the stream.
const (
	recordsMaxAge   = 30 * 24 * time.Hour // where the configuration names none
	recordsMaxBytes = 2 << 30             // likewise
	recordsDedup    = 2 * time.Minute
	callsMaxBytes   = 256 << 20       // live calls of a whole cluster, about 6 KiB each
	entryTTL        = 25 * time.Hour  // a call lasts 24 h at most
	markerTTL       = 5 * time.Minute // what is gone stays marked: a late write finds it
	maxEntry        = 192 << 10       // bytes, sealed
	maxSnapshot     = 128 << 10       // bytes; a longer one goes without the agents that would be asked next
	maxIndexLine    = 1 << 10         // bytes
	endTries        = 4               // of a write whose entry changes meanwhile
	publishTries    = 4               // of a record that was refused and is not there
)

// Errors of the steps of a call.
var (
	// ErrUnavailable says that JetStream did not do it, or not say that it has.
	ErrUnavailable = errors.New("journal: JetStream does not answer")
	// ErrSuperseded says that another node has the call now: the record is its.
	ErrSuperseded = errors.New("journal: another node has taken the call over")
	// ErrRefused says that a step can never be done: its message is too large.
	ErrRefused = errors.New("journal: refused for good")
)

// errRevision says that an entry is not at the revision expected.
var errRevision = errors.New("journal: the entry is at another revision")

// Config is what an operator may set of a Journal.
type Config struct {
	Keys     *keys.Cluster // seals entries
	Slot     call.Slot     // of this node, where it is a media node
	Node     string        // of this process
	Boot     uint64        // of this start; larger than the one before
	Streams  stream.Terms  // on which bucket and stream are made
	MaxAge   time.Duration // of records; 0: 30 days
	MaxBytes int64         // of the stream RECORDS, and at most as much of its index; 0: 2 GiB. A full one refuses new records, and they wait
}

// Compression of the streams that calls write to: none. A broker that is killed
// can leave a compressed block that it cannot read again (nats-server 2.15.2:
// "s2: unsupported input"), and its replica then stays behind for good.
const Compression = jetstream.NoCompression

// A Journal is one node's way to the bucket and the stream. It is safe for
// concurrent use.
type Journal struct {
	cfg Config
	js  jetstream.JetStream
	nc  *nats.Conn

	vault *keys.Vault
}

// Open creates bucket and streams, or brings existing ones up to date.
func Open(ctx context.Context, js jetstream.JetStream, cfg Config) (*Journal, error) {
	if cfg.Keys == nil {
		return nil, errors.New("open journal: no cluster key")
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = recordsMaxAge
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = recordsMaxBytes
	}
	for _, s := range []jetstream.StreamConfig{{
		Name: bucket, Description: "Patchbay: calls, and tombstones until their record is published",
		Subjects: []string{keyspace + ">"}, Storage: jetstream.FileStorage,
		MaxMsgsPerSubject: 1, MaxMsgSize: maxEntry, MaxBytes: callsMaxBytes, Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true,
		AllowDirect: true, AllowMsgTTL: true, SubjectDeleteMarkerTTL: markerTTL,
	}, {
		// Full means that new records wait with their nodes, where an alarm sees
		// them: old ones are somebody's bill, and go by age alone.
		Name: subject.StreamRecords, Description: "Patchbay: one record for each call",
		Subjects: []string{subject.RecordAll}, Storage: jetstream.FileStorage,
		MaxAge: cfg.MaxAge, MaxBytes: cfg.MaxBytes, Discard: jetstream.DiscardNew,
		Duplicates: recordsDedup, Compression: Compression, AllowDirect: true,
	}, {
		// A line comes after its record and is a fraction of its size: it is there
		// for as long as the record is, and room for records is room for lines.
		Name: subject.StreamRecordIndex, Description: "Patchbay: whose record each one is, in the order of publication",
		Subjects: []string{subject.RecordIndexAll}, Storage: jetstream.FileStorage,
		MaxAge: cfg.MaxAge, MaxBytes: cfg.MaxBytes, MaxMsgSize: maxIndexLine, Discard: jetstream.DiscardNew,
		Compression: Compression, AllowDirect: true,
	}} {
		if err := cfg.Streams.Open(ctx, js, s); err != nil {
			return nil, fmt.Errorf("open journal: %w", err)
		}
	}
	return &Journal{cfg: cfg, js: js, nc: js.Conn(), vault: cfg.Keys.Vault(keys.Snapshot)}, nil
}

// The bucket as the stream that it is.
const (
	bucket   = "KV_" + subject.BucketCalls
	keyspace = "$KV." + subject.BucketCalls + "."
)

// failed says what an error of JetStream means for the step.
func failed(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
			return fmt.Errorf("%w: %w", errRevision, err)
		case errMessageTooLarge:
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// errMessageTooLarge is JetStream's code for a message beyond MaxMsgSize.
const errMessageTooLarge = 10054

// unread says that something could not be looked up.
func unread(err error) error {
	if errors.Is(err, lookup.ErrUnavailable) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
