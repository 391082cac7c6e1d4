package actors

import (
	"encoding/json"
	"time"

	"patchbay/actors/call"
)

// A Snapshot is all that another media node needs to take a call over (design
// D6): without Answered it is written at the 100 and holds the INVITE, with it
// at the 200 and holds both legs. It holds secrets, keys of SRTP and bearer
// slugs among them: where it is kept it is sealed.
//
// Parts that only one door understands are that door's own JSON, with a
// version each: Dialog is sip/dialog's, Media is media's.
type Snapshot struct {
	V          int             `json:"v"`
	At         time.Time       `json:"at"`
	Job        Job             `json:"job"`  // transaction key, branch, tenant, endpoint, agents, decision
	Flow       call.Flow       `json:"flow"` // of the INVITE
	Answered   bool            `json:"answered,omitempty"`
	Agent      int             `json:"agent,omitempty"`  // which of the job's agents has the call, or is asked
	Epoch      uint64          `json:"epoch,omitempty"`  // of the agent's leg: 1, and one more for each that took over
	Events     uint64          `json:"events,omitempty"` // told so far
	Until      time.Time       `json:"until,omitzero"`   // the search for an agent, or the call, may last
	Ruling     *Ruling         `json:"ruling,omitempty"` // what the owner's webhook gave for the agent
	Invitation call.Invitation `json:"invitation"`       // the carrier's SDP offer among it
	Record     call.Record     `json:"record"`           // what is known so far
	Dialog     json.RawMessage `json:"dialog"`
	Media      json.RawMessage `json:"media,omitempty"`
	Raw        []byte          `json:"-"` // the INVITE, until the answer; travels beside the JSON, as bytes
}

// snapshot is how the call stands now. It runs on the actor's loop.
func (a *actor) snapshot(now time.Time) *Snapshot {
	rec := a.machine.Call.Record()
	agent, epoch, until := a.machine.Call.Serving()
	s := &Snapshot{V: 1, At: now, Job: a.job, Flow: a.job.Packet.Flow, Answered: rec.Status == 200, Agent: agent, Epoch: epoch,
		Events: a.seq, Until: until, Invitation: a.invitation, Record: rec, Dialog: a.machine.Dialog.Snapshot()}
	if r := a.ruling; r.Context != nil || r.Metadata != nil || r.Settings != nil {
		s.Ruling = &Ruling{V: 1, Context: r.Context, Metadata: r.Metadata, Settings: r.Settings}
	}
	if a.bridge != nil && s.Answered {
		s.Media = a.bridge.Snapshot()
	}
	if !s.Answered {
		s.Raw = a.job.Packet.Raw
	}
	s.Job.Packet = call.Packet{}
	return s
}

// keepPause is how long changes of an answered call are gathered before its
// snapshot is written again.
const keepPause = 5 * time.Second

// keep gives the ledger a snapshot.
func (a *actor) keep(now time.Time) {
	if a.over || a.released {
		return
	}
	a.kept = a.machine.Dialog.Revision()
	a.keepTimer.Stop()
	a.calls.ports.Ledger.Keep(a.snapshot(now))
	if a.machine.Call.Record().Status != 0 { // the INVITE has its final response
		a.job.Packet.Raw = nil
	}
}

// noticed has a snapshot written where the dialog is not any more as the last
// one has it: soon, of an answered call; at once, of one that we place, whose
// dialogs come and go.
func (a *actor) noticed(now time.Time) {
	if a.over || a.machine.Dialog.Revision() == a.kept {
		return
	}
	switch status := a.machine.Call.Record().Status; {
	case status == 200 && !a.keepTimer.IsSet():
		a.keepTimer.Set(now.Add(keepPause))
	case status == 0 && a.job.Dial != nil && a.machine.invited:
		a.keep(now)
	}
}
