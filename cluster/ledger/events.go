package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/cluster/envelope"
	"patchbay/cluster/spool"
)

// An outgoing is one event on its way out.
type outgoing struct {
	to     string // subject on the stream
	id     string
	data   []byte
	future jetstream.PubAckFuture
	err    error // of the publication
}

// A spooledEvent is an event as the spool holds it.
type spooledEvent struct {
	V    int             `json:"v"`
	To   string          `json:"to"`
	ID   string          `json:"id"`
	Data json.RawMessage `json:"data"`
}

// pump publishes what comes until ctx ends, then what is left.
func (l *Ledger) pump(ctx context.Context, acks chan<- outgoing) {
	for {
		select {
		case e := <-l.events:
			l.guard(func() { l.publish(e, acks) })
		case <-ctx.Done():
			for len(l.events) > 0 {
				e := <-l.events
				l.guard(func() { l.publish(e, acks) })
			}
			return
		}
	}
}

// errBehind says that an event was not sent: others wait in the spool.
var errBehind = errors.New("behind what is spooled")

// publish sends one event: subscribers hear it now, the stream takes it when it
// can. While others wait in the spool it waits behind them, and behind those
// that may still come there: the events of a call keep their order. The subject
// of a single call is its agent's, and no business of the ledger.
func (l *Ledger) publish(e outgoing, acks chan<- outgoing) {
	defer l.queued.Add(-1)
	switch behind := l.eventsAway.Load() || l.spool.Waiting(spool.Events) > 0; {
	case behind && l.unsettled.Load() == 0:
		l.spoolEvent(e)
		return
	case behind:
		e.err = errBehind
	default:
		e.future, e.err = l.send(e.to, e.id, e.data)
	}
	l.unsettled.Add(1)
	acks <- e
}

func (l *Ledger) send(to, id string, data []byte) (jetstream.PubAckFuture, error) {
	return l.js.PublishMsgAsync(&nats.Msg{Subject: to, Data: data}, jetstream.WithMsgID(id))
}

// settle waits until the stream has taken each event, in their order, and
// spools those it has not.
func (l *Ledger) settle(ctx context.Context, acks <-chan outgoing) {
	for e := range acks {
		l.guard(func() {
			defer l.unsettled.Add(-1)
			if e.err == nil {
				e.err = acknowledged(ctx, e.future)
			}
			if e.err == nil {
				l.event(FatePublished, 1)
				return
			}
			if !errors.Is(e.err, errBehind) {
				l.away("events", e.err)
			}
			l.spoolEvent(e)
		})
	}
}

// away notes that JetStream does not take events, or records.
func (l *Ledger) away(what string, err error) {
	flag := &l.eventsAway
	if what == "records" {
		flag = &l.recordsAway
	}
	if !flag.Swap(true) {
		l.log.Warn("JetStream does not answer: spooling", "kind", what, "err", err)
	}
}

// back notes that it does again.
func (l *Ledger) back(what string) (was bool) {
	flag := &l.eventsAway
	if what == "records" {
		flag = &l.recordsAway
	}
	if was = flag.Swap(false); was {
		l.log.Info("JetStream answers again: the spool is empty", "kind", what)
	}
	return was
}

func (l *Ledger) spoolEvent(e outgoing) {
	data, err := json.Marshal(spooledEvent{V: envelope.Version, To: e.to, ID: e.id, Data: e.data})
	if err == nil {
		err = l.spool.Append(spool.Events, data)
	}
	if err != nil {
		l.loseEvents(1, "not_spooled", err)
		return
	}
	l.event(FateSpooled, 1)
}

func decodeEvent(data []byte) (spooledEvent, error) {
	var e spooledEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("decode spooled event: %w", err)
	}
	if e.V != envelope.Version || e.To == "" || e.ID == "" {
		return e, fmt.Errorf("decode spooled event: of version %d", e.V)
	}
	return e, nil
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
