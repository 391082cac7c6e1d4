package media

import "patchbay/actors/call"

// Close implements [actors.Bridge]. A search for an agent is given up; joined
// legs are left in the background.
func (b *bridge) Close(cause call.Cause) {
	b.quiet.Store(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cancel()
	if b.closed {
		return
	}
	b.closed, b.cause = true, cause
	b.node.spawn(b.release)
}

// release frees what a bridge holds: the carrier hears an RTCP BYE, the agent
// why. Nothing of the bridge changes any more but by a search that unwinds.
func (b *bridge) release() {
	defer b.node.forget(b)
	defer b.freePorts()
	defer b.searching.Wait()
	b.mu.Lock()
	leg, carrier, cause, started := b.leg, b.carrier, b.cause, b.started
	b.mu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			b.node.panicked(b.req.ID, "release", r)
		}
	}()
	if leg != nil {
		defer leg.Close(cause)
	}
	if carrier == nil {
		return
	}
	if started {
		b.node.wheel.remove(b)
	}
	carrier.out.close()
	carrier.report(b.node.now(), true)
	b.node.observer.closed(cause, carrier.quality())
}

// freePorts closes the sockets, which ends their readers, and lets the port
// rest.
func (b *bridge) freePorts() {
	b.port.Lock()
	defer b.port.Unlock()
	if b.ports != nil {
		b.ports.close()
		b.node.pool.giveBack(b.node.now(), b.ports.port)
	}
}
