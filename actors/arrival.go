package actors

import (
	"bytes"
	"net/netip"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// An arrival is an INVITE that asks to take a call over, while it is decided
// whether its sender may.
type arrival struct {
	packet call.Packet // its latest copy
	asks   call.Replacing
	stop   func() // of the question; nil: nobody is asked
}

// A decline is what the last INVITE was owed that was decided against. Its copies
// are owed the same (RFC 3261 17.2.1).
type decline struct {
	asks     call.Replacing
	response call.Response
}

var invitePrefix = []byte("INVITE ")

// arrives takes an INVITE that asks to take the call over (RFC 3891), and
// reports whether the packet is one. What it is owed at once is a stateless
// response; else it waits for the decision. There is one at a time.
func (a *actor) arrives(now time.Time, p call.Packet) bool {
	r, ok := a.calls.ports.Dialogs.(Replacer)
	if !ok || !bytes.HasPrefix(p.Raw, invitePrefix) {
		return false
	}
	asks := r.Replaces(p)
	if asks == nil || a.machine.carries(asks.CallID) { // a copy of one that was let in
		return false
	}
	if v := a.arrival; v != nil && v.asks.SameInvite(asks) {
		v.packet = p
		return true
	}
	if v := a.refused; v != nil && v.asks.SameInvite(asks) {
		a.turnAway(p, v.response)
		return true
	}
	if status := a.replaceable(asks); status != 0 {
		a.turnAway(p, call.Response{Status: status})
		return true
	}
	a.arrival = &arrival{packet: p, asks: *asks}
	a.askTakeover(now)
	return true
}

// replaceable is the status that an INVITE is owed which cannot take the call
// over, whoever sent it (RFC 3891 3); 0: it can.
func (a *actor) replaceable(asks *call.Replacing) int {
	current, ok := a.machine.Dialog.(Referrer)
	if !ok || !asks.Names(current.ID()) {
		for _, d := range a.machine.former {
			if before, ok := d.(Referrer); ok && asks.Names(before.ID()) {
				return 603 // that dialog is over
			}
		}
		return 481
	}
	status, movable := a.machine.Call.Movable()
	switch {
	case !movable:
		return status
	case asks.EarlyOnly: // the dialog is confirmed
		return 486
	case a.arrival != nil:
		return 491
	case a.machine.full():
		return 503
	}
	return 0
}

// turnAway answers an INVITE of which nothing is kept.
func (a *actor) turnAway(p call.Packet, r call.Response) {
	if tx, ok := a.calls.ports.Dialogs.(Replacer).Refuse(p, r); ok {
		a.send(tx)
	}
}

// askTakeover asks a decider whether who sent the INVITE may take the call
// over. A call that we placed has no endpoint: there only the host that the
// replaced dialog's messages come from may.
func (a *actor) askTakeover(now time.Time) {
	v := a.arrival
	source := v.packet.Flow.Remote.Addr()
	t := endpoint.Takeover{Source: source, Addressed: v.asks.Dialled == string(a.job.Endpoint)}
	if c, ok := a.machine.Dialog.(Peered); ok {
		t.SamePeer = sameHost(c.Peer(), source)
	}
	switch {
	case a.job.Dial != nil && t.SamePeer:
		a.takenOver(now, v, Ruling{Admitted: true})
	case a.job.Partition == nil || a.calls.ports.Rulings == nil:
		a.takenOver(now, v, Ruling{Status: 403, Reason: endpoint.ReasonNotReplaceable})
	default:
		v.stop = a.calls.ports.Rulings.Ask(Question{V: 1, Call: a.id, Tenant: a.job.Tenant, Endpoint: a.job.Endpoint,
			Partition: *a.job.Partition, DecisionID: endpoint.DecisionID(v.asks.CallID), Takeover: &t,
		}, func(r Ruling) {
			// ErrStopped: the call has ended with its host.
			_ = a.loop.Post(func(now time.Time) { a.takenOver(now, v, r) })
		})
	}
}

// A Peered is a Dialog that knows where the other side's messages come from.
type Peered interface{ Peer() netip.Addr }

func sameHost(a, b netip.Addr) bool {
	return a.IsValid() && a.Unmap().WithZone("") == b.Unmap().WithZone("")
}

// takenOver takes the decision about an INVITE: its dialog is made, and the call
// answers it, unless that has ended meanwhile.
func (a *actor) takenOver(now time.Time, v *arrival, r Ruling) {
	if a.arrival != v || a.gone {
		return
	}
	a.arrival = nil
	if !r.Admitted {
		a.refused = &decline{v.asks, call.Response{Status: max(r.Status, 403)}}
		a.turnAway(v.packet, a.refused.response)
		return
	}
	if status := a.replaceable(&v.asks); status != 0 { // it has moved, or ended, since
		a.turnAway(v.packet, call.Response{Status: status})
		return
	}
	d, inv, err := a.calls.ports.Dialogs.New(now, a.id, v.packet)
	if err != nil {
		taken := a.calls.refusal(err)
		a.turnAway(v.packet, call.Response{Status: taken.Status, Text: taken.Text})
		return
	}
	inv.From.Trusted = a.invitation.From.Trusted
	a.perform(now, a.machine.HandleReplacing(now, d, call.Event{Kind: call.CarrierReplaces, Offer: inv.Offer,
		Source: v.packet.Flow.Remote.Addr(), Mover: &call.Moved{How: call.MovedByReplaces, To: inv.From, SIPCallID: inv.Key.CallID,
			Source: inv.Source, Headers: inv.Headers}}))
}

// forgetArrival lets go of an INVITE that waits: the call is over. It is owed
// 603.
func (a *actor) forgetArrival() {
	a.refused = nil // its copies are owed 603, too
	v := a.arrival
	if v == nil {
		return
	}
	a.arrival = nil
	if v.stop != nil {
		v.stop()
	}
	if !a.released {
		a.turnAway(v.packet, call.Response{Status: 603})
	}
}
