package actors

import (
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// maxFailoverBytes bounds what the agents after the first may add to a job: it
// travels in one message. Those that do not fit are left out, the last first.
const maxFailoverBytes = 96 << 10

// An Asked is one agent that a bridge is to bring into its call.
type Asked struct {
	Number   int // marks news of it: call.Event.Dispatch
	Agent    endpoint.Agent
	Context  []byte    // what it is told of the call beside the invitation, JSON; nil: nothing
	Metadata []byte    // of the owner's webhook, JSON; nil: none
	Settings []byte    // likewise
	Deadline time.Time // it must have joined by then
	Patient  bool      // nobody is asked after it: worth waiting for one to come
	Epoch    uint64    // 1; more: it takes over an answered call
	Cause    call.Cause
}

// agents are those who may be asked, in order.
func (j *Job) agents() []*endpoint.Agent {
	if j.Agent == nil {
		return nil
	}
	all := make([]*endpoint.Agent, 1, 1+len(j.Failover))
	all[0] = j.Agent
	for i := range j.Failover {
		all = append(all, &j.Failover[i])
	}
	return all
}

func candidates(agents []*endpoint.Agent) []call.Candidate {
	list := make([]call.Candidate, len(agents))
	for i, a := range agents {
		list[i] = call.Candidate{ID: a.ID, OnClose: a.WebRTC.OnClose}
	}
	return list
}

// asked is what the bridge is told of a dispatch.
func (a *actor) asked(now time.Time, d call.Dispatch) Asked {
	agent := a.job.agents()[d.Agent]
	return Asked{Number: d.Number, Agent: *agent, Context: a.context(agent), Metadata: a.ruling.Metadata, Settings: a.ruling.Settings, Deadline: now.Add(d.Within), Patient: d.Patient,
		Epoch: d.Epoch, Cause: d.Cause}
}

// Failover reads the agents that an agent names for when it does not take a
// call. Those that do not exist or are not active are passed over.
func Failover(agent *endpoint.Agent, read func(id string) (*endpoint.Agent, error)) ([]endpoint.Agent, error) {
	if agent == nil {
		return nil, nil
	}
	var list []endpoint.Agent
	size := 0
	for _, id := range agent.Failover {
		next, err := read(id)
		if err != nil {
			return nil, err
		}
		if next == nil || !next.IsActive {
			continue
		}
		if size += sizeOf(next); size > maxFailoverBytes {
			break
		}
		list = append(list, *next)
	}
	return list, nil
}

// sizeOf is about how long an agent is as JSON.
func sizeOf(a *endpoint.Agent) int {
	n := 1024 + len(a.WebRTC.Session) + len(a.ContextSchema) + len(a.CallTemplate) + len(a.WebRTC.URL)
	for k, v := range a.Metadata {
		n += len(k) + len(v)
	}
	for k, v := range a.WebRTC.Headers {
		n += len(k) + len(v)
	}
	return n
}

// trustingAll is trusting for each.
func trustingAll(agents []endpoint.Agent, trust *bool) []endpoint.Agent {
	var list []endpoint.Agent
	for i := range agents {
		list = append(list, *trusting(&agents[i], trust))
	}
	return list
}
