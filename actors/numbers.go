package actors

import (
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// newInvite returns one copy of an INVITE on its way to its partition.
func newInvite(inv endpoint.Invite, p call.Packet, reply func(Outcome)) *invite {
	in := &invite{Invite: inv, packet: p, reply: reply, came: time.Now(), tx: transactionOf(&inv)}
	in.goTo(inv.Address)
	return in
}

// goTo makes it an INVITE to an address.
func (in *invite) goTo(to endpoint.Address) {
	in.Address, in.dialled, in.account = to, to.Key(), ""
	if account, ok := to.Account(); ok {
		in.account = account.Key()
	}
	in.key = in.dialled
}

// send gives an INVITE to the partition of its address. A number has none of
// its own, the endpoint that it leads to decides, in its mailbox; nor has a
// domain that is not under the base domain.
func (e *Endpoints) send(in *invite) {
	part := e.partitions[in.Address.Partition()]
	take := part.receive
	if in.Address.IsNumber() {
		take = part.number
	} else if _, _, ok := in.Address.AtHost(); ok {
		take = part.domain
	}
	part.tell(in, take)
}

// tell leaves an INVITE in the mailbox, or refuses it.
func (p *partition) tell(in *invite, take func(time.Time, *invite)) {
	err := p.loop.Tell(func(now time.Time) { take(now, in) })
	if err == nil {
		return
	}
	why := endpoint.ReasonBusy
	if err == ErrStopped {
		why = endpoint.ReasonDraining
	}
	p.refuse(in, "", endpoint.Unavailable(why), endpoint.RefuseUniform)
}

// number takes one INVITE to a number.
func (p *partition) number(_ time.Time, in *invite) {
	p.guard(in, func() {
		if p.warm != nil {
			if claims, err := p.warm.number(in.dialled, p.index); err == nil {
				p.follow(in, claims)
				return
			}
		}
		var claims *endpoint.Claims
		p.lookUp(in, func(src source) (err error) { claims, err = src.number(in.dialled, p.index); return err },
			func() { p.follow(in, claims) })
	})
}

// lookUp asks the store off the loop, as read does, where an INVITE leads, and
// goes on with then; the INVITE is refused where that cannot be known.
func (p *partition) lookUp(in *invite, read func(source) error, then func()) {
	select {
	case p.reads <- struct{}{}:
	default:
		p.refuse(in, "", endpoint.Unavailable(endpoint.ReasonBusy), endpoint.RefuseUniform)
		return
	}
	p.asking.Go(func() {
		err := p.ask(read)
		<-p.reads
		p.loop.turn(func(time.Time) { // off the loop: it only contains a panic
			if err != nil {
				p.refuse(in, "", endpoint.Unavailable(endpoint.ReasonUnavailable), endpoint.RefuseUniform)
				return
			}
			then()
		}, time.Now())
	})
}

// follow hands an INVITE to the endpoint that its number leads to, for a
// caller of its trunk, wherever its owner is.
func (p *partition) follow(in *invite, claims *endpoint.Claims) {
	var to *endpoint.Number
	if claims != nil {
		to = claims.Find(in.Source.Addr())
	}
	if to == nil {
		p.refuse(in, "", endpoint.Unknown(), endpoint.RefuseUniform)
		return
	}
	in.dialled, in.key, in.owner = to.Key, to.Key, to.Tenant
	next := p.partitions[to.Partition]
	p.lead(in, to.Partition, func() { next.tell(in, next.receive) })
}

// lead takes an INVITE that has been looked up to the owner of its partition,
// who alone keeps its caps. Where that is this node, or no owner answers, it is
// decided here.
func (p *partition) lead(in *invite, partition uint8, here func()) {
	if p.others == nil || in.dry() || p.partitions[partition].standing(time.Now()).Deciders <= 1 {
		here()
		return
	}
	p.others.Follow(Led{To: in.key, Partition: partition, Owner: in.owner, Invite: in.Invite, Packet: in.packet}, func(o Outcome, err error) {
		if err != nil {
			here()
			return
		}
		in.answer(o)
	})
}

// Led decides on an INVITE to a number or a domain that another node has looked
// up. reply
// is called once, from any goroutine, and must not block.
func (e *Endpoints) Led(led Led, reply func(Outcome)) {
	in := newInvite(led.Invite, led.Packet, reply)
	in.dialled, in.key, in.owner = led.To, led.To, led.Owner
	part := e.partitions[led.Partition]
	part.tell(in, part.receive)
}
