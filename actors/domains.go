package actors

import (
	"time"

	"patchbay/actors/endpoint"
)

// domain takes one INVITE to what may be an account's own domain.
func (p *partition) domain(_ time.Time, in *invite) {
	p.guard(in, func() {
		host, is, _ := in.Address.AtHost()
		if p.warm != nil {
			if label, err := p.warm.host(host.Key(), p.index); err == nil {
				p.pass(in, is(label))
				return
			}
		}
		p.readHost(in, host.Key(), is)
	})
}

// readHost asks the store off the loop, as read does.
func (p *partition) readHost(in *invite, host endpoint.Key, is func(label string) endpoint.Address) {
	select {
	case p.reads <- struct{}{}:
	default:
		p.refuse(in, "", endpoint.Unavailable(endpoint.ReasonBusy), endpoint.RefuseUniform)
		return
	}
	go func() {
		var label string
		err := p.ask(func(src source) (err error) { label, err = src.host(host, p.index); return err })
		<-p.reads
		if err != nil {
			p.refuse(in, "", endpoint.Unavailable(endpoint.ReasonUnavailable), endpoint.RefuseUniform)
			return
		}
		p.pass(in, is(label))
	}()
}

// pass hands an INVITE to the mailbox of what its address turned out to be, an
// account's, or what the user is at any host, wherever its owner is.
func (p *partition) pass(in *invite, to endpoint.Address) {
	in.goTo(to)
	p.lead(in, to.Partition(), func() { p.send(in) })
}
