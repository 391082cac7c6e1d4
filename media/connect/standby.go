package connect

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/media"
	"patchbay/media/peer"
)

// Bounds of agents that stand by.
const (
	// MaxStandby is how many sessions a node keeps for calls to come, and
	// MaxStandbyPerAgent how many of one agent: full is [media.ErrAgentBusy].
	MaxStandby         = 500
	MaxStandbyPerAgent = 32
	// StandbyLife is how long a session stands by; then it is closed, and its
	// agent parks another.
	StandbyLife = 30 * time.Minute
)

// standbyCodecs are what a session is parked with, the first that its agent
// has: nearly every carrier offers G.711. Payload types are the static ones.
var standbyCodecs = []call.Codec{
	{PayloadType: 0, Name: "PCMU", ClockRate: 8000},
	{PayloadType: 8, Name: "PCMA", ClockRate: 8000},
	{PayloadType: 9, Name: "G722", ClockRate: 8000},
	{PayloadType: 111, Name: "opus", ClockRate: 48000, Channels: 2},
}

var standbyDTMF = []call.Codec{
	{PayloadType: 101, Name: "telephone-event", ClockRate: 8000, Fmtp: "0-16"},
	{PayloadType: 110, Name: "telephone-event", ClockRate: 48000, Fmtp: "0-16"},
}

// A Parking is an agent's wish to stand by.
type Parking struct {
	Tenant string
	Agent  string
	Codecs []string // in this order; empty: PCMU, PCMA, G722, opus
	Silent bool     // without a data channel
}

func (p Parking) codecs() []call.Codec {
	if len(p.Codecs) == 0 {
		return standbyCodecs
	}
	var list []call.Codec
	for _, name := range p.Codecs {
		for _, c := range standbyCodecs {
			if strings.EqualFold(c.Name, name) {
				list = append(list, c)
			}
		}
	}
	return list
}

// A parked is one session that stands by. Its fields belong to DialIn's lock,
// but for those that never change.
type parked struct {
	Parking
	id    string
	since time.Time
	peer  *peer.Peer
	ready bool          // connected
	gone  chan struct{} // closed once it stands by no more
}

// ErrNotParked says that no session stands by under this id. It wraps
// [endpoint.ErrNotFound].
var ErrNotParked = fmt.Errorf("%w: no session stands by under this id", endpoint.ErrNotFound)

// Park answers the offer of an agent that stands by for its next call on this
// node, and returns the session's id and our answer. A call that waits already
// gets it as soon as it is connected. Errors are those of [DialIn.Answer], and
// [media.ErrAgentBusy].
func (d *DialIn) Park(ctx context.Context, wish Parking, offer string) (id, answer string, err error) {
	if len(offer) > MaxAnswer {
		return "", "", fmt.Errorf("%w: its offer is larger than 64 KiB", media.ErrAgentRefused)
	}
	p := &parked{Parking: wish, id: rand.Text(), since: d.now(), gone: make(chan struct{})}
	p.peer = d.stack.Peer(peer.Wanted{Codecs: wish.codecs(), DTMF: standbyDTMF, Channel: !wish.Silent})
	if err := d.keep(p); err != nil {
		return "", "", err
	}
	answer, err = p.peer.AnswerTo(ctx, offer)
	if err != nil {
		d.drop(p, causeOf(err))
		d.guards.Done()
		return "", "", err
	}
	go func() {
		defer d.guards.Done()
		d.guard(p)
	}()
	return p.id, answer, nil
}

// keep takes a place for a session, if there is one. Close waits for its guard
// from then on.
func (d *DialIn) keep(p *parked) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	own := 0
	for _, other := range d.parked {
		if other.Tenant == p.Tenant && other.Agent == p.Agent {
			own++
		}
	}
	switch {
	case d.closed:
		return fmt.Errorf("%w: the node goes down", media.ErrAgentBusy)
	case len(d.parked) >= MaxStandby:
		return fmt.Errorf("%w: %d sessions stand by on this node", media.ErrAgentBusy, MaxStandby)
	case own >= MaxStandbyPerAgent:
		return fmt.Errorf("%w: %d sessions of the agent stand by", media.ErrAgentBusy, MaxStandbyPerAgent)
	}
	d.parked = append(d.parked, p)
	d.guards.Add(1)
	return nil
}

