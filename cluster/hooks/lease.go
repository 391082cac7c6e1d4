package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// Times of a lease. JetStream's leader counts in whole seconds by its own clock.
const (
	leaseTTL    = 15 * time.Second
	leaseMargin = 2 * time.Second // for the way, for clocks, for an end that is noticed late
	renewals    = 5               // in the time of one lease
)

// A lease says that a node lives, and so that the shards that bear its name are
// its own. One that has lapsed is never renewed: the node begins again under
// another boot, so that whoever took a shard meanwhile keeps it.
type lease struct {
	js   jetstream.JetStream
	node string
	ttl  time.Duration

	mu      sync.Mutex
	boot    uint64
	rev     uint64
	until   time.Time // local clock
	tried   time.Time // first renewal since the last one that was heard of; zero: none
	leaving bool
}

// take begins a lease and returns a context that ends with it. begun is the
// clock.
func (l *lease) take(ctx context.Context, now time.Time) (context.Context, context.CancelFunc, error) {
	have, _, err := get(ctx, l.js.Conn(), subject.StreamHooks, subject.HookMember(l.node))
	if err != nil {
		return nil, nil, err
	}
	l.mu.Lock()
	l.boot, l.rev, l.tried = max(uint64(now.UnixNano()), l.boot+1), have.Sequence, time.Time{}
	l.mu.Unlock()
	if err := l.renew(ctx); err != nil {
		return nil, nil, err
	}
	held, cancel := context.WithCancel(ctx)
	go l.watch(held, cancel)
	return held, cancel, nil
}

// watch ends the context when the lease does.
func (l *lease) watch(ctx context.Context, end context.CancelFunc) {
	defer end()
	for {
		left := l.left(time.Now())
		if left <= 0 {
			return
		}
		timer := time.NewTimer(min(left, tick))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// left is how long the lease lasts, by the clock that says less: while a machine
// is suspended only the one on the wall goes on.
func (l *lease) left(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return min(l.until.Sub(now), l.until.Round(0).Sub(now.Round(0)))
}

// renew makes the lease last from now on. errRevision: somebody has the node's
// name, or the lease is over.
func (l *lease) renew(ctx context.Context) error {
	l.mu.Lock()
	m, rev := member{V: envelope.Version, Node: l.node, Boot: l.boot, Leaving: l.leaving}, l.rev
	l.mu.Unlock()
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	sent := l.trying(time.Now())
	rev, err = put(ctx, l.js, write{to: subject.HookMember(l.node), expect: rev, data: data, ttl: l.ttl})
	if errors.Is(err, errRevision) {
		rev, err = l.adopt(ctx)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rev, l.until, l.tried = rev, sent.Add(l.ttl-leaseMargin), time.Time{}
	return nil
}

// trying returns since when the lease counts if it is renewed now: where earlier
// tries were not heard of, one of them may be the one that has landed.
func (l *lease) trying(now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tried.IsZero() {
		l.tried = now
	}
	return l.tried
}

// adopt finds our own last renewal, which has landed unheard.
func (l *lease) adopt(ctx context.Context) (uint64, error) {
	have, there, err := get(ctx, l.js.Conn(), subject.StreamHooks, subject.HookMember(l.node))
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m, err := decode[member]("a member", have.Data)
	if !there || err != nil || m.Boot != l.boot {
		return 0, errRevision
	}
	return have.Sequence, nil
}

// leave tells the others to take this node's shards.
func (l *lease) leave(ctx context.Context) {
	l.mu.Lock()
	l.leaving = true
	l.mu.Unlock()
	_ = l.renew(ctx) // else they find out when the lease ends
}

// end gives the lease back.
func (l *lease) end(ctx context.Context) {
	l.mu.Lock()
	rev := l.rev
	l.mu.Unlock()
	_, _ = put(ctx, l.js, write{to: subject.HookMember(l.node), expect: rev}) // else it ends by itself
}

// me is the node as marks name it.
func (l *lease) me() (node string, boot uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.node, l.boot
}
