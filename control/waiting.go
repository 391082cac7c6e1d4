package control

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"patchbay/actors/endpoint"
)

// polls are the requests that wait for calls to dial in to. Those of one agent
// share what the media nodes answer, so that many workers cost no more
// questions than one. The zero polls is ready.
type polls struct {
	mu      sync.Mutex
	tenants map[string]int // requests under way
	agents  map[agentOf]*poll
}

type agentOf struct{ tenant, agent string }

// A poll is what is known of one agent's calls while somebody waits for them.
type poll struct {
	of    agentOf
	users int

	asking sync.Mutex // held while the media nodes are asked
	at     time.Time  // when they were
	calls  []WaitingCall
	err    error
}

// enter begins a request; false: the tenant has limit under way (0: no limit).
func (p *polls) enter(tenant, agent string, limit int) (*poll, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if limit > 0 && p.tenants[tenant] >= limit {
		return nil, false
	}
	if p.agents == nil {
		p.tenants, p.agents = make(map[string]int), make(map[agentOf]*poll)
	}
	of := agentOf{tenant, agent}
	q := p.agents[of]
	if q == nil {
		q = &poll{of: of}
		p.agents[of] = q
	}
	p.tenants[tenant]++
	q.users++
	return q, true
}

func (p *polls) leave(q *poll) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tenants[q.of.tenant]--; p.tenants[q.of.tenant] == 0 {
		delete(p.tenants, q.of.tenant)
	}
	if q.users--; q.users == 0 {
		delete(p.agents, q.of)
	}
}

// ask returns the agent's calls, or that there was none within pollEvery: a call
// that was there may have been taken since. Whoever asks does so for all: the
// end of his request must not be the end of theirs.
func (q *poll) ask(ctx context.Context, d DialIn) ([]WaitingCall, error) {
	q.asking.Lock()
	defer q.asking.Unlock()
	if len(q.calls) == 0 && time.Since(q.at) < pollEvery {
		return nil, q.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerLimit)
	defer cancel()
	q.calls, q.err = d.Waiting(ctx, q.of.tenant, q.of.agent)
	q.at = time.Now()
	return q.calls, q.err
}

// waiting answers once a call waits for the agent, or after ?wait= at most.
func (g *Gateway) waiting(w http.ResponseWriter, r *http.Request) error {
	cred, err := g.answering(r)
	if err != nil {
		return err
	}
	wait, err := pollTime(r.URL.Query().Get("wait"))
	if err != nil {
		return err
	}
	p, ok := g.polls.enter(cred.Tenant, r.PathValue("agent"), g.HTTP.MaxConns/tenantShare)
	if !ok {
		return &Error{Code: CodeBusy, Message: "too many agents of the account wait for calls"}
	}
	defer g.polls.leave(p)
	calls, err := g.poll(r.Context(), p, wait)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(Page[WaitingCall]{Items: calls})
}

func (g *Gateway) poll(ctx context.Context, q *poll, wait time.Duration) ([]WaitingCall, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		calls, err := q.ask(ctx, g.DialIn)
		if err != nil || len(calls) > 0 {
			return calls, err
		}
		select {
		case <-tick.C:
		case <-over.C:
			return []WaitingCall{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func pollTime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxPoll {
		return 0, invalid("wait", endpoint.CodeOutOfRange, "want a duration from 0s to 25s")
	}
	return d, nil
}
