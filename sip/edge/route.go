package edge

import (
	"errors"
	"sync/atomic"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/sip/token"
	"patchbay/sip/wire"
)

// settled makes sure that a message is answered once at most.
type settled struct{ atomic.Bool }

func (s *settled) first() bool { return s.CompareAndSwap(false, true) }

// waiting is an INVITE's or CANCEL's place among the pending ones.
type waiting struct{ count atomic.Pointer[atomic.Int64] }

// release gives the place back, once.
func (r *request) release() {
	if c := r.waiting.count.Swap(nil); c != nil {
		c.Add(-1)
	}
}

// route decides which part of the cluster a message belongs to.
func (e *Edge) route(r *request) {
	m := r.m
	switch {
	case !m.IsRequest():
		e.response(r)
	case m.Method == "OPTIONS" && m.ToTag == "":
		e.options(r)
	case e.inDialog(r), e.takeover(r):
	case m.Method == "INVITE", m.Method == "CANCEL":
		e.invite(r)
	case m.Method == "ACK":
		e.obs.dropped(DropStrayAck)
	case wire.OfDialogs(m.Method):
		e.answer(r, 481) // of what dialog?
	case wire.Recognised(m.Method):
		e.answer(r, 405, allow)
	default:
		e.answer(r, 501, allow)
	}
}

// response goes to the call that wrote the branch of its top Via.
func (e *Edge) response(r *request) {
	t, _, ok := e.keys.OpenBranch(r.m.Branch, r.m.CallID)
	if !ok {
		e.obs.dropped(DropStrayResponse)
		return
	}
	e.router.InDialog(t.Slot, t.ID, r.packet(), func(err error) {
		if err != nil {
			e.obs.dropped(DropNotTaken)
		}
	})
}

// inDialog takes requests with a To-tag, and those for a Contact of ours, to
// the call that the token names; false: r is neither. The Request-URI comes
// first, because after an adoption the Contact names another node than the
// To-tag, which never changes. A tag that nobody here wrote is 481 without
// asking anyone.
func (e *Edge) inDialog(r *request) bool {
	m := r.m
	t, ok := e.keys.OpenURIUser(m.RequestURI.User, m.CallID)
	if m.ToTag == "" && !ok {
		return false
	}
	if tag, ours := e.keys.Open(m.ToTag, m.CallID); ours && tag.Kind == token.Reject {
		e.lost(r, nil) // of a stateless rejection there is no dialog, only an ACK
		return true
	} else if ours && !ok {
		t, ok = tag, tag.Kind == token.Call
	}
	if !ok {
		e.lost(r, nil)
		return true
	}
	e.router.InDialog(t.Slot, t.ID, r.packet(), func(err error) {
		defer e.contain("in-dialog")
		if err != nil {
			e.lost(r, err)
		}
	})
	return true
}

// takeover takes an INVITE that asks to take the place of a dialog to the call
// that our tag in Replaces names; false: r is none. One that names no dialog of
// ours is 481 (RFC 3891 3). Whether its sender may is for the call to find out.
func (e *Edge) takeover(r *request) bool {
	asks, ok := r.m.Replaces()
	if !ok {
		return false
	}
	t, ours := e.keys.Open(asks.ToTag, asks.CallID)
	if !ours || t.Kind != token.Call {
		e.lost(r, nil)
		return true
	}
	e.router.InDialog(t.Slot, t.ID, r.packet(), func(err error) {
		defer e.contain("takeover")
		if err != nil {
			e.lost(r, err)
		}
	})
	return true
}

// lost answers a request that no call takes. An ACK has no answer.
func (e *Edge) lost(r *request, err error) {
	switch {
	case r.m.Method == "ACK" && err != nil:
		e.obs.dropped(DropNotTaken)
	case r.m.Method == "ACK":
		e.obs.dropped(DropStrayAck)
	case errors.Is(err, actors.ErrBusy):
		e.answer(r, 503)
	case err == nil, errors.Is(err, actors.ErrNotMine):
		e.answer(r, 481)
	case r.in.flow.Transport.Reliable():
		e.answer(r, 503) // nobody could be asked, and the peer will not repeat it
	default:
		e.obs.dropped(DropNotTaken) // the peer repeats it: a live call must not hear 481
	}
}

// invite asks for the verdict on a new call, or passes a CANCEL on. CANCELs
// have as much room again as INVITEs: they make room.
func (e *Edge) invite(r *request) {
	cancel := r.m.Method == "CANCEL"
	limit := int64(e.cfg.MaxPending)
	if cancel {
		limit *= 2
	} else if e.draining.Load() && !e.taken(e.inviteOf(r)) {
		e.answer(r, 503)
		return
	}
	if e.pending.Add(1) > limit {
		e.pending.Add(-1)
		e.turnAway(r)
		return
	}
	r.waiting.count.Store(&e.pending)
	e.router.Invite(e.inviteOf(r), cancel, r.packet(), func(o Outcome) {
		defer e.contain("outcome")
		r.release()
		e.conclude(r, o)
	})
}

// conclude answers with the outcome, unless a call actor does.
func (e *Edge) conclude(r *request, o Outcome) {
	if o.Taken {
		return
	}
	if o.Silent {
		e.obs.dropped(DropSilent)
		return
	}
	status := o.Status
	if status < 300 || status > 699 {
		status = 500
	}
	var extra []call.Header
	if o.Reason != "" {
		extra = append(extra, reason(status, o.Reason))
	}
	if status == 503 || o.RetryAfter > 0 {
		extra = append(extra, e.retryAfter(o.RetryAfter))
	}
	if status == 415 { // a multipart body without SDP: RFC 3261 21.4.13
		extra = append(extra, accept)
	}
	e.answerWith(r, status, extra)
}
