package control

import (
	"context"
	"sync"
	"time"

	"patchbay/actors/endpoint"
)

// Limits of counting requests.
const (
	maxRated = 16_384 // accounts, projects and keys whose requests are counted at once
	rateLook = 64     // of them looked at to make room for another
)

// A rated is what a limit of requests is for: an account, or one project or key
// of it that has a limit of its own.
type rated struct{ tenant, project, key string }

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

// look returns the bucket as it is.
func (m *meter) look(who rated) endpoint.Bucket {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.buckets[who]
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
// project where that has one; a key of Yappr's kind has a limit of its own where
// neither does.
func (o *Operations) ration(ctx context.Context, cred Credential) error {
	who, limit := o.limitOf(ctx, cred)
	if limit <= 0 {
		return nil
	}
	if wait := o.meter.take(who, limit, o.Now()); wait > 0 {
		return &Error{Code: CodeRate, Message: "the account has used up its requests of this minute", RetryAfterMs: (wait + time.Millisecond - 1).Milliseconds()}
	}
	return nil
}

// limitOf returns what a credential's requests are counted as, and how many a
// minute there may be; 0: as many as it likes. An account that cannot be read
// has no limit for now: what needs the store fails by itself, and the rest, such
// as hanging up calls, must work.
func (o *Operations) limitOf(ctx context.Context, cred Credential) (who rated, perMinute int) {
	if o.Known == nil {
		return rated{}, 0
	}
	acct, err := o.Known(ctx, cred.Tenant)
	if err != nil {
		return rated{}, 0
	}
	if own := acct.Limits(cred.ProjectID).APIPerMinute; cred.ProjectID != "" && own > 0 {
		return rated{tenant: cred.Tenant, project: cred.ProjectID}, own
	}
	limit := acct.Limits("").APIPerMinute
	if limit <= 0 && cred.Kind == endpoint.KindOfYappr && cred.KeyID != "" {
		return rated{tenant: cred.Tenant, key: cred.KeyID}, endpoint.YapprRequestsPerMinute
	}
	return rated{tenant: cred.Tenant}, limit
}

// Rate says how much of its requests a credential has left on this node, and
// counts none; false: they are not limited.
func (o *Operations) Rate(ctx context.Context, cred Credential) (Rate, bool) {
	who, limit := o.limitOf(ctx, cred)
	if limit <= 0 {
		return Rate{}, false
	}
	b, now := o.meter.look(who), o.Now()
	return Rate{Limit: limit, Remaining: b.Left(now, limit, time.Minute), Reset: b.Refill(now)}, true
}
