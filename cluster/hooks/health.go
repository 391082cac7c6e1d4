package hooks

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/cluster/envelope"
	"patchbay/cluster/hooks/plan"
	"patchbay/cluster/subject"
	"patchbay/internal/pause"
	"patchbay/internal/webhook"
)

// Limits of what is told of a target's health.
const (
	maxFailures = 10              // kept of a target
	stateEvery  = 5 * time.Second // how often a failure is written that changes nothing else
	stateTries  = 3               // of writing what changes
	maxStates   = 4096            // targets whose health a shard knows by heart
)

// judged says what becomes of a delivery that was tried, and tells its owner how
// the target does.
func (s *shard) judged(d *plan.Delivery, result plan.Result, r webhook.Receipt) plan.Verdict {
	st := s.state(d.Tenant, d.Target)
	if st != nil {
		st.mu.Lock()
		defer st.mu.Unlock()
	}
	s.mu.Lock()
	v := s.plan.Judge(d, result, time.Now())
	s.mu.Unlock()
	if st != nil && result != plan.Gone {
		s.health(st, d, r, v.Down)
	}
	return v
}

// health notes how a try ended, and writes it where owners find it: what changes
// at once, further failures now and then. That it cannot be written costs no
// delivery. st is locked.
func (s *shard) health(st *known, d *plan.Delivery, r webhook.Receipt, down bool) {
	now, tries := time.Now().UTC(), 1
	if st.note(r, down, now) {
		st.unsaid, tries = true, stateTries
	}
	if !st.unsaid && (r.Failure == "" || now.Sub(st.said) < stateEvery) {
		return
	}
	data, err := json.Marshal(&st.state)
	if err != nil {
		return
	}
	st.said = now
	for n := range tries {
		if n > 0 && !pause.For(s.ctx, again) {
			return
		}
		if st.unsaid = s.say(subject.HookState(s.n, d.Tenant, d.Target), data) != nil; !st.unsaid {
			return
		}
	}
}

// note takes the end of a try. turned: the target is left alone with it, or well
// again.
func (st *known) note(r webhook.Receipt, down bool, now time.Time) (turned bool) {
	if r.Failure == "" {
		turned = st.Unhealthy
	} else {
		st.Failures = slices.Insert(st.Failures, 0, failure{now, r.Failure})
		st.Failures = st.Failures[:min(len(st.Failures), maxFailures)]
		turned = down && !st.Unhealthy
	}
	if turned {
		st.Unhealthy, st.Changed = !st.Unhealthy, now
	}
	return turned
}

// say writes a state. The shard's owner alone does, and what is lost is written
// with the next.
func (s *shard) say(to string, data []byte) error {
	ctx, cancel := context.WithTimeout(s.ctx, writeWait)
	defer cancel()
	_, err := s.d.js.PublishMsg(ctx, &nats.Msg{Subject: to, Data: data}, jetstream.WithMsgTTL(stateTTL))
	return err
}

// A known state is how a target does. Its lock is held from the judgement of a
// try until what that changes is written: of tries that end together the last
// one's word is the last.
type known struct {
	mu sync.Mutex
	state
	said   time.Time // when it was written last
	unsaid bool      // or could not be
}

// state is how a target does, as far as is known; nil: it cannot be read now.
func (s *shard) state(tenant, target string) *known {
	name := tenant + "/" + target // ids are their owners' to choose
	s.mu.Lock()
	st := s.states[name]
	s.mu.Unlock()
	if st != nil {
		return st
	}
	stored, err := readState(s.ctx, s.d.js, s.n, tenant, target)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st = s.states[name]; st != nil {
		return st
	}
	if len(s.states) >= maxStates {
		clear(s.states)
	}
	st = &known{state: *stored}
	s.states[name] = st
	return st
}

func readState(ctx context.Context, js jetstream.JetStream, shard uint8, tenant, target string) (*state, error) {
	m, there, err := get(ctx, js.Conn(), subject.StreamHooks, subject.HookState(shard, tenant, target))
	if err == nil && !there {
		m, there, err = get(ctx, js.Conn(), subject.StreamHooks, subject.HookStateBefore(shard, target))
	}
	if err != nil {
		return nil, err
	}
	if !there {
		return &state{V: envelope.Version}, nil
	}
	st, err := decode[state](m.Subject, m.Data)
	return &st, err
}
