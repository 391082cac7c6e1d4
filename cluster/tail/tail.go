// Package tail follows a stream: what it holds, then each change, in order and
// without a gap.
//
// It decides when a consumer is to be given up: after two seconds without a
// heartbeat, after a gap, after any error. Whoever calls begins again where it
// stood. It exists because kv.Watch stayed silent for 19 s after its server's
// death when it was tried, and because the library's ordered consumer
// waits up to 10 s for a JetStream that has no leader when it resets itself. It
// refuses to hide an interruption: the caller must know that it is behind.
package tail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Settings of a consumer.
const (
	heartbeat  = time.Second      // two that are missing end it
	expiry     = 5 * time.Second  // of one pull
	createWait = 2 * time.Second  // at most for JetStream to make it; an election takes longer, and is waited for by trying again
	firstWait  = createWait / 4   // the first time: a broker that has just died may have been chosen to make it
	inactive   = 30 * time.Second // after which the server forgets one that nobody pulls from
	maxPulled  = 500              // messages asked for at once
)

// Retry is how long a caller waits before it begins again.
const Retry = 100 * time.Millisecond

// ErrGap says that messages were lost on the way: begin again.
var ErrGap = errors.New("tail: a message is missing")

// A Query says what is followed.
type Query struct {
	Stream  string
	Filter  string // subjects; empty: all
	From    uint64 // first sequence; 0: all that the stream holds, with a filter the last message of each subject
	Headers bool   // without the payload
}

// A Message is one of the stream.
type Message struct {
	Subject  string
	Sequence uint64
	Pending  uint64 // of what the consumer still has to tell
	Header   nats.Header
	Data     []byte
}

// Follow gives take each message until ctx ends, and returns ctx's error then;
// any other error is an interruption. begun is called once the consumer stands,
// with how many messages it has to tell.
func Follow(ctx context.Context, js jetstream.JetStream, q Query, begun func(pending uint64), take func(Message) error) error {
	cons, pending, err := create(ctx, js, q)
	if err != nil {
		return err
	}
	msgs, err := cons.Messages(jetstream.PullHeartbeat(heartbeat), jetstream.PullExpiry(expiry),
		jetstream.PullMaxMessages(maxPulled), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return fmt.Errorf("start consumer: %w", err)
	}
	defer msgs.Stop()
	begun(pending)
	for told := uint64(1); ; told++ {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != told {
			return fmt.Errorf("%w: %d came, not %d", ErrGap, meta.Sequence.Consumer, told)
		}
		err = take(Message{Subject: m.Subject(), Sequence: meta.Sequence.Stream, Pending: meta.NumPending, Header: m.Headers(), Data: m.Data()})
		if err != nil {
			return err
		}
	}
}

// create asks for a consumer, and again for another where none comes: JetStream
// chooses its broker at random, for some seconds a dead one, too.
func create(ctx context.Context, js jetstream.JetStream, q Query) (cons jetstream.Consumer, pending uint64, err error) {
	for wait := firstWait; wait <= createWait; wait *= 2 {
		cons, pending, err = ask(ctx, js, q, wait)
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			break
		}
	}
	return cons, pending, err
}

func ask(ctx context.Context, js jetstream.JetStream, q Query, wait time.Duration) (jetstream.Consumer, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	cfg := jetstream.ConsumerConfig{
		Name: "tail_" + nuid.Next(), FilterSubject: q.Filter, HeadersOnly: q.Headers,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: q.From,
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: inactive, Replicas: 1, MemoryStorage: true,
	}
	if q.From == 0 {
		cfg.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
		if q.Filter == "" {
			cfg.DeliverPolicy = jetstream.DeliverAllPolicy
		}
	}
	cons, err := js.CreateConsumer(ctx, q.Stream, cfg)
	if err != nil {
		return nil, 0, fmt.Errorf("create consumer: %w", err)
	}
	return cons, cons.CachedInfo().NumPending, nil
}
