package cluster

import (
	"errors"
	"fmt"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// ErrInDoubt says that nobody claims a call now, and that somebody yet may: its
// node may be slow, or another is about to take it over. Over UDP the sender's
// next copy is the next ask.
var ErrInDoubt = errors.New("cluster: nobody claims the call yet")

// A dialogAsk is one in-dialog message on its way to its call.
type dialogAsk struct {
	r       *Router
	slot    call.Slot // that the token names
	id      call.ID
	data    []byte
	done    func(error)
	started time.Time
	asked   time.Time
	pause   time.Duration // before the next ask of a message that is held
	waits   bool          // on a reliable transport: nobody will repeat it
	held    bool
	again   bool // the holder was asked for already
}

// InDialog takes an in-dialog request, or a response, to the node that carries
// the call: the one that slot names, else the one that says the call is its
// own. done is called exactly once, with nil or an error that wraps
//
//   - actors.ErrNotMine: for doubtTime nobody has claimed the call, though the
//     cluster could be asked;
//   - ErrInDoubt: nobody claims it, but not for that long (UDP only);
//   - actors.ErrBusy: the call's node, or this one, is full;
//   - ErrUnavailable: nobody could be asked.
//
// A message of a reliable transport, which nobody will repeat, is held in doubt
// and asked about again, for doubtTime at most (design D2).
func (r *Router) InDialog(slot call.Slot, id call.ID, p call.Packet, done func(error)) {
	now := time.Now()
	if r.doubts.fresh(id, now) && !p.Flow.Transport.Reliable() {
		done(fmt.Errorf("call %s: %w", id, ErrInDoubt))
		return
	}
	a := &dialogAsk{r: r, slot: slot, id: id, data: envelope.EncodeInDialog(id, p), done: done, started: now,
		pause: firstPause, waits: p.Flow.Transport.Reliable()}
	a.ask()
}

// ask tries the node that the call was found at last, or that the token names.
func (a *dialogAsk) ask() {
	slot := a.slot
	if moved, ok := a.r.found.get(a.id); ok {
		slot = moved
	}
	a.again = false
	a.deliver(slot)
}

func (a *dialogAsk) deliver(slot call.Slot) {
	a.asked = time.Now()
	a.r.asker.ask(subject.InDialog(slot), a.data, a.r.callWait, a.delivered)
}

func (a *dialogAsk) delivered(rep reply) {
	a.r.observe("call", a.asked, rep.err)
	err := delivered(a.id, rep)
	switch {
	case err == nil, errors.Is(err, actors.ErrBusy):
		a.end(err)
	case errors.Is(err, ErrUnavailable):
		a.unheard(err)
	case a.again: // who claimed it does not have it any more
		a.r.found.forget(a.id)
		a.doubt(rep.err)
	default:
		if a.r.obs.Fallback != nil {
			a.r.obs.Fallback("call")
		}
		a.r.found.forget(a.id)
		a.asked = time.Now()
		a.r.asker.ask(subject.Find(a.id), nil, a.r.findWait, a.found)
	}
}

// found takes the answer of the one node that holds the call.
func (a *dialogAsk) found(rep reply) {
	a.r.observe("find", a.asked, rep.err)
	switch {
	case errors.Is(rep.err, errSilence):
		a.doubt(rep.err)
		return
	case rep.err != nil: // no media node at all listens, or NATS is away
		a.unheard(fmt.Errorf("call %s: %w: %w", a.id, ErrUnavailable, rep.err))
		return
	}
	slot, err := envelope.DecodeHolder(rep.data)
	if err != nil {
		a.end(fmt.Errorf("find call %s: %w", a.id, err))
		return
	}
	a.r.found.put(a.id, slot)
	a.again = true
	a.deliver(slot)
}

// doubt notes that nobody claims the call. Silence says so only while this
// node's own words come back from NATS: a hung broker denies no call.
func (a *dialogAsk) doubt(why error) {
	if !errors.Is(why, errSilence) {
		a.unclaimed()
		return
	}
	a.r.asker.echo(a.r.echoWait, func(rep reply) {
		if rep.err != nil {
			a.unheard(fmt.Errorf("call %s: %w: %w", a.id, ErrUnavailable, rep.err))
			return
		}
		a.unclaimed()
	})
}

// unclaimed decides about a call that nobody claims now.
func (a *dialogAsk) unclaimed() {
	now := time.Now()
	switch {
	case a.r.doubts.note(a.id, now):
		a.end(fmt.Errorf("call %s: %w", a.id, actors.ErrNotMine))
	case a.waits:
		a.hold(now, ErrInDoubt)
	default:
		a.end(fmt.Errorf("call %s: %w", a.id, ErrInDoubt))
	}
}

// unheard decides about a call that nobody could be asked about. What was
// doubted before proves nothing now.
func (a *dialogAsk) unheard(why error) {
	a.r.doubts.forget(a.id)
	if a.waits && !errors.Is(why, errClosed) {
		a.hold(time.Now(), why)
		return
	}
	a.end(why)
}

// hold keeps the message and asks again after a pause, if there is room and it
// has not been asked about for the last time.
func (a *dialogAsk) hold(now time.Time, why error) {
	left := a.r.holdTime - now.Sub(a.started)
	switch {
	case left <= 0:
		a.end(fmt.Errorf("call %s: held for %v: %w", a.id, a.r.holdTime, why))
	case !a.held && !a.r.held.take(len(a.data)):
		a.end(fmt.Errorf("call %s: no room to hold it: %w", a.id, actors.ErrBusy))
	default:
		a.held = true
		pause := min(a.pause, left)
		a.pause = min(2*a.pause, lastPause)
		a.r.asker.later(pause, func(rep reply) {
			if !errors.Is(rep.err, errSilence) { // the table is full, or closed
				a.end(delivered(a.id, rep))
				return
			}
			a.ask()
		})
	}
}

func (a *dialogAsk) end(err error) {
	if a.held {
		a.held = false
		a.r.held.give(len(a.data))
	}
	if err == nil {
		a.r.doubts.forget(a.id)
	}
	a.done(err)
}

// delivered translates the end of an ask about a call.
func delivered(id call.ID, rep reply) error {
	switch {
	case errors.Is(rep.err, errFull):
		return fmt.Errorf("call %s: %w", id, actors.ErrBusy)
	case errors.Is(rep.err, errNobody), errors.Is(rep.err, errSilence):
		return fmt.Errorf("call %s: %w: %w", id, actors.ErrNotMine, rep.err)
	case rep.err != nil:
		return fmt.Errorf("call %s: %w: %w", id, ErrUnavailable, rep.err)
	}
	d, err := envelope.DecodeDelivery(rep.data)
	switch {
	case err != nil:
		return fmt.Errorf("call %s: %w", id, err)
	case d == envelope.NotMine:
		return fmt.Errorf("call %s: %w", id, actors.ErrNotMine)
	case d == envelope.Busy:
		return fmt.Errorf("call %s: %w", id, actors.ErrBusy)
	}
	return nil
}
