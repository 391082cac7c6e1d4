package media

import "patchbay/actors/call"

// Notify implements [actors.Bridge].
func (b *bridge) Notify(name string, ev call.Event) {
	m := notification(b.req, name, ev)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case m == nil || b.closed:
	case b.leg != nil:
		b.leg.Notify(m)
	case len(b.waiting) < maxWaiting:
		b.waiting = append(b.waiting, m)
	}
}

// Answered implements [actors.Bridge].
func (b *bridge) Answered() {
	if b.joined() {
		b.carrier.answered(b.node.now())
	}
}

// Quality implements [actors.Bridge]. It stays readable after Close.
func (b *bridge) Quality() call.Quality {
	if !b.joined() {
		return call.Quality{}
	}
	return b.carrier.quality()
}

func (b *bridge) joined() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leg != nil
}

// Close implements [actors.Bridge]. A search for an agent is given up; joined
// legs are left in the background.
func (b *bridge) Close(cause call.Cause) {
	b.quiet.Store(true)
	b.cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed, b.cause = true, cause
	if b.leg != nil {
		b.node.spawn(b.release)
	}
}

// release frees what a joined bridge holds: the carrier hears an RTCP BYE, the
// agent why.
func (b *bridge) release() {
	defer b.node.forget(b)
	defer b.carrier.guard("release")
	b.mu.Lock()
	started := b.started
	b.mu.Unlock()
	if started {
		b.node.wheel.remove(b)
	}
	b.carrier.out.close()
	b.carrier.report(b.node.now(), true)
	b.freePorts()
	b.leg.Close(b.cause)
	b.node.observer.closed(b.cause, b.carrier.quality())
}

// freePorts closes the sockets, which ends their readers, and lets the port
// rest.
func (b *bridge) freePorts() {
	b.ports.close()
	b.node.pool.giveBack(b.node.now(), b.ports.port)
}
