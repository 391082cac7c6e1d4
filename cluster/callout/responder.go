package callout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
	"patchbay/internal/keys"
)

// Limits of a Responder.
const (
	maxLooks    = 64                      // keys looked up at once; more wait in the subscription
	lookTime    = 1500 * time.Millisecond // of one look-up: a server waits 1.9 s
	slowness    = time.Second             // a refusal takes this long
	maxRefusals = 512                     // refusals under way; beyond it at once
	maxSessions = time.Hour               // of a connection: then its client connects again
	tellEvery   = time.Second             // how often refusals are logged
)

// ErrRefused says that a secret opens nothing: it is wrong, or revoked, or may
// not do what the client asked for.
var ErrRefused = errors.New("refused")

// A Judge keeps the API keys. Its errors but [ErrRefused] say that it cannot
// tell now.
type Judge struct {
	// Admit says what a client may do that shows a name and a key.
	Admit func(ctx context.Context, user, secret string) (Pass, error)
	// Good reports whether the key of that digest is still good.
	Good func(ctx context.Context, key endpoint.Key) (bool, error)
}

// A Responder answers NATS servers about clients that show an API key. Several
// share the work.
type Responder struct {
	nc    *nats.Conn
	keys  []Keys
	judge Judge
	log   *slog.Logger
	now   func() time.Time
	ready chan struct{}

	looks, refusals chan struct{}
	hosts           hosts
	wg              sync.WaitGroup

	mu     sync.Mutex
	told   time.Time
	untold int // refusals since
}

// NewResponder returns a Responder with the keys of the cluster, or an error
// where the file has none.
func NewResponder(nc *nats.Conn, c *keys.Cluster, judge Judge, now func() time.Time, log *slog.Logger) (*Responder, error) {
	all, err := KeysOf(c)
	if err != nil {
		return nil, err
	}
	return &Responder{nc: nc, keys: all, judge: judge, log: log, now: now, ready: make(chan struct{}),
		looks: make(chan struct{}, maxLooks), refusals: make(chan struct{}, maxRefusals)}, nil
}

// Ready implements lifecycle.Component.
func (r *Responder) Ready() <-chan struct{} { return r.ready }

// Run answers until ctx ends, then finishes what was begun.
func (r *Responder) Run(ctx context.Context) error {
	defer r.wg.Wait()
	for _, at := range []struct {
		subject string
		take    func(ctx context.Context, m *nats.Msg, leave func())
	}{{Subject, r.asked}, {subject.AuthKeys, r.askedGood}} {
		sub, err := r.nc.QueueSubscribe(at.subject, subject.Callout, func(m *nats.Msg) { r.enter(ctx, m, at.take) })
		if err == nil {
			err = sub.SetPendingLimits(maxPending, -1)
		}
		if err != nil {
			return fmt.Errorf("answer NATS servers: %w", err)
		}
		defer func() { _ = sub.Unsubscribe() }() // the connection may be gone
	}
	if err := r.nc.Flush(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("answer NATS servers: %w", err)
	}
	close(r.ready)
	<-ctx.Done()
	return nil
}

// enter takes a place for a question, and has the others wait.
func (r *Responder) enter(ctx context.Context, m *nats.Msg, take func(ctx context.Context, m *nats.Msg, leave func())) {
	select {
	case r.looks <- struct{}{}:
	case <-ctx.Done():
		return
	}
	leave := sync.OnceFunc(func() { <-r.looks })
	r.wg.Go(func() {
		defer leave()
		defer func() {
			if p := recover(); p != nil {
				r.log.Error("who clients are: panicked", "err", fmt.Sprintf("%T", p)) // what it says may hold a secret
			}
		}()
		take(ctx, m, leave)
	})
}

// asked answers about one client. It gives its place back before it waits.
func (r *Responder) asked(ctx context.Context, m *nats.Msg, leave func()) {
	q, err := open(r.keys, m)
	if err != nil {
		r.log.Debug("question of a NATS server not read", "err", err)
		return
	}
	if _, ok := q.derived(); ok {
		return // the Doorkeeper's
	}
	pass, err := r.judged(ctx, q)
	leave()
	var answer []byte
	switch {
	case err == nil:
		answer, err = q.admit(r.bounded(pass))
	case errors.Is(err, ErrRefused):
		r.slowly(ctx)
		answer, err = q.refuse(wrong)
	default:
		r.log.Warn("a NATS client was turned away: its key could not be looked up", "err", err)
		answer, err = q.refuse("keys cannot be looked up now")
	}
	if err == nil {
		err = m.Respond(answer)
	}
	if err != nil {
		r.log.Warn("a NATS client got no answer", "err", err)
	}
}

// judged looks the key up, unless too many wrong ones have come from the host.
func (r *Responder) judged(ctx context.Context, q Request) (Pass, error) {
	if q.Secret == "" || !r.hosts.may(q.Host, r.now()) {
		r.refused(q.Host)
		return Pass{}, ErrRefused
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	pass, err := r.judge.Admit(ctx, q.User, q.Secret)
	if errors.Is(err, ErrRefused) {
		r.hosts.wrong(q.Host, guess(q.User, q.Secret), r.now())
		r.refused(q.Host)
	}
	return pass, err
}

// bounded has a connection end within [maxSessions], so that a server without a
// Doorkeeper does not keep a revoked key connected for ever.
func (r *Responder) bounded(p Pass) Pass {
	if last := r.now().Add(maxSessions); p.Until.IsZero() || p.Until.After(last) {
		p.Until = last
	}
	return p
}

// slowly waits before a refusal.
func (r *Responder) slowly(ctx context.Context) {
	select {
	case r.refusals <- struct{}{}:
	default:
		return
	}
	defer func() { <-r.refusals }()
	wait := time.NewTimer(slowness)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}

// refused logs refusals, one line a second at most.
func (r *Responder) refused(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.untold++
	if now := r.now(); now.Sub(r.told) >= tellEvery {
		r.log.Info("a NATS client was refused", "source", host, "count", r.untold)
		r.told, r.untold = now, 0
	}
}

// askedGood tells a Doorkeeper which keys are no longer good. One that cannot be
// looked up counts as good: a store that is away must not end connections.
func (r *Responder) askedGood(ctx context.Context, m *nats.Msg, _ func()) {
	var l keysLine
	if err := json.Unmarshal(m.Data, &l); err != nil || l.V != version || len(l.Keys) > maxAsked || !subject.IsInbox(m.Reply) {
		r.log.Warn("question about keys not understood", "version", l.V)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	gone := goneLine{V: version}
	for _, key := range l.Keys {
		if good, err := r.judge.Good(ctx, key); err == nil && !good {
			gone.Gone = append(gone.Gone, key)
		}
	}
	body, err := json.Marshal(gone)
	if err == nil {
		err = m.Respond(body)
	}
	if err != nil {
		r.log.Warn("a broker got no answer about keys", "err", err)
	}
}
