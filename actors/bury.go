package actors

import (
	"fmt"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// eventsPerOwner is where each owner of a call begins to number its events: the
// last ones of an owner that died are in no snapshot, and no two may have one
// id.
const eventsPerOwner = 1_000_000

// Bury ends a call that this node has claimed from one that died: BYE to the
// carrier, or 503 where it had no answer, call.ended to whom it concerns, and
// the call's record. owner is the epoch of the claim, which the ledger knows
// already. The call lingers until its BYE, or its 503, has been answered.
//
// ErrNotMine: this node has the call itself. Any other error says that nothing
// can be told to the carrier; the record is then still to be written.
func (c *Calls) Bury(s *Snapshot, owner uint64) error {
	a := &actor{calls: c, id: s.Record.ID, job: s.Job, lost: true, seq: max(s.Events, (owner-1)*eventsPerOwner)}
	a.job.Packet = call.Packet{Flow: s.Flow, Raw: s.Raw}
	dialog, err := c.ports.Dialogs.Restore(a.id, s.Dialog, a.job.Packet)
	if err != nil {
		return fmt.Errorf("bury call %s: %w", a.id, err)
	}
	a.loop = c.host.Loop(uint64(a.id))
	if !c.index.add(a) {
		return fmt.Errorf("bury call %s: %w", a.id, ErrNotMine)
	}
	a.restore(dialog, s)
	c.live.Add(1)
	c.census.enter(a.id, a.job.Endpoint, a.job.Project)
	c.standFor(a)
	if err := a.loop.Post(a.bury); err != nil { // the node stops: nobody waits for it any more
		c.index.remove(a.id)
		c.live.Add(-1)
		c.census.leave(a.id, a.job.Endpoint, a.job.Project)
		return fmt.Errorf("bury call %s: %w", a.id, err)
	}
	return nil
}

// standFor lets copies of the call's INVITE find it, unless the carrier's has
// begun another call here meanwhile.
func (c *Calls) standFor(a *actor) {
	shard := c.keys.shard(a.job.Key)
	shard.Lock()
	defer shard.Unlock()
	if shard.find(a.job.Key, time.Now()) == nil {
		shard.hold(a.job.Key, a.job.Branch, a)
		return
	}
	a.second = true
}

// restore gives the actor a call from its snapshot, before its loop knows it.
func (a *actor) restore(dialog Dialog, s *Snapshot) {
	a.invitation = s.Invitation
	if s.Ruling != nil {
		a.ruling = *s.Ruling
	}
	params := call.Params{ID: a.id, Tenant: a.job.Tenant, Endpoint: string(a.job.Endpoint), Node: s.Record.Node,
		DecisionID: a.job.DecisionID, Invitation: s.Invitation, Agents: candidates(a.job.agents())}
	if a.job.Dial != nil {
		a.outbound(&params)
	}
	a.machine = Machine{Dialog: dialog, Call: call.Resume(params, s.Record), invited: true}
	a.arm()
}

func (a *actor) bury(now time.Time) {
	a.begun = true
	if a.second && a.machine.Call.Record().Status == 0 {
		// The copy that began the other call is answered by that one, with a tag
		// of its own: a 503 of ours would end it.
		a.machine.Dialog = silent{a.machine.Dialog}
	}
	a.happen(now, call.Event{Kind: call.NodeLost, Cause: call.CauseNodeLost})
}

// farewell tells the agent of a buried call.
func (a *actor) farewell(cause call.Cause) {
	rec := a.machine.Call.Record()
	agent := a.job.Agent
	for i := range a.job.Failover {
		if a.job.Failover[i].ID == rec.Agent {
			agent = &a.job.Failover[i]
		}
	}
	if agent == nil || agent.ID != rec.Agent {
		agent = &endpoint.Agent{ID: rec.Agent, WebRTC: endpoint.AgentTransport{Connector: endpoint.ConnectNATS}}
	}
	a.calls.ports.Switchboard.Farewell(Farewell{ID: a.id, Agent: *agent, Worker: rec.Worker, Cause: cause})
}

// Release lets go of a call that another node has claimed while this one was
// not heard: its media ends, the carrier and the ledger hear nothing. One that
// is not here is no error.
func (c *Calls) Release(id call.ID) {
	a := c.index.get(id)
	if a == nil {
		return
	}
	// ErrStopped: the call has ended with its host.
	_ = a.loop.Post(func(now time.Time) {
		if a.over || a.gone {
			return
		}
		a.released = true
		a.drop(now)
		if c.observer.Released != nil {
			c.observer.Released(id)
		}
	})
}

// silent is a dialog whose carrier is not to hear from this node any more.
type silent struct{ Dialog }

func (s silent) Respond(time.Time, call.Response) []call.Output { return nil }
func (s silent) Receive(time.Time, call.Packet) []call.Output   { return nil }
func (s silent) Bye(time.Time, call.Cause) []call.Output        { return nil }
func (s silent) Wake(time.Time) []call.Output                   { return nil }
func (s silent) Deadline() time.Time                            { return time.Time{} }
func (s silent) Done() bool                                     { return true }
