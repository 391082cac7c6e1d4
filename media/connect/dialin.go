package connect

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"slices"
	"sync"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/media"
	"patchbay/media/peer"
)

// Bounds of dialling in.
const (
	// MaxWaiting is how many calls of a node may wait for agents at once.
	MaxWaiting = 2000
	// maxOffers is how many unusable offers one call puts up with.
	maxOffers = 8
)

// ErrNotWaiting says that no call waits under this id and token. It wraps
// [endpoint.ErrNotFound]: who has no token learns nothing.
var ErrNotWaiting = fmt.Errorf("%w: no call waits under this id and token", endpoint.ErrNotFound)

// A WaitingCall is a call that an agent may dial in to. Token is a credential
// for this call and one use.
type WaitingCall struct {
	CallID call.ID
	Token  string
	From   call.Party // empty where the agent wants no metadata
	To     call.Party
	Since  time.Time
}

// DialIn is the connector for agents that bring their own offer.
type DialIn struct {
	stack *peer.Stack
	now   func() time.Time

	mu     sync.Mutex
	calls  map[call.ID]*waiting
	parked []*parked // in the order they came; see standby.go
	closed bool
	guards sync.WaitGroup
}

type waiting struct {
	WaitingCall
	req     media.JoinRequest
	tries   int
	busy    bool // an offer is being answered, or was
	over    bool // Join has returned
	arrived chan *peer.Peer
}

// NewDialIn returns the connector. now is the clock.
func NewDialIn(s *peer.Stack, now func() time.Time) *DialIn {
	return &DialIn{stack: s, now: now, calls: make(map[call.ID]*waiting)}
}

// Join implements [media.Connector]: the call gets a session that stands by, or
// waits until an agent dials in.
func (d *DialIn) Join(ctx context.Context, req media.JoinRequest, chosen func(worker string)) (media.AgentLeg, error) {
	w, p, err := d.enter(req)
	switch {
	case err != nil:
		return nil, err
	case p != nil:
		chosen("")
		return p, nil
	}
	defer d.leave(req.ID, w)
	chosen("")
	select {
	case p := <-w.arrived:
		if err := connected(ctx, p); err != nil {
			p.Close(causeOf(err))
			return nil, err
		}
		return p, nil
	case <-ctx.Done():
		return nil, ended(ctx)
	}
}

// enter finds a session that stands by, or lets the call wait: in one turn, for
// one that connects in between would be given to nobody.
func (d *DialIn) enter(req media.JoinRequest) (*waiting, *peer.Peer, error) {
	w := &waiting{req: req, arrived: make(chan *peer.Peer, 1), WaitingCall: WaitingCall{
		CallID: req.ID, Token: rand.Text(), Since: d.now(),
	}}
	if inv := invitation(req); inv.From != nil {
		w.From, w.To = *inv.From, *inv.To
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.standing(req); p != nil {
		return nil, p, nil
	}
	if len(d.calls) >= MaxWaiting {
		return nil, nil, fmt.Errorf("%w: %d calls wait on this node", media.ErrAgentBusy, MaxWaiting)
	}
	d.calls[req.ID] = w
	return w, nil, nil
}

// leave forgets the call. An agent that arrived in this very moment is sent
// away.
func (d *DialIn) leave(id call.ID, w *waiting) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w.over = true
	if d.calls[id] == w {
		delete(d.calls, id)
	}
	select {
	case p := <-w.arrived:
		p.Close(call.CauseNoAgent)
	default:
	}
}

// Answer gives an agent's SDP offer to the call that waits under id, and
// returns our answer. The token is spent with it; an offer that cannot be used
// does not spend it, up to a few times. It returns [ErrNotWaiting],
// [media.ErrNoCodec], or an error that wraps [media.ErrAgentRefused].
func (d *DialIn) Answer(ctx context.Context, id call.ID, token, offer string) (string, error) {
	w, err := d.take(id, token)
	if err != nil {
		return "", err
	}
	if len(offer) > MaxAnswer {
		d.release(w, nil)
		return "", fmt.Errorf("%w: its offer is larger than 64 KiB", media.ErrAgentRefused)
	}
	p := newPeer(d.stack, w.req, peer.Dialect{}, false)
	answer, err := p.AnswerTo(ctx, offer)
	if err != nil {
		d.release(w, nil)
		p.Close(causeOf(err))
		return "", err
	}
	if !d.release(w, p) {
		p.Close(call.CauseNoAgent)
		return "", ErrNotWaiting
	}
	return answer, nil
}

// take checks the token and lets no second agent in while one is answered.
func (d *DialIn) take(id call.ID, token string) (*waiting, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.calls[id]
	want := ""
	if w != nil {
		want = w.Token
	}
	match := subtle.ConstantTimeCompare([]byte(token), []byte(want)) == 1
	if w == nil || !match || w.busy || w.tries >= maxOffers {
		return nil, ErrNotWaiting
	}
	w.busy = true
	w.tries++
	return w, nil
}

// release hands p to the waiting call, or opens the call to another offer where
// p is nil. It reports whether the call still waited.
func (d *DialIn) release(w *waiting, p *peer.Peer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.over {
		return false
	}
	if p == nil {
		w.busy = false
		return true
	}
	w.arrived <- p
	return true
}

// Waiting lists the calls that wait for an agent of the tenant, the longest
// first.
func (d *DialIn) Waiting(tenant, agent string) []WaitingCall {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []WaitingCall
	for _, w := range d.calls {
		if w.req.Tenant == tenant && w.req.Agent.ID == agent && !w.busy {
			out = append(out, w.WaitingCall)
		}
	}
	slices.SortFunc(out, func(a, b WaitingCall) int { return a.Since.Compare(b.Since) })
	return out
}
