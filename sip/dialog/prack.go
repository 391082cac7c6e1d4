package dialog

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// maxPracks is how many of our PRACKs are repeated at once. A reliable response
// beyond it is not confirmed, and comes again.
const maxPracks = 8

// A prack is our PRACK on its way (RFC 3262 4).
type prack struct {
	tx     txn.Client
	branch string
	to     call.Transmission
}

// inOrder takes a provisional response and reports whether it counts. One that
// is reliable is confirmed; a copy of it, and one that came before its
// predecessor, is not looked at (RFC 3262 4).
func (d *UAC) inOrder(now time.Time, a *attempt, m *wire.Message, flow call.Flow) bool {
	n, err := strconv.ParseUint(m.Header("RSeq"), 10, 32)
	if m.Status == 100 || err != nil || n == 0 || !listed(m, "Require", "100rel") {
		return true
	}
	f := d.forkOf(m)
	if f == nil || f.rseq != 0 && uint32(n) != f.rseq+1 || len(d.pracks) == maxPracks {
		return false
	}
	f.rseq = uint32(n)
	d.sendPrack(now, a, f, m, flow)
	return true
}

// forkOf returns the early dialog of a response, a new one if need be; nil:
// there are too many, or it has no tag.
func (d *UAC) forkOf(m *wire.Message) *fork {
	for i := range d.forks {
		if d.forks[i].tag == m.ToTag {
			return &d.forks[i]
		}
	}
	if m.ToTag == "" || len(d.forks) == maxForks {
		return nil
	}
	d.forks = append(d.forks, fork{tag: strings.Clone(m.ToTag)})
	return &d.forks[len(d.forks)-1]
}

// sendPrack confirms a reliable response within its early dialog.
func (d *UAC) sendPrack(now time.Time, a *attempt, f *fork, m *wire.Message, flow call.Flow) {
	r := d.routeTo(m)
	d.seq++
	d.revision++
	f.seq = d.seq
	request, to, branch := d.along("PRACK", &r, d.seq, flow)
	p := &prack{branch: branch, to: orBack(to, flow)}
	rack := strconv.FormatUint(uint64(f.rseq), 10) + " " + strconv.FormatUint(uint64(a.seq), 10) + " INVITE"
	request.Headers = append([]call.Header{{Name: "RAck", Value: rack}}, d.login.headers("PRACK", request.URI)...)
	raw := request.Bytes()
	p.tx = txn.StartClient(now, d.options.Timers, p.to.Flow.Transport.Reliable(), raw)
	d.pracks = append(d.pracks, p)
	d.sendPrackCopy(p, raw)
}

func (d *UAC) sendPrackCopy(p *prack, raw []byte) {
	tx := p.to
	tx.Raw = raw
	d.send(tx)
}

// prackResponse takes the response to a PRACK. Whatever it is, the callee has
// heard us.
func (d *UAC) prackResponse(now time.Time, m *wire.Message) {
	for _, p := range d.pracks {
		if strings.EqualFold(m.Branch, p.branch) {
			p.tx.Response(now, m.Status)
		}
	}
}

func (d *UAC) wakePracks(now time.Time) {
	for _, p := range d.pracks {
		if raw, _ := p.tx.Wake(now); raw != nil {
			d.sendPrackCopy(p, raw)
		}
	}
	d.pracks = slices.DeleteFunc(d.pracks, func(p *prack) bool { return p.tx.Done() })
	if len(d.pracks) == 0 {
		d.pracks = nil
	}
}

// dropPracks stops what nobody waits for any more: the INVITE has its outcome.
func (d *UAC) dropPracks() { d.pracks = nil }
