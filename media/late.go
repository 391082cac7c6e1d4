package media

import (
	"patchbay/actors"
	"patchbay/actors/call"
)

// A carrier whose INVITE has no SDP is offered what the agent has chosen, in
// our 200, and answers in its ACK (RFC 3261 13.2.1). Until then its leg stands
// still: nothing is known of where it is.

// lateFormats are what an agent chooses from for such a carrier: every carrier
// has G.711, so that comes first.
func lateFormats(policy []string) (codecs, dtmf []call.Codec) {
	if len(policy) == 0 {
		policy = []string{"PCMU", "PCMA", "G722", "opus"}
	}
	return call.Formats(policy)
}

// unanswered is our side of a leg whose carrier has not answered: it neither
// sends nor hears.
func (b *bridge) unanswered(a call.Answer) call.Answer {
	_, dtmf := lateFormats(b.req.Codecs)
	for _, d := range dtmf {
		if d.ClockRate == a.Codec.ClockRate {
			a.DTMF = &d
			break
		}
	}
	a.Addr, a.Direction = b.ports.address, call.Inactive
	return a
}

// joined is the news that both legs are up. Of a call whose carrier made no
// offer it brings ours.
func (b *bridge) joined(a actors.Asked, t terms) call.Event {
	ev := call.Event{Kind: call.AgentJoined, Answer: &t.answer, Dispatch: a.Number}
	if !b.outbound && b.req.Invitation.Offer == nil && !t.apart {
		open := t.answer
		open.Direction = call.SendRecv
		ev.Answer, ev.Offer = &open, open.Describe()
	}
	return ev
}
