package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// Limits of the event stream and of the way to it.
const (
	eventsMaxAge    = 72 * time.Hour
	eventsMaxBytes  = 1 << 30 // where the configuration names none
	eventsDedup     = 2 * time.Minute
	maxEventQueue   = 8192            // events that wait to be published; beyond it dropped
	maxEventPending = 4096            // published, not yet acknowledged
	eventAckWait    = 5 * time.Second // a stream leader's death stops writes for 5 to 9 s
	eventTries      = 6
	eventRetry      = 2 * time.Second
	ledgerFlush     = 5 * time.Second // longest wait for acknowledgements when the ledger ends
)

// LedgerConfig is what an operator may set of a Ledger.
type LedgerConfig struct {
	Replicas int   // of the EVENTS stream
	MaxBytes int64 // of the EVENTS stream; the oldest events go first; 0: 1 GiB
}

// A LedgerObserver hears how events fared. Nil hooks are skipped.
type LedgerObserver struct {
	Published func(took time.Duration)
	Dropped   func(why string) // queue_full, not_published, not_encoded
}

// A Ledger publishes calls' events to the EVENTS stream; whoever subscribes to
// its subjects hears them at once. The subject of a single call is its agent's,
// and no business of the ledger. It implements actors.Ledger. It never blocks:
// events beyond its queue are dropped and counted.
type Ledger struct {
	js    jetstream.JetStream
	obs   LedgerObserver
	log   *slog.Logger
	queue chan outgoing
	ready chan struct{}
}

// An outgoing is one event on its way out.
type outgoing struct {
	msg    *nats.Msg
	id     string
	first  time.Time
	future jetstream.PubAckFuture
	err    error // of the publication
}

// OpenLedger creates the EVENTS stream and returns its Ledger.
func OpenLedger(ctx context.Context, c *Conn, cfg LedgerConfig, log *slog.Logger, obs LedgerObserver) (*Ledger, error) {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = eventsMaxBytes
	}
	js, err := jetstream.New(c.JetStream().Conn(),
		jetstream.WithPublishAsyncMaxPending(maxEventPending), jetstream.WithPublishAsyncTimeout(eventAckWait))
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: subject.StreamEvents, Description: "Patchbay: events of calls",
		Subjects: []string{subject.EventAll}, Storage: jetstream.FileStorage, Replicas: max(cfg.Replicas, 1),
		MaxAge: eventsMaxAge, MaxBytes: cfg.MaxBytes, Duplicates: eventsDedup, Compression: jetstream.S2Compression,
	})
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", subject.StreamEvents, err)
	}
	return &Ledger{js: js, obs: obs, log: log, queue: make(chan outgoing, maxEventQueue), ready: make(chan struct{})}, nil
}

// Event implements actors.Ledger.
func (l *Ledger) Event(tenant string, ev actors.CallEvent) {
	ev.V = envelope.Version
	data, err := json.Marshal(ev)
	if err != nil {
		l.drop("not_encoded", ev.ID)
		return
	}
	l.enqueue(tenant, ev.Type, ev.ID, data)
}

// recordEvent is the event that carries a whole record.
const recordEvent = "call.record"

// Record implements actors.Ledger: the record travels as an event of its own,
// with an id that no other event of the call has.
func (l *Ledger) Record(rec call.Record) {
	ev := struct {
		V        int         `json:"v"`
		ID       string      `json:"id"`
		Call     call.ID     `json:"call_id"`
		Type     string      `json:"type"`
		At       time.Time   `json:"at"`
		Tenant   string      `json:"tenant"`
		Endpoint string      `json:"endpoint"`
		Data     call.Record `json:"data"`
	}{envelope.Version, rec.ID.String() + ".record", rec.ID, recordEvent, rec.Stages.Ended, rec.Tenant, rec.Endpoint, rec}
	data, err := json.Marshal(ev)
	if err != nil {
		l.drop("not_encoded", ev.ID)
		return
	}
	l.enqueue(rec.Tenant, recordEvent, ev.ID, data)
}

func (l *Ledger) enqueue(tenant, kind, id string, data []byte) {
	msg := nats.NewMsg(subject.Event(shardOf(tenant), tenant, kind))
	msg.Data = data
	select {
	case l.queue <- outgoing{msg: msg, id: id, first: time.Now()}:
	default:
		l.drop("queue_full", id)
	}
}

func shardOf(tenant string) uint8 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(tenant))
	return uint8(h.Sum32() % subject.EventShards)
}

func (l *Ledger) drop(why, id string) {
	l.log.Warn("event dropped", "reason", why, "event", id)
	if l.obs.Dropped != nil {
		l.obs.Dropped(why)
	}
}

// Waiting is how many events wait to be published.
func (l *Ledger) Waiting() int { return len(l.queue) }

// Ready is closed once the ledger publishes.
func (l *Ledger) Ready() <-chan struct{} { return l.ready }

// Run publishes until ctx ends, then what is left, for at most 5 s. While
// JetStream is away events wait here, then in the queue, then they are dropped.
func (l *Ledger) Run(ctx context.Context) error {
	acks := make(chan outgoing, maxEventPending)
	grace, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		for e := range acks {
			l.settle(grace, e)
		}
	}()
	close(l.ready)
	l.pump(ctx, acks)
	end := time.AfterFunc(ledgerFlush, cancel)
	defer end.Stop()
	for len(l.queue) > 0 {
		l.publish(<-l.queue, acks)
	}
	close(acks)
	<-settled
	return nil
}

func (l *Ledger) pump(ctx context.Context, acks chan<- outgoing) {
	for {
		select {
		case e := <-l.queue:
			l.publish(e, acks)
		case <-ctx.Done():
			return
		}
	}
}

// publish sends one event: subscribers hear it now, the stream takes it when it
// can.
func (l *Ledger) publish(e outgoing, acks chan<- outgoing) {
	e.future, e.err = l.js.PublishMsgAsync(e.msg, jetstream.WithMsgID(e.id))
	acks <- e
}

// settle waits until the stream has taken an event, and publishes it again
// where it has not, under the same id.
func (l *Ledger) settle(ctx context.Context, e outgoing) {
	for try := 1; ; try++ {
		if e.err == nil {
			e.err = acknowledged(ctx, e.future)
		}
		if e.err == nil {
			if l.obs.Published != nil {
				l.obs.Published(time.Since(e.first))
			}
			return
		}
		if try == eventTries || !pause(ctx, eventRetry) {
			l.drop("not_published", e.id)
			return
		}
		e.future, e.err = l.js.PublishMsgAsync(e.msg, jetstream.WithMsgID(e.id))
	}
}

func acknowledged(ctx context.Context, f jetstream.PubAckFuture) error {
	select {
	case <-f.Ok():
		return nil
	case err := <-f.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
