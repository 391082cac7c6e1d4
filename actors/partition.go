package actors

import (
	"context"
	"sync/atomic"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// An invite is one copy of an INVITE on its way to an outcome.
type invite struct {
	endpoint.Invite
	packet call.Packet
	reply  func(Outcome) // nil once it was called
	came   time.Time
	tx     call.TransactionKey

	dialled endpoint.Key      // of the address, or of the endpoint that a number leads to
	account endpoint.Key      // of the account at whose domain it was dialled; "": none
	key     endpoint.Key      // of what decides: dialled, or account
	owner   string            // tenant of the number that led here; "": none did
	explain func(Explanation) // set: decide dry, and say why
}

// answer replies unless that was done already.
func (in *invite) answer(o Outcome) {
	if reply := in.reply; reply != nil {
		in.reply = nil
		reply(o)
	}
}

// A resident is an endpoint of which something must be kept for now.
type resident struct {
	quota
	consulting int // calls that wait for the owner's webhook
	reading    bool
	pending    []*invite // wait for the read, in order
}

// A partition is one mailbox of endpoints. All its fields belong to its loop.
type partition struct {
	*Endpoints
	index     uint8
	loop      *Loop
	endpoints map[endpoint.Key]*resident
	memory    memory
	sweep     *Timer
	offers    atomic.Int32 // calls that no media node has answered for yet
}

func newPartition(e *Endpoints, index uint8) *partition {
	p := &partition{Endpoints: e, index: index, loop: e.host.Loop(uint64(index)), memory: memory{limit: e.limits.Remembered}}
	p.sweep = p.loop.Timer(p.tidy)
	return p
}

// receive takes one INVITE from the mailbox.
func (p *partition) receive(now time.Time, in *invite) {
	p.guard(in, func() {
		if r := p.endpoints[in.dialled]; r != nil && r.reading {
			p.wait(r, in)
			return
		}
		p.serve(now, in, nil)
	})
}

// guard answers 500 where a panic keeps an INVITE from its end. The loop
// contains the panic.
func (p *partition) guard(in *invite, do func()) {
	ended := false
	defer func() {
		if ended {
			return
		}
		if r := p.memory.find(in.tx, in.came); r != nil && r.offering && !in.dry() {
			p.memory.forget(r)
		}
		p.refuse(in, "", endpoint.Fault(), endpoint.RefuseUniform)
	}()
	do()
	ended = true
}

// serve answers from memory, or decides by pol; nil: by what the cache holds,
// or else once the store was read.
func (p *partition) serve(now time.Time, in *invite, pol *Policy) {
	if r := p.memory.find(in.tx, now); r != nil && !in.dry() {
		p.repeat(now, in, r)
		return
	}
	if pol == nil && p.warm != nil {
		if cached, err := policyFor(p.warm, in, p.index); err == nil {
			pol = &cached
		}
	}
	if pol == nil {
		p.read(now, in)
		return
	}
	if in.owner != "" && pol.Endpoint != nil && pol.Endpoint.Tenant != in.owner {
		pol = &Policy{} // the number outlived its endpoint, whose slug is another tenant's now
	}
	p.decide(now, in, pol)
}

// wait puts an INVITE behind those that wait for the same read, so that the
// order of one endpoint's INVITEs is kept.
func (p *partition) wait(r *resident, in *invite) {
	if len(r.pending) >= maxPending {
		p.refuse(in, "", endpoint.Unavailable(endpoint.ReasonBusy), endpoint.RefuseUniform)
		return
	}
	r.pending = append(r.pending, in)
}

// read asks the store off the loop, within StoreTimeout, and posts back what
// it says.
func (p *partition) read(now time.Time, in *invite) {
	select {
	case p.reads <- struct{}{}:
	default:
		p.refuse(in, "", endpoint.Unavailable(endpoint.ReasonBusy), endpoint.RefuseUniform)
		return
	}
	r := p.resident(now, in.dialled)
	r.reading = true
	p.wait(r, in)
	p.asking.Go(func() {
		var pol Policy
		err := p.ask(func(src source) (err error) { pol, err = policyFor(src, in, p.index); return err })
		<-p.reads
		// ErrStopped: nobody is left to tell.
		_ = p.loop.Post(func(now time.Time) { p.loaded(now, in.dialled, pol, err) })
	})
}

// ask reads from the store, within StoreTimeout if that keeps to its context.
func (p *partition) ask(read func(source) error) (err error) {
	ctx, cancel := context.WithTimeout(p.ctx, p.limits.StoreTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = errPanicked
			p.host.panicked(int(p.index), v)
		}
	}()
	return read(storeSource{ctx, p.store})
}

// loaded decides on all that waited for a read, in order. What was read for
// the first may lack the agent of another, whom a rule gives a different one:
// that one and all behind it wait for a read of their own.
func (p *partition) loaded(now time.Time, key endpoint.Key, pol Policy, err error) {
	r := p.endpoints[key]
	if r == nil {
		return
	}
	pending := r.pending
	r.reading, r.pending = false, nil
	for i, in := range pending {
		if i > 0 && err == nil && !pol.fits(in) {
			p.again(now, pending[i:])
			return
		}
		p.loop.turn(func(now time.Time) { p.guard(in, func() { p.resume(now, in, &pol, err) }) }, now)
	}
}

// again reads once more for INVITEs that still wait.
func (p *partition) again(now time.Time, pending []*invite) {
	for _, in := range pending {
		p.loop.turn(func(now time.Time) { p.receive(now, in) }, now)
	}
}

func (p *partition) resume(now time.Time, in *invite, pol *Policy, err error) {
	if err != nil {
		p.refuse(in, "", endpoint.Unavailable(endpoint.ReasonUnavailable), endpoint.RefuseUniform)
		return
	}
	p.serve(now, in, pol)
}

// resident returns the state of an endpoint, made if needed and kept until it
// is idle.
func (p *partition) resident(now time.Time, key endpoint.Key) *resident {
	r, ok := p.endpoints[key]
	if !ok {
		if p.endpoints == nil {
			p.endpoints = make(map[endpoint.Key]*resident)
		}
		r = &resident{}
		p.endpoints[key] = r
		p.residents.Add(1)
		p.keepTidy(now)
	}
	return r
}

func (p *partition) remember(now time.Time, r *recollection) {
	before := p.memory.len()
	p.memory.add(r, now)
	p.remembered.Add(int64(p.memory.len() - before))
	p.keepTidy(now)
}

func (p *partition) keepTidy(now time.Time) {
	if !p.sweep.IsSet() {
		p.sweep.Set(now.Add(sweepEvery))
	}
}

// tidy forgets what is out of date. A partition that has nothing left has no
// timer either, and its loop ends.
func (p *partition) tidy(now time.Time) {
	before := p.memory.len()
	p.memory.expire(now)
	p.remembered.Add(int64(p.memory.len() - before))
	for key, r := range p.endpoints {
		if !r.reading && r.consulting == 0 && r.idle(now) {
			delete(p.endpoints, key)
			p.residents.Add(-1)
		}
	}
	p.projects.sweep(now)
	if len(p.endpoints) > 0 || p.memory.len() > 0 {
		p.keepTidy(now)
	} else {
		p.endpoints = nil
	}
}
