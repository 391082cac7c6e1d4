package control

import (
	"context"
	"sync"
	"time"

	"patchbay/actors/endpoint"
)

// Limits of counting requests.
const (
	maxRated = 16_384 // accounts and projects whose requests are counted at once
	rateLook = 64     // of them looked at to make room for another
)

// A rated is what a limit of requests is for: an account, or one project of it
// that has a limit of its own.
type rated struct{ tenant, project string }

// A meter counts requests against limits.api_per_minute: those of this node
// alone. The zero meter is ready.
type meter struct {
	mu      sync.Mutex
	buckets map[rated]endpoint.Bucket
}

// take counts one request, or returns how long it is until one is free.
func (m *meter) take(who rated, perMinute int, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, known := m.buckets[who]
	if wait := b.Wait(now, perMinute, time.Minute); wait > 0 {
		return wait
	}
	b.Spend(now, perMinute, time.Minute)
	if !known {
		m.makeRoom(now)
	}
	m.buckets[who] = b
	return 0
}

// makeRoom forgets buckets that are as good as new, or else any one: what it
// allowed its owner may be allowed once more.
func (m *meter) makeRoom(now time.Time) {
	if m.buckets == nil {
		m.buckets = make(map[rated]endpoint.Bucket)
	}
	if len(m.buckets) < maxRated {
		return
	}
	looked := 0
	for who, b := range m.buckets { // in no order
		if looked++; b.Full(now) || len(m.buckets) >= maxRated && looked == rateLook {
			delete(m.buckets, who)
		}
		if looked == rateLook {
			return
		}
	}
}

// ration counts a request against the limit of its account, or of its key's
// project where that has one. An account that cannot be read has none for now:
// what needs the store fails by itself, and the rest, such as hanging up calls,
// must work.
func (o *Operations) ration(ctx context.Context, cred Credential) error {
	if o.Known == nil {
		return nil
	}
	acct, err := o.Known(ctx, cred.Tenant)
	if err != nil {
		return nil
	}
	who, limit := rated{tenant: cred.Tenant}, acct.Limits("").APIPerMinute
	if own := acct.Limits(cred.ProjectID).APIPerMinute; cred.ProjectID != "" && own > 0 {
		who.project, limit = cred.ProjectID, own
	}
	if limit <= 0 {
		return nil
	}
	if wait := o.meter.take(who, limit, o.Now()); wait > 0 {
		return &Error{Code: CodeRate, Message: "the account has used up its requests of this minute", RetryAfterMs: (wait + time.Millisecond - 1).Milliseconds()}
	}
	return nil
}
