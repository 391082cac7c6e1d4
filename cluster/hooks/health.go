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
	"patchbay/cluster/subject"
	"patchbay/internal/webhook"
)

// Limits of what is told of a target's health.
const (
	maxFailures = 10              // kept of a target
	stateEvery  = 5 * time.Second // how often a failure is written that changes nothing else
	maxStates   = 4096            // targets whose health a shard knows by heart
)

// health notes how a try ended, and writes it where owners find it: what changes
// at once, further failures now and then. That it cannot be written costs no
// delivery.
func (s *shard) health(tenant, target string, r webhook.Receipt, turned bool) {
	st := s.state(tenant, target)
	if st == nil {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now().UTC()
	if r.Failure != "" {
		late := len(st.Failures) == 0 || now.Sub(st.Failures[0].At) >= stateEvery
		if st.Failures = slices.Insert(st.Failures, 0, failure{now, r.Failure}); len(st.Failures) > maxFailures {
			st.Failures = st.Failures[:maxFailures]
		}
		if turned {
			st.Unhealthy, st.Changed = true, now
		}
		turned = turned || late
	} else {
		turned = st.Unhealthy
		if turned {
			st.Unhealthy, st.Changed = false, now
		}
	}
	data, err := json.Marshal(&st.state)
	if !turned || err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, writeWait)
	defer cancel()
	// The shard's owner alone writes it, and what is lost is written with the next.
	_, _ = s.d.js.PublishMsg(ctx, &nats.Msg{Subject: subject.HookState(s.n, tenant, target), Data: data}, jetstream.WithMsgTTL(stateTTL))
}

// A known state is how a target does. Its lock is held until what has changed is
// written: of tries that end together the last one's word is the last.
type known struct {
	mu sync.Mutex
	state
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
