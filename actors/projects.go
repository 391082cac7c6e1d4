package actors

import (
	"sync"
	"time"

	"patchbay/actors/endpoint"
)

// projectStripes is how many locks all projects share.
const projectStripes = 64

// projects hold the quotas of projects, whose endpoints live in many
// partitions. Only projects with limits are kept, and only while in use.
type projects [projectStripes]struct {
	mu     sync.Mutex
	quotas map[endpoint.Key]*quota
}

// with runs do alone on the quota of a project; with the zero Key it runs it
// on nil, for there are no limits to keep.
func (p *projects) with(key endpoint.Key, do func(*quota)) {
	if key == "" {
		do(nil)
		return
	}
	stripe := &p[(uint(key[0])*31+uint(key[len(key)-1]))%projectStripes]
	stripe.mu.Lock()
	defer stripe.mu.Unlock()
	q, ok := stripe.quotas[key]
	if !ok {
		if stripe.quotas == nil {
			stripe.quotas = make(map[endpoint.Key]*quota)
		}
		q = &quota{}
		stripe.quotas[key] = q
	}
	do(q)
}

// sweep forgets the quotas that are not in use.
func (p *projects) sweep(now time.Time) {
	for i := range p {
		stripe := &p[i]
		stripe.mu.Lock()
		for key, q := range stripe.quotas {
			if q.idle(now) {
				delete(stripe.quotas, key)
			}
		}
		stripe.mu.Unlock()
	}
}

func (p *projects) len() int {
	n := 0
	for i := range p {
		p[i].mu.Lock()
		n += len(p[i].quotas)
		p[i].mu.Unlock()
	}
	return n
}
