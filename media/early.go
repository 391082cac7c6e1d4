package media

import (
	"errors"
	"slices"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/media/rtp"
)

// Commands of an agent that is heard before the answer.
const (
	CommandAnswer = "answer"
	CommandReject = "reject"
)

// Why an agent may not answer or refuse.
var (
	// ErrNotEarly says that nothing is left to be answered.
	ErrNotEarly = errors.New("media: the call does not wait to be answered")
	// ErrBadStatus says that a refusal's status is none.
	ErrBadStatus = errors.New("media: status must be of 400 to 699, and not 401, 407, 422 or 494, which ask for another INVITE")
)

// declined is the status of a refusal that names none (RFC 3261 21.6.2).
const declined = 603

// Early implements [actors.Bridge].
func (b *bridge) Early() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.carrier == nil {
		return
	}
	b.early = b.req.Ringback == ""
	if !b.early {
		b.carrier.ring(b.req.Ringback)
	}
}

// decide carries out an agent's word on a call that waits to be answered.
func (b *bridge) decide(c Command, number int) error {
	b.mu.Lock()
	early := b.early
	b.mu.Unlock()
	ev := call.Event{Dispatch: number}
	switch {
	case !early:
		return ErrNotEarly
	case c.Type == CommandAnswer && !GoodHeaders(c.Headers):
		return ErrBadHeaders
	case c.Type == CommandAnswer:
		ev.Kind, ev.Headers = call.AnswerAsked, c.Headers
	case c.Status == 0:
		ev.Kind, ev.Status = call.Hangup, declined
	case !refuses(c.Status):
		return ErrBadStatus
	default:
		ev.Kind, ev.Status = call.Hangup, c.Status
	}
	if ev.Kind == call.Hangup {
		ev.Cause = call.CauseRejected(ev.Status)
	}
	b.post(ev)
	return nil
}

// refuses reports statuses that end a call: those that ask the carrier to come
// again with something else do not.
func refuses(status int) bool {
	return status >= 400 && status <= 699 && !slices.Contains([]int{401, 407, 422, 494}, status)
}

// ringable narrows what an agent may choose from to one codec that can ring, and
// has the carrier's port ready for it. Where there is none, or the carrier would
// not hear it, nothing is narrowed.
func (b *bridge) ringable(a actors.Asked, codecs, dtmf []call.Codec) ([]call.Codec, []call.Codec, error) {
	inv := b.req.Invitation
	i := ringing(b.req.Ringback, codecs)
	if i < 0 || b.carrierNow() != nil || inv.Offer == nil && !inv.Reliable {
		return codecs, dtmf, nil
	}
	t, err := b.ringTerms(codecs[i : i+1])
	if err != nil || inv.Offer != nil && !t.sends() {
		return codecs, dtmf, err
	}
	b.mu.Lock()
	if b.closed || b.asked.Number != a.Number || b.carrier != nil {
		b.mu.Unlock()
		return codecs, dtmf, nil
	}
	b.ports.drain()
	b.carrier = b.newCarrier(t, 0, nil)
	b.run(b.carrier)
	b.mu.Unlock()
	ev := b.joined(a, t)
	ev.Kind = call.EarlyReady
	b.post(ev)
	fits := slices.DeleteFunc(slices.Clone(dtmf), func(d call.Codec) bool { return d.ClockRate != codecs[i].ClockRate })
	return codecs[i : i+1], fits, nil
}

// ringing is the codec that rings: G.711 first, for every agent has it (RFC 7874
// 3), then whatever has a tone; -1: none.
func ringing(country string, codecs []call.Codec) int {
	if country == "" {
		return -1
	}
	i := slices.IndexFunc(codecs, func(c call.Codec) bool { return named([]string{"PCMU", "PCMA"}, c.Name) })
	if i < 0 {
		i = slices.IndexFunc(codecs, func(c call.Codec) bool { return rtp.Ringback(country, c.Name) != nil })
	}
	return i
}

// ringTerms are those of a leg that has no agent yet. Nothing is sent before the
// carrier has been told.
func (b *bridge) ringTerms(codecs []call.Codec) (terms, error) {
	t := terms{signal: source(b.req.Invitation).Addr(), hold: true}
	if offer := b.req.Invitation.Offer; offer != nil {
		t.offer = *offer
	}
	answer, err := answerTo(t.offer, codecs, codecs[0])
	switch {
	case err != nil:
		return terms{}, err
	case b.req.Invitation.Offer == nil:
		t.answer = b.unanswered(answer)
	default:
		t.answer = answer
		t.answer.Addr = b.ports.address
	}
	return t, nil
}

// ring lets the carrier hear a ringing tone until it is answered, whatever an
// agent says meanwhile.
func (l *carrierLeg) ring(country string) {
	l.out.mu.Lock()
	l.out.tone, l.out.round = rtp.Ringback(country, l.terms.answer.Codec.Name), 0
	l.out.mu.Unlock()
	l.release()
}

// ringOff ends that. The agent's silence begins to count here.
func (l *carrierLeg) ringOff(now time.Duration) {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	if l.out.tone != nil {
		l.out.tone, l.out.round, l.out.agentAt = nil, 0, now
	}
}

// maxTones is how many frames of a tone leave in one turn of the clock, where
// turns before were late.
const maxTones = 5

// sound sends the frames of the tone that are due: one for each 20 ms, without a
// gap in their timestamps.
func (o *outbound) sound(now time.Duration, s socket) {
	for range min(o.rw.PlayDue(now), maxTones) {
		o.send(o.rw.Play(now, o.scratch[:], o.audio, o.tone[o.round%len(o.tone)]), s)
		o.round++
	}
}
