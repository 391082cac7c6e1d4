package locate

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Limits of what is kept, and for how long.
const (
	maxNames = 4096             // answers kept; beyond it the oldest that is met goes
	minTTL   = time.Second      // an answer of less is kept as long as this
	maxTTL   = time.Hour        // and one of more
	noneTTL  = 30 * time.Second // that there is nothing; less where the zone says so
	failTTL  = 2 * time.Second  // that nobody answered
	staleFor = time.Hour        // past its end an answer serves on while nobody answers
)

// An answer is what was found for a question.
type answer struct {
	records []record
	addrs   []netip.Addr
	ttl     time.Duration
}

// A source answers questions. An answer with nothing in it says that there is
// nothing; an error, that nobody said.
type source interface {
	ask(ctx context.Context, kind, name string) (answer, error)
	hosts(ctx context.Context, name string) (answer, error)
}

type question struct{ kind, name string }

type entry struct {
	answer
	until time.Time // fresh
	retry time.Time // of a stale one: nobody is asked before
}

// A cache asks each question once for the life of its answer.
type cache struct {
	from  source
	now   func() time.Time
	asked func(kind, outcome string)

	asking singleflight.Group
	mu     sync.Mutex
	known  map[question]entry
}

func (c *cache) init(from source, cfg Config) {
	c.from, c.now, c.asked, c.known = from, cfg.Now, cfg.Asked, map[question]entry{}
}

// records returns the NAPTR or SRV records of a name.
func (c *cache) records(ctx context.Context, kind, name string) ([]record, error) {
	a, err := c.get(ctx, question{kind, canonical(name)})
	return a.records, err
}

// addresses returns the addresses of a host, IPv4 first.
func (c *cache) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	a, err := c.get(ctx, question{"host", canonical(host)})
	return a.addrs, err
}

func (c *cache) get(ctx context.Context, q question) (answer, error) {
	if a, ok := c.fresh(q); ok {
		return a, nil
	}
	ch := c.asking.DoChan(q.kind+" "+q.name, func() (any, error) {
		if a, ok := c.fresh(q); ok { // another has asked since
			return a, nil
		}
		ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), askFor)
		defer cancel()
		return c.ask(ask, q)
	})
	select {
	case r := <-ch:
		if r.Err == nil {
			return r.Val.(answer), nil
		}
		return answer{}, errors.Join(ErrUnavailable, r.Err)
	case <-ctx.Done():
		return answer{}, errors.Join(ErrUnavailable, ctx.Err())
	}
}

// ask asks, and keeps what it finds. Where nobody answers, what was found before
// serves on. One question is asked by one goroutine at a time.
func (c *cache) ask(ctx context.Context, q question) (answer, error) {
	var a answer
	var err error
	if q.kind == "host" {
		a, err = c.from.hosts(ctx, q.name)
	} else {
		a, err = c.from.ask(ctx, q.kind, q.name)
	}
	outcome := "ok"
	switch {
	case err != nil:
		outcome = "failed"
	case len(a.records)+len(a.addrs) == 0:
		outcome = "none"
		a.ttl = min(a.ttl, noneTTL)
	}
	if c.asked != nil {
		c.asked(q.kind, outcome)
	}
	now := c.now()
	if err == nil {
		c.keep(q, entry{answer: a, until: now.Add(lifetime(a.ttl))})
		return a, nil
	}
	e, known := c.look(q)
	if !known || !now.Before(e.until.Add(staleFor)) {
		return answer{}, err
	}
	e.retry = now.Add(failTTL)
	c.keep(q, e)
	return e.answer, nil
}

// fresh returns an answer that is to be had without asking.
func (c *cache) fresh(q question) (answer, bool) {
	now := c.now()
	e, known := c.look(q)
	return e.answer, known && (now.Before(e.until) || now.Before(e.retry))
}

func (c *cache) look(q question) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.known[q]
	return e, ok
}

// keep makes room where there is none: for what is over first, else for
// whatever is met.
func (c *cache) keep(q question, e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.known[q]; !there && len(c.known) >= maxNames {
		c.evict()
	}
	c.known[q] = e
}

func (c *cache) evict() {
	now, looked := c.now(), 0
	var victim question
	for q, e := range c.known {
		victim = q
		if looked++; now.After(e.until) || looked == 64 {
			break
		}
	}
	delete(c.known, victim)
}
