package actors

import (
	"net/netip"
	"time"

	"patchbay/actors/call"
)

// A Locator finds the addresses that requests of ours may go to (RFC 3263).
type Locator interface {
	// Locate calls found once, from any goroutine and within seconds, with the
	// addresses of each target in the order in which they are to be tried; none
	// for one that leads nowhere.
	Locate(targets []call.Target, found func(all [][]call.Hop))
}

// A Seeker is a [Caller] whose hops can be looked up before its INVITE is sent.
type Seeker interface {
	// Targets says what the hops are.
	Targets() []call.Target
	// Located says which addresses they lead to, at most once and before Invite.
	// Where none leads anywhere the INVITE counts as a 503; without Located, the
	// edge that sends it looks the names up.
	Located(all [][]call.Hop)
}

// firstOf is the address that is tried first: our media's own address is to face
// it. The zero one: there is none.
func firstOf(all [][]call.Hop) netip.AddrPort {
	for _, hops := range all {
		if len(hops) > 0 {
			return hops[0].Addr
		}
	}
	return netip.AddrPort{}
}

// seek has the hops of a call that we place looked up, and opens its bridge
// then.
func (a *actor) seek() {
	seeker, ok := a.machine.Dialog.(Seeker)
	if !ok || a.calls.ports.Locator == nil {
		a.reserve()
		return
	}
	a.calls.ports.Locator.Locate(seeker.Targets(), func(all [][]call.Hop) {
		// ErrStopped: the call has ended with its host.
		_ = a.loop.Post(func(time.Time) {
			if a.over || a.gone {
				return
			}
			seeker.Located(all)
			a.facing = firstOf(all)
			a.reserve()
		})
	})
}
