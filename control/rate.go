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
	mu    sync.Mutex
	spent map[rated]spent
}

// A spent is what was counted of one limit: those of keys in windows, all others
// in buckets.
type spent struct {
	bucket endpoint.Bucket
	window window
}

// over reports that nothing of it matters any more.
func (s spent) over(now time.Time) bool {
	return s.bucket.Full(now) && s.window.at(now).n == 0
}

// take counts one request, or returns how long it is until one is free, and what
// is left.
func (m *meter) take(who rated, perMinute int, now time.Time) (Rate, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, known := m.spent[who]
	if who.key != "" {
		s.window = s.window.at(now)
		if s.window.n >= perMinute {
			left := s.window.rate(perMinute, now)
			return left, left.Reset
		}
		s.window.n++
	} else {
		if wait := s.bucket.Wait(now, perMinute, time.Minute); wait > 0 {
			return s.rate(who, perMinute, now), wait
		}
		s.bucket.Spend(now, perMinute, time.Minute)
	}
	if !known {
		m.makeRoom(now)
	}
	m.spent[who] = s
	return s.rate(who, perMinute, now), 0
}

// look returns what is left.
func (m *meter) look(who rated, perMinute int, now time.Time) Rate {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.spent[who].rate(who, perMinute, now)
}

func (s spent) rate(who rated, perMinute int, now time.Time) Rate {
	if who.key != "" {
		return s.window.at(now).rate(perMinute, now)
	}
	return Rate{Limit: perMinute, Remaining: s.bucket.Left(now, perMinute, time.Minute), Reset: s.bucket.Refill(now)}
}

// makeRoom forgets what is as good as new, or else any one: what it allowed its
// owner may be allowed once more.
func (m *meter) makeRoom(now time.Time) {
	if m.spent == nil {
		m.spent = make(map[rated]spent)
	}
	if len(m.spent) < maxRated {
		return
	}
	looked := 0
	for who, s := range m.spent { // in no order
		if looked++; s.over(now) || len(m.spent) >= maxRated && looked == rateLook {
			delete(m.spent, who)
		}
		if looked == rateLook {
			return
		}
	}
}

// Count counts a request against the limit of its account, or of its key's
// project where that has one; a key of Yappr's kind has a limit of its own where
// neither does. It returns what is left, the zero Rate where nothing is limited,
// and refuses with CodeRate. Do counts by itself, unless the request says that it
// was counted.
func (o *Operations) Count(ctx context.Context, cred Credential) (Rate, error) {
	who, limit := o.limitOf(ctx, cred)
	if limit <= 0 {
		return Rate{}, nil
	}
	left, wait := o.meter.take(who, limit, o.Now())
	if wait > 0 {
		return left, &Error{Code: CodeRate, Message: "the " + who.word() + " has used up its requests of this minute", RetryAfterMs: (wait + time.Millisecond - 1).Milliseconds()}
	}
	return left, nil
}

// word names whose limit it is.
func (r rated) word() string {
	switch {
	case r.key != "":
		return "key"
	case r.project != "":
		return "project"
	}
	return "account"
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
	return o.meter.look(who, limit, o.Now()), true
}
