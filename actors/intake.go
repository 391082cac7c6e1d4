package actors

import (
	"errors"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Offer takes an accepted INVITE, or a CANCEL of one. It may be called from
// any goroutine and returns at once.
//
// It is idempotent by transaction key (RFC 3261 8.2.2.2, 17.2.3): the first
// copy of an INVITE begins a call; a copy with the same branch makes the call
// send its last response again, on the copy's flow; one with another branch
// gets 482. A CANCEL that finds no call gets 481, and is remembered for 64*T1:
// its INVITE, when it comes, gets 487. A node that is full or draining takes no
// new calls: 503, and 503 again to every copy, for the next node in order has
// the call by then (design D4).
func (c *Calls) Offer(job Job) (taken Taken) {
	defer func() {
		if v := recover(); v != nil {
			c.host.panicked(-1, v)
			taken = c.refused(500)
		}
	}()
	now := time.Now()
	shard := c.keys.shard(job.Key)
	shard.Lock()
	defer shard.Unlock()
	entry := shard.find(job.Key, now)
	switch {
	case job.Cancel:
		return c.cancel(now, shard, entry, job)
	case job.Dial != nil:
		return c.place(now, shard, entry, job)
	}
	return c.invite(now, shard, entry, job)
}

func (c *Calls) invite(now time.Time, shard *keyShard, e *keyEntry, job Job) Taken {
	switch {
	case e == nil, e.cancelled && e.branch != job.Branch:
		if job.Known {
			return c.refused(481)
		}
		return c.first(now, shard, job)
	case e.passed && job.Known:
		return c.refused(481)
	case e.passed:
		return c.refused(503)
	case e.branch != job.Branch:
		return c.refused(482)
	case e.cancelled:
		return c.refused(487)
	case e.actor != nil:
		// A copy lost to a full mailbox is lost as on any network.
		_ = e.actor.loop.Tell(func(now time.Time) { e.actor.receive(now, job.Packet) })
	}
	return Taken{V: 1, ID: e.id, Node: c.node}
}

func (c *Calls) cancel(now time.Time, shard *keyShard, e *keyEntry, job Job) Taken {
	switch {
	case e == nil:
		shard.remember(job.Key, &keyEntry{branch: job.Branch, cancelled: true, until: now.Add(c.keys.ttl)}, now)
		return c.refused(481)
	case e.actor == nil, e.branch != job.Branch: // gone, cancelled or passed; a CANCEL has the branch of its INVITE (RFC 3261 9.1)
		return c.refused(481)
	}
	a := e.actor
	if a.loop.Tell(func(now time.Time) { a.receive(now, job.Packet) }) != nil {
		return c.refused(503)
	}
	return Taken{V: 1, ID: e.id, Node: c.node}
}

// first takes the first copy of an INVITE that comes here. One that there is no
// room for goes on to the next node, and its copies after it.
func (c *Calls) first(now time.Time, shard *keyShard, job Job) Taken {
	taken := c.begin(now, shard, job)
	if taken.Status == 503 {
		shard.remember(job.Key, &keyEntry{branch: job.Branch, passed: true, until: now.Add(c.keys.ttl)}, now)
	}
	return taken
}

// begin makes a call of an INVITE. The caller holds the shard, so copies wait.
func (c *Calls) begin(now time.Time, shard *keyShard, job Job) (taken Taken) {
	if job.Agent == nil && !job.isTarget() && (job.Consult == nil || c.ports.Rulings == nil) {
		return c.refused(500)
	}
	if c.Draining() {
		return c.refused(503)
	}
	if c.live.Add(1) > int64(c.limits.MaxCalls) {
		c.live.Add(-1)
		return c.refused(503)
	}
	a := c.newActor(job)
	if a == nil { // a call of ours whose key is forgotten, and that goes on
		c.live.Add(-1)
		return Taken{V: 1, ID: job.Dial.ID, Node: c.node}
	}
	begun := false
	defer func() {
		if !begun {
			c.index.remove(a.id)
			c.live.Add(-1)
		}
	}()
	dialog, inv, err := c.dialog(now, a.id, job)
	if err != nil {
		return c.refusal(err)
	}
	a.prepare(dialog, inv)
	keys := []endpoint.Key{job.Endpoint, job.Project}
	a.copy = &Copy{ID: a.id, Key: job.Key, Mark: call.Mark{Digest: job.Key.Digest()}}
	c.young.enter(now, a.copy)
	c.census.enter(a.id, keys...) // before its loop can end it
	shard.hold(job.Key, job.Branch, a)
	if err := a.loop.Tell(a.begin); err != nil {
		shard.release(job.Key)
		c.census.leave(a.id, keys...)
		c.young.forget(a.copy)
		return c.refused(503)
	}
	begun = true
	return Taken{V: 1, ID: a.id, New: true, Node: c.node}
}

// dialog makes the SIP side of a new call.
func (c *Calls) dialog(now time.Time, id call.ID, job Job) (Dialog, call.Invitation, error) {
	if job.Dial != nil {
		return c.dial(id, job.Dial)
	}
	return c.ports.Dialogs.New(now, id, job.Packet)
}

// newActor returns the actor of a new call, in the index under an unused id; nil
// where the id of a call that we place is used.
func (c *Calls) newActor(job Job) *actor {
	if job.Dial != nil {
		a := &actor{calls: c, id: job.Dial.ID, job: job}
		if a.loop = c.host.Loop(uint64(a.id)); c.index.add(a) {
			return a
		}
		return nil
	}
	for {
		a := &actor{calls: c, id: c.newID(), job: job}
		a.loop = c.host.Loop(uint64(a.id))
		if c.index.add(a) {
			return a
		}
	}
}

func (c *Calls) refused(status int) Taken { return Taken{V: 1, Status: status, Node: c.node} }

// refusal is the answer to an INVITE that cannot become a call.
func (c *Calls) refusal(err error) Taken {
	var r *call.Refusal
	if errors.As(err, &r) && r.Response.Status >= 400 {
		t := c.refused(r.Response.Status)
		t.Text = r.Response.Text
		return t
	}
	return c.refused(500)
}
