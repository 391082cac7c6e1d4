package anyedge_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"patchbay/actors/call"
)

// TestEveryMessageOfACallMayTakeAnotherEdge sends each message of many calls,
// retransmissions, CANCEL and ACK among them, to a different one of three
// edges.
func TestEveryMessageOfACallMayTakeAnotherEdge(t *testing.T) {
	t.Parallel()
	c := newAnyEdge(t, 3)
	scripts := map[string]func(*talk){
		"bye":    c.carrierEnds,
		"ours":   c.weEnd,
		"ring":   c.carrierGivesUp,
		"nobody": c.refused,
	}
	const each = 125 // 1,000 calls
	var all sync.WaitGroup
	slots := make(chan struct{}, 16) // calls at once
	for _, over := range []call.Transport{call.UDP, call.TCP} {
		p := newPhone(c, over)
		for name, script := range scripts {
			for i := range each {
				k := p.talk(fmt.Sprintf("%s-%s-%d", name, over, i), i)
				all.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					place(t, func() { script(k) })
				})
			}
		}
	}
	all.Wait()
	want := map[string]string{"bye": "carrier", "ours": "operator", "ring": "carrier"}
	for _, over := range []call.Transport{call.UDP, call.TCP} {
		for name, by := range want {
			for i := range each {
				user := fmt.Sprintf("%s-%s-%d", name, over, i)
				eventuallyIn(t, "the record of "+user, func() bool { return len(c.ledger.of(user)) > 0 })
				if got := c.ledger.of(user); len(got) != 1 || string(got[0].EndedBy) != by {
					t.Errorf("%s: %d records, the first ended by %s", user, len(got), got[0].EndedBy)
				}
			}
		}
	}
	if n := c.strays.Load(); n > each { // any of the three would be two thirds
		t.Errorf("%d of %d BYEs of ours did not come by the edge of their dialog's last message", n, 2*each)
	}
	if n := c.calls.Count(); n != 0 {
		t.Errorf("%d calls are live", n)
	}
}

// again sends a copy of a request by the next edge, where the transport has
// copies, and waits until what was answered comes by that edge.
func (k *talk) again(raw []byte, answer string) {
	if k.p.over != call.UDP {
		return
	}
	const slow = 5 * time.Second // of an edge on a busy machine
	for end := time.Now().Add(anyPatience); time.Now().Before(end); {
		by := k.next(raw)
		for h, ok := k.hears(answer, slow); ok; h, ok = k.hears(answer, slow) {
			if h.from == by {
				return
			}
		}
	}
	k.p.t.Errorf("%s: no answer to a copy by the edge that it came by", k.user)
}

func (c *anyEdge) carrierEnds(k *talk) {
	invite := k.request("INVITE")
	k.answered(invite)
	k.again(invite, "200 INVITE")
	k.next(k.ack)
	bye := k.request("BYE")
	k.ask(bye, "200 BYE")
	k.again(bye, "200 BYE")
}

func (c *anyEdge) weEnd(k *talk) {
	k.answered(k.request("INVITE"))
	by := k.next(k.ack)
	eventuallyIn(c.t, "the call of "+k.user, func() bool { return c.hangUp(k) })
	bye := k.await("BYE")
	if bye.from != by { // as may be where an edge is slow to say that it sent it
		c.strays.Add(1)
	}
	k.next(k.ok(bye))
}

// carrierGivesUp cancels a call that rings.
func (c *anyEdge) carrierGivesUp(k *talk) {
	invite := k.request("INVITE")
	k.ask(invite, "180 INVITE")
	k.again(invite, "180 INVITE")
	cancel := k.cancel()
	k.ask(cancel, "200 CANCEL")
	k.again(cancel, "200 CANCEL")
	if k.p.over == call.UDP { // the 487 is repeated until its ACK
		k.await("487 INVITE")
	}
	k.next(k.refusalAck())
}

