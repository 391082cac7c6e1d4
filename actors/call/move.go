package call

import (
	"strings"
	"time"
)

// A call moves when another dialog takes the place of the one that carries it:
// its id, its agent, its media and its record stay, and whom it is joined to is
// somebody else (docs/adr/0027).

// How a call moved.
const (
	MovedByReplaces = "replaces" // an INVITE of the other side took the dialog over (RFC 3891)
	MovedByRefer    = "refer"    // the other side had us call somebody else (RFC 3515)
)

// Names of the events about it.
const (
	EventMoved = "call.moved"
)

// A Moved is the last time that a call moved.
type Moved struct {
	How       string    `json:"how"`         // replaces, refer
	To        Party     `json:"to"`          // whom the call is joined to now
	SIPCallID string    `json:"sip_call_id"` // of the dialog that carries it now
	Source    string    `json:"source"`      // of the packet that moved it, ip:port
	At        time.Time `json:"at"`          // when
	Times     int       `json:"times"`       // how often the call has moved so far
	Headers   []Header  `json:"-"`           // of the INVITE, for the agent and the event
}

// A Replacing is what an INVITE says that asks to take a dialog's place.
type Replacing struct {
	Dialog    DialogID // that is to be replaced; TheirSide is not said
	CallID    string   // of the INVITE itself
	FromTag   string
	CSeq      uint32
	Branch    string
	EarlyOnly bool   // not if the dialog is confirmed
	Dialled   string // key of the address that the INVITE is for
}

// SameInvite reports whether two are copies of one INVITE.
func (r *Replacing) SameInvite(o *Replacing) bool {
	return r.CallID == o.CallID && r.FromTag == o.FromTag && r.CSeq == o.CSeq && r.Branch == o.Branch
}

// Names reports whether the dialog is the one that is to be replaced: the tags
// are compared as those of a request would be (RFC 3891 3). Ours is compared
// without case, because some peers fold it; 0 stands for none, too.
func (r *Replacing) Names(d DialogID) bool {
	return r.Dialog.CallID == d.CallID && strings.EqualFold(r.Dialog.OurTag, d.OurTag) &&
		(r.Dialog.TheirTag == d.TheirTag || r.Dialog.TheirTag == "0" && d.TheirTag == "")
}

// Movable reports whether another dialog may take the place of the call's; else
// the status that an INVITE which asks for it is owed: 481 while the call has
// no answer, for then its dialog is an early one that is not ours; 491 while it
// is on its way elsewhere, or an offer of ours has no answer; 603 when it is over.
func (c *Call) Movable() (status int, ok bool) {
	switch c.state {
	case StateAnswered, StateEstablished, StateHeld: // who knows our tag has our 200, though its ACK may be late
		if c.moved() || c.live.owed || c.live.referring != nil { // it leaves, or its offer has no answer
			return 491, false
		}
		return 0, true
	case StateEnding, StateEnded:
		return 603, false
	}
	return 481, false
}

// replaced is an INVITE that asks to carry the call from now on, from somebody
// who may. It is answered as a re-INVITE would be; where it says nothing that
// the call can use, the call goes on as it was.
func (c *Call) replaced(now time.Time, ev Event) {
	if status, ok := c.Movable(); !ok {
		c.do(Effect{Do: AnswerReplacing, Response: Response{Status: status}})
		return
	}
	if ev.Offer == nil { // the ACK brings the answer
		c.live.owed = true
		c.do(Effect{Do: AnswerReplacing, Response: Response{Status: 200, Offer: c.live.ours.Describe()}})
		c.move(now, ev)
		return
	}
	agreed, cause := c.agree(ev)
	if agreed == nil {
		c.do(Effect{Do: AnswerReplacing, Response: Response{Status: 488, Cause: cause}})
		return
	}
	c.live.ours = agreed.Ours
	c.do(Effect{Do: UpdateMedia, Agreement: agreed})
	c.do(Effect{Do: AnswerReplacing, Response: Response{Status: 200, Answer: &agreed.Ours}})
	c.move(now, ev)
	ev.Mover = nil // of call.moved alone
	c.hold(now, ev, c.live.ours.Direction)
}

// move notes that another dialog carries the call. A transfer that was asked of
// the one before has no outcome any more.
func (c *Call) move(now time.Time, ev Event) {
	if c.moving() {
		c.settleTransfer(now, Event{}, TransferFailed, ReasonReplaced)
	}
	next := *ev.Mover
	next.At, next.Times = now, 1
	if before := c.record.Moved; before != nil {
		next.Times += before.Times
	}
	c.record.Moved, ev.Mover = &next, &next
	c.live.unacked = next.How == MovedByReplaces
	if c.record.Stages.Acked.IsZero() && !c.live.unacked { // the ACK of the dialog before is nobody's now
		c.record.Stages.Acked = now
		if c.state == StateAnswered {
			c.state = StateEstablished
		}
	}
	c.emit(EventMoved, ev)
}
