package actors

import (
	"time"

	"patchbay/actors/endpoint"
)

// domain takes one INVITE to what may be an account's own domain.
func (p *partition) domain(_ time.Time, in *invite) {
	p.guard(in, func() {
		host, is, _ := in.Address.AtHost()
		key := host.Key()
		if p.warm != nil {
			if label, err := p.warm.host(key, p.index); err == nil {
				p.pass(in, is(label))
				return
			}
		}
		var label string
		p.lookUp(in, func(src source) (err error) { label, err = src.host(key, p.index); return err },
			func() { p.pass(in, is(label)) })
	})
}

// pass hands an INVITE to the mailbox of what its address turned out to be, an
// account's, or what the user is at any host, wherever its owner is.
func (p *partition) pass(in *invite, to endpoint.Address) {
	in.goTo(to)
	p.lead(in, to.Partition(), func() { p.send(in) })
}
