package dialog

import (
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// A stray is the dialog of an answer that nobody wants: of another fork, or of
// a call that we gave up. It is acknowledged and ended at once (RFC 3261
// 13.2.2.4, 15.1.1).
type stray struct {
	tag string
	ack call.Transmission
	bye bye
}

// stray ends what a 2xx has made; a copy of the 2xx gets the ACK again. Beyond
// maxStrays nothing is kept: each copy gets ACK and BYE.
func (d *UAC) stray(now time.Time, a *attempt, m *wire.Message, flow call.Flow, cause call.Cause) {
	for _, s := range d.strays {
		if s.tag == m.ToTag {
			d.ackAgain(&s.ack, flow)
			return
		}
	}
	r := d.routeTo(m)
	s := &stray{tag: strings.Clone(m.ToTag), ack: d.writeAck(a, r, flow)}
	d.send(s.ack)
	requestURI, _, _, _ := r.plan()
	seq := a.seq
	for _, f := range d.forks {
		if f.tag == m.ToTag {
			seq = max(seq, f.seq) // a PRACK went before
		}
	}
	raw, b := d.writeBye(now, &r, seq+1, flow, cause, d.login.headers("BYE", requestURI))
	s.bye = b
	d.sendStray(s, raw)
	if len(d.strays) < maxStrays {
		d.strays = append(d.strays, s)
	}
}

func (d *UAC) sendStray(s *stray, raw []byte) {
	tx := s.bye.to
	tx.Raw = raw
	d.send(tx)
}

func (d *UAC) wakeStrays(now time.Time) {
	for _, s := range d.strays {
		if raw, _ := s.bye.tx.Wake(now); raw != nil {
			d.sendStray(s, raw)
		}
	}
}

// strayOf returns the stray that a message of the other side is about.
func (d *UAC) strayOf(m *wire.Message) *stray {
	for _, s := range d.strays {
		if s.tag == m.FromTag && strings.EqualFold(m.ToTag, d.tag) {
			return s
		}
	}
	return nil
}