func (c *anyEdge) refused(k *talk) {
	invite := k.request("INVITE")
	k.ask(invite, "404 INVITE")
	tag := k.to
	k.again(invite, "404 INVITE")
	if k.to != tag {
		c.t.Errorf("%s: edges refuse with different tags: %s and %s", k.user, tag, k.to)
	}
	k.next(k.refusalAck())
	if h, any := k.hears("481 ACK", 50*time.Millisecond); any {
		c.t.Errorf("%s: an ACK was answered: %v", k.user, h)
	}
}

// byFirst places a call by the first edge alone.
func (k *talk) byFirst() {
	k.p.send(0, k.request("INVITE"))
	k.accept(k.await("200 INVITE"))
	k.p.send(0, k.ack)
}

// TestOurByeOutlivesTheEdgeOfItsDialog: the edge that carried the call so far
// is killed; our BYE leaves by another, and the answer finds the call.
func TestOurByeOutlivesTheEdgeOfItsDialog(t *testing.T) {
	t.Parallel()
	for _, over := range []call.Transport{call.UDP, call.TCP} {
		t.Run(string(over), func(t *testing.T) {
			t.Parallel()
			c := newAnyEdge(t, 3)
			k := newPhone(c, over).talk("ours", 0)
			place(t, func() {
				k.byFirst()
				eventuallyIn(t, "the call has its ACK", func() bool { return c.confirmed(k) })
				c.edges[0].kill()
				k.dead = 1
				if !c.hangUp(k) {
					t.Error("the call is gone")
				}
				bye := k.await("BYE")
				if bye.from == 0 {
					t.Error("a dead edge sent a BYE")
				}
				k.p.send(1, k.ok(bye))
				eventuallyIn(t, "the record", func() bool { return len(c.ledger.of("ours")) == 1 })
				eventuallyIn(t, "the BYE is answered", func() bool { return c.calls.Lingering() == 1 && c.calls.Count() == 0 })
			})
		})
	}
}

func TestOurByeOutlivesTheConnectionOfItsDialog(t *testing.T) {
	t.Parallel()
	c := newAnyEdge(t, 2)
	k := newPhone(c, call.TCP).talk("ours", 0)
	place(t, func() {
		k.byFirst()
		eventuallyIn(t, "the call has its ACK", func() bool { return c.confirmed(k) })
		_ = k.p.streams[0].Close()
		k.dead = 1
		eventuallyIn(t, "the edge has seen the end of the connection", func() bool { return c.edges[0].conns.Load() == 0 }) // what is written before is lost
		c.hangUp(k)
		bye := k.await("BYE")
		if bye.from != -1 {
			t.Errorf("our BYE came by edge %d, want a new connection to the Contact", bye.from)
		}
		k.p.send(1, k.ok(bye))
		eventuallyIn(t, "the record", func() bool { return len(c.ledger.of("ours")) == 1 })
	})
}

// TestAnAnswerOutlivesTheEdgeOfItsInvite: the carrier has its 180 and waits; no
// copy of its INVITE will show the way by another edge.
func TestAnAnswerOutlivesTheEdgeOfItsInvite(t *testing.T) {
	t.Parallel()
	for _, over := range []call.Transport{call.UDP, call.TCP} {
		t.Run(string(over), func(t *testing.T) {
			t.Parallel()
			c := newAnyEdge(t, 3)
			k := newPhone(c, over).talk("ring", 0)
			place(t, func() {
				k.p.send(0, k.request("INVITE"))
				k.await("180 INVITE")
				c.edges[0].kill()
				k.dead = 1
				if !c.agents.answer(k.callID) {
					t.Error("nobody rings")
				}
				h := k.await("200 INVITE")
				if h.from == 0 {
					t.Error("a dead edge sent a 200")
				}
				k.accept(h)
				k.p.send(2, k.ack)
				eventuallyIn(t, "the call has its ACK", func() bool { return c.confirmed(k) })
				k.p.send(1, k.request("BYE"))
				k.await("200 BYE")
				eventuallyIn(t, "the record", func() bool { return len(c.ledger.of("ring")) == 1 })
			})
		})
	}
}
