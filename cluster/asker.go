package cluster

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// How an ask ends without an answer.
var (
	errNobody  = errors.New("nobody listens")
	errSilence = errors.New("no answer in time")
	errFull    = errors.New("too many wait for an answer")
	errClosed  = errors.New("closed")
)

// askShards spreads asks over tables, so that no lock serialises a node.
const askShards = 8

// An asker asks over NATS without a goroutine for each question: one inbox
// subscription, a bounded table of who waits, one wheel of deadlines.
type asker struct {
	nc     *nats.Conn
	inbox  string
	sub    *nats.Subscription
	tables [askShards]*pending
	turn   atomic.Uint64 // of the tables
	panics func(any)
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once
}

// newAsker listens for answers. limit is how many asks may wait at once;
// panics hears of a panic in a done function, which costs that answer alone.
func newAsker(nc *nats.Conn, limit int, panics func(any)) (*asker, error) {
	a := &asker{nc: nc, inbox: nc.NewInbox() + ".", panics: panics, stop: make(chan struct{}), done: make(chan struct{})}
	for i := range a.tables {
		a.tables[i] = newPending((limit+askShards-1)/askShards, time.Now())
	}
	sub, err := nc.Subscribe(a.inbox+"*", a.answer)
	if err != nil {
		return nil, fmt.Errorf("subscribe to answers: %w", err)
	}
	if err := sub.SetPendingLimits(2*limit, maxPendingBytes); err != nil {
		return nil, fmt.Errorf("limit answers: %w", err)
	}
	a.sub = sub
	go a.sweep()
	return a, nil
}

// ask publishes data and calls done exactly once: with the answer, or with
// errNobody, errSilence, errFull, errClosed or NATS's own error. done runs on
// another goroutine, or, when nothing could be sent, on the caller's; it must
// not block.
func (a *asker) ask(subject string, data []byte, wait time.Duration, done func(reply)) {
	shard := a.turn.Add(1) % askShards
	id, ok := a.tables[shard].add(time.Now(), wait, done)
	if !ok {
		a.call(done, reply{err: a.refusal()})
		return
	}
	if err := a.nc.PublishRequest(subject, ticketed(a.inbox, id*askShards+shard), data); err != nil {
		if done := a.tables[shard].take(id); done != nil {
			a.call(done, reply{err: err})
		}
	}
}

// later calls done with errSilence after a pause, or at once with errFull or
// errClosed. It takes a place among the asks.
func (a *asker) later(pause time.Duration, done func(reply)) {
	if _, ok := a.tables[a.turn.Add(1)%askShards].add(time.Now(), pause, done); !ok {
		a.call(done, reply{err: a.refusal()})
	}
}

// echo asks NATS alone: the question is its own answer.
func (a *asker) echo(wait time.Duration, done func(reply)) {
	shard := a.turn.Add(1) % askShards
	id, ok := a.tables[shard].add(time.Now(), wait, done)
	if !ok {
		a.call(done, reply{err: a.refusal()})
		return
	}
	if err := a.nc.Publish(ticketed(a.inbox, id*askShards+shard), nil); err != nil {
		if done := a.tables[shard].take(id); done != nil {
			a.call(done, reply{err: err})
		}
	}
}

// ticketed is the subject of one answer: at the price of one allocation.
func ticketed(inbox string, n uint64) string {
	var room [96]byte
	return string(strconv.AppendUint(append(room[:0], inbox...), n, 36))
}

func (a *asker) refusal() error {
	select {
	case <-a.stop:
		return errClosed
	default:
		return errFull
	}
}

func (a *asker) answer(m *nats.Msg) {
	n, err := strconv.ParseUint(m.Subject[len(a.inbox):], 36, 64)
	if err != nil {
		return // not a subject of ours
	}
	done := a.tables[n%askShards].take(n / askShards)
	if done == nil {
		return // too late, or a second answer
	}
	r := reply{data: m.Data}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		r = reply{err: errNobody}
	}
	a.call(done, r)
}

func (a *asker) sweep() {
	defer close(a.done)
	tick := time.NewTicker(wheelTick)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, t := range a.tables {
				a.end(t.expire(now), errSilence)
			}
		case <-a.stop:
			for _, t := range a.tables {
				a.end(t.drain(), errClosed)
			}
			return
		}
	}
}

func (a *asker) end(waits []func(reply), err error) {
	for _, done := range waits {
		a.call(done, reply{err: err})
	}
}

func (a *asker) call(done func(reply), r reply) {
	defer contain(a.panics)
	done(r)
}

// waiting is how many asks have no answer yet.
func (a *asker) waiting() (n int) {
	for _, t := range a.tables {
		n += t.len()
	}
	return n
}

// close ends every ask with errClosed. It may be called twice.
func (a *asker) close() {
	a.once.Do(func() {
		close(a.stop)
		_ = a.sub.Unsubscribe()
	})
	<-a.done
}

// contain turns a panic into a report: one message is lost, not the process.
func contain(report func(any)) {
	if p := recover(); p != nil && report != nil {
		report(p)
	}
}
