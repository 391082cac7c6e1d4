package endpoint

import (
	"fmt"
	"time"
)

// Limits of throttles (Ultravox).
const (
	MaxThrottleRules  = 10
	MaxThrottleCalls  = 100    // of one rule
	MaxThrottleWindow = 86_400 // seconds: a day
)

// A Throttle bounds how often something may be done that names it: outgoing
// calls. All of its rules hold together.
type Throttle struct {
	V         int            `json:"v"`
	ID        string         `json:"id"` // UUID
	Tenant    string         `json:"tenant"`
	Name      string         `json:"name"`
	Rules     []ThrottleRule `json:"rules"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
	Revision  Revision       `json:"-"`
}

// A ThrottleRule allows so many calls in any window of that length.
type ThrottleRule struct {
	MaxCalls      int `json:"max_calls"`
	WindowSeconds int `json:"window_seconds"`
}

// Validate returns every mistake that keeps the throttle from being stored.
func (t *Throttle) Validate() []Problem {
	var ps problems
	ps.between("v", int64(t.V), currentVersion, currentVersion)
	ps.uuid("id", t.ID)
	ps.tenant("tenant", t.Tenant)
	ps.text("name", t.Name, 1, MaxName)
	switch n := len(t.Rules); {
	case n == 0:
		ps.add("rules", CodeRequired, "want 1 to %d rules", MaxThrottleRules)
	case n > MaxThrottleRules:
		ps.add("rules", CodeTooMany, "%d rules, want at most %d", n, MaxThrottleRules)
		return ps
	}
	for i, r := range t.Rules {
		field := fmt.Sprintf("rules[%d].", i)
		ps.between(field+"max_calls", int64(r.MaxCalls), 1, MaxThrottleCalls)
		ps.between(field+"window_seconds", int64(r.WindowSeconds), 1, MaxThrottleWindow)
	}
	return ps
}

// A Throttled is what is remembered of a throttle's use: when its latest calls
// were, at most MaxThrottleCalls of them, the oldest first.
type Throttled struct {
	V     int         `json:"v"`
	Calls []time.Time `json:"calls"`
}

// Take allows one more call and returns what is to be remembered then, or how
// long it is until one is allowed.
func (t *Throttle) Take(past Throttled, now time.Time) (next Throttled, wait time.Duration) {
	for _, r := range t.Rules {
		if len(past.Calls) < r.MaxCalls {
			continue
		}
		free := past.Calls[len(past.Calls)-r.MaxCalls].Add(time.Duration(r.WindowSeconds) * time.Second)
		wait = max(wait, free.Sub(now))
	}
	if wait > 0 {
		return past, wait
	}
	calls := append(past.Calls[max(len(past.Calls)-MaxThrottleCalls+1, 0):len(past.Calls):len(past.Calls)], now)
	return Throttled{V: currentVersion, Calls: calls}, 0
}

// Longest is the longest window of the throttle: what is older does not count.
func (t *Throttle) Longest() time.Duration {
	longest := 0
	for _, r := range t.Rules {
		longest = max(longest, r.WindowSeconds)
	}
	return time.Duration(longest) * time.Second
}