// remove takes a session off the list and reports whether it was there: who
// removes it owns its peer.
func (d *DialIn) remove(p *parked) bool {
	i := slices.Index(d.parked, p)
	if i < 0 {
		return false
	}
	d.parked = slices.Delete(d.parked, i, i+1)
	close(p.gone)
	return true
}

// drop ends a session, unless a call has it.
func (d *DialIn) drop(p *parked, cause call.Cause) {
	d.mu.Lock()
	mine := d.remove(p)
	d.mu.Unlock()
	if mine {
		p.peer.Close(cause)
	}
}

// guard follows a session from its answer until a call has it, its agent
// leaves, or its time is over. ICE keeps it alive: an agent that is gone is
// noticed as in a call.
func (d *DialIn) guard(p *parked) {
	life := time.NewTimer(StandbyLife)
	defer life.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	go func() { // a session that is dropped while it connects
		select {
		case <-p.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := p.peer.Connected(ctx)
	cancel()
	if err != nil {
		d.drop(p, call.CauseAgentFailed)
		return
	}
	d.arrive(p)
	select {
	case <-p.gone:
	case <-p.peer.Down():
		d.drop(p, call.CauseAgentLost)
	case <-life.C:
		d.drop(p, call.CauseNormal)
	}
}

// arrive gives a session that has connected to the call that waits longest
// for it, or lets it stand by.
func (d *DialIn) arrive(p *parked) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var first *waiting
	for _, w := range d.calls {
		if w.busy || w.req.Tenant != p.Tenant || w.req.Agent.ID != p.Agent || !fits(p, w.req) {
			continue
		}
		if first == nil || w.Since.Before(first.Since) {
			first = w
		}
	}
	p.ready = true
	if first != nil && d.remove(p) {
		first.busy = true
		first.arrived <- p.peer
	}
}

// fits reports whether the session's codec is one that the call may have.
func fits(p *parked, req media.JoinRequest) bool {
	codec := p.peer.Codec()
	return slices.ContainsFunc(req.Codecs, func(c call.Codec) bool {
		return strings.EqualFold(c.Name, codec.Name) && c.ClockRate == codec.ClockRate
	})
}

// standing takes the session for a call that has stood by longest, or nil. The
// caller holds the lock.
func (d *DialIn) standing(req media.JoinRequest) *peer.Peer {
	for _, p := range d.parked { // in the order they came
		if !p.ready || p.Tenant != req.Tenant || p.Agent != req.Agent.ID || !fits(p, req) {
			continue
		}
		select {
		case <-p.peer.Down():
			continue // its guard drops it
		default:
		}
		d.remove(p)
		return p.peer
	}
	return nil
}

// Unpark ends a session that stands by. It returns [ErrNotParked] where it is
// not the agent's, a call has it, or it is over.
func (d *DialIn) Unpark(tenant, agent, id string) error {
	d.mu.Lock()
	i := slices.IndexFunc(d.parked, func(p *parked) bool { return p.id == id && p.Tenant == tenant && p.Agent == agent })
	if i < 0 {
		d.mu.Unlock()
		return ErrNotParked
	}
	p := d.parked[i]
	d.remove(p)
	d.mu.Unlock()
	p.peer.Close(call.CauseNormal)
	return nil
}

// Standby returns how many sessions of an agent stand by on this node.
func (d *DialIn) Standby(tenant, agent string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.parked {
		if p.ready && p.Tenant == tenant && p.Agent == agent {
			n++
		}
	}
	return n
}

// Close ends every session that stands by, and refuses others.
func (d *DialIn) Close() {
	d.mu.Lock()
	d.closed = true
	all := slices.Clone(d.parked)
	d.mu.Unlock()
	for _, p := range all {
		d.drop(p, call.CauseDrain)
	}
	d.guards.Wait()
}
