package actors

import (
	"errors"
	"fmt"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// place makes a call of a job that has no INVITE: we are to send it. A job that
// is here already is the same call, live or over. The caller holds the shard.
func (c *Calls) place(now time.Time, shard *keyShard, e *keyEntry, job Job) Taken {
	switch {
	case e == nil && job.Known:
		return c.refused(481)
	case e == nil:
		return c.first(now, shard, job)
	case e.passed:
		return c.refused(503)
	}
	return Taken{V: 1, ID: e.id, Node: c.node}
}

// errNoPassword says that a trunk's password could not be opened.
var errNoPassword = errors.New("actors: the password of a call cannot be opened")

// dial makes the dialog of a call that we place.
func (c *Calls) dial(id call.ID, d *Dial) (Dialog, call.Invitation, error) {
	out := call.Outgoing{To: d.To, From: d.From, Hops: d.Hops, Headers: d.Headers, MaxForwards: d.MaxForwards}
	if d.Username != "" {
		out.Credentials = call.Credentials{Username: d.Username, Realm: d.Realm}
	}
	if d.Password != "" {
		if c.ports.Open == nil {
			return nil, call.Invitation{}, errNoPassword
		}
		password, err := c.ports.Open(d.Password)
		if err != nil { // its text may say what it could not open
			return nil, call.Invitation{}, errNoPassword
		}
		out.Credentials.Password = password
	}
	caller, inv, err := c.ports.Dialogs.Call(id, out)
	var wrong *call.WrongOutgoing
	if errors.As(err, &wrong) {
		return nil, inv, &call.Refusal{Response: call.Response{Status: 400, Text: wrong.Error()}, Why: wrong.Error()}
	}
	if err != nil {
		return nil, inv, fmt.Errorf("call %s: %w", id, err)
	}
	return caller, inv, nil
}

// outbound completes what a call that we place knows at its start.
func (a *actor) outbound(p *call.Params) {
	d := a.job.Dial
	p.Outbound, p.Trunk, p.EarlyMedia, p.Refers = true, d.Trunk, d.EarlyMedia, d.Refer != nil
	p.RingTimeout = orDefault(d.RingTimeoutMs, defaultRing)
	if p.For = d.For; d.For != 0 {
		p.MaxDuration = a.calls.limits.MaxDuration
	}
	p.MaxDuration = orDefault(d.MaxDurationMs, p.MaxDuration)
	a.ruling = Ruling{V: 1, Context: d.Context, Metadata: d.Metadata, Settings: d.Settings}
}

// defaultRing is how long a carrier may take to answer where the job does not
// say.
const defaultRing = time.Minute

// reserve opens the bridge of a call that we place.
func (a *actor) reserve() {
	inv, codecs := a.invitation, offerable(a.job.Agent)
	if a.facing.IsValid() {
		inv.Source = a.facing.String()
	}
	if a.job.isTarget() {
		codecs = a.job.Codecs
	}
	a.bridge = a.calls.ports.Switchboard.Reserve(BridgeRequest{
		ID: a.id, Tenant: a.job.Tenant, Endpoint: a.job.Endpoint, Invitation: inv, Codecs: codecs, DTMF: a.job.DTMF, Outbound: true,
	}, a.post)
}

// offerable are the codecs that a carrier is offered: the agent's, for it must
// take the one that the carrier chooses.
func offerable(agent *endpoint.Agent) []string {
	if agent == nil {
		return nil
	}
	return agent.WebRTC.Codecs
}

// send gives a message to the wire. That no edge could send an INVITE of ours
// comes back to the dialog.
func (a *actor) send(tx call.Transmission) {
	if tx.Fill {
		tx.Lost = func() {
			// ErrStopped: the call has ended with its host.
			_ = a.loop.Post(a.unsent)
		}
	}
	a.calls.ports.Wire.Transmit(tx)
}

func (a *actor) unsent(now time.Time) {
	if !a.gone {
		a.perform(now, a.machine.HandleUnsent(now))
	}
}

// tells reports whether the agent of a call that we placed is told of an event
// now. That the carrier answered is told to one that is there; to one that
// joins an answered call, its joining says so.
func (a *actor) tells(name string) bool {
	if a.job.Dial == nil || a.job.isTarget() {
		return a.job.Dial == nil
	}
	stages := a.machine.Call.Record().Stages
	switch name {
	case call.EventStarted: // it is told when it is asked
		return false
	case call.EventAnswered:
		return !stages.AgentJoined.IsZero()
	case call.EventAgentJoined:
		return !stages.Answered.IsZero()
	}
	return true
}

// unheard reports that no agent has heard of a call that we placed.
func (a *actor) unheard() bool {
	return a.job.Dial != nil && a.machine.Call.Record().Stages.AgentChosen.IsZero()
}
