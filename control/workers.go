package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// A WorkerView is a worker of an agent as its last heartbeat has it.
type WorkerView struct {
	ID    string    `json:"id"`
	State string    `json:"state"` // ready, draining
	Load  float64   `json:"load"`  // 0 to 1
	Calls int       `json:"calls"`
	Max   int       `json:"max,omitempty"` // calls at once; absent: not said
	Seen  time.Time `json:"seen"`
}

// A Workforce is who is there for an agent's next call.
type Workforce struct {
	Workers []WorkerView `json:"workers"` // that send heartbeats, by id
	Standby int          `json:"standby"` // sessions that agents have parked
}

// Add puts a worker into its place. Of two views of one, the later stays.
func (f *Workforce) Add(w WorkerView) {
	i, known := slices.BinarySearchFunc(f.Workers, w, func(a, b WorkerView) int { return cmp.Compare(a.ID, b.ID) })
	switch {
	case !known:
		f.Workers = slices.Insert(f.Workers, i, w)
	case w.Seen.After(f.Workers[i].Seen):
		f.Workers[i] = w
	}
}

// Workers knows who is there for agents, from the media nodes.
type Workers interface {
	Workers(ctx context.Context, tenant, agent string) (Workforce, error)
}

// AgentWorkers says who is there for an agent of the tenant.
func (o *Operations) AgentWorkers(ctx context.Context, tenant string, in ID) (Workforce, error) {
	a, err := o.GetAgent(ctx, tenant, in)
	if err != nil {
		return Workforce{}, err
	}
	if o.Workers == nil {
		return Workforce{}, &Error{Code: CodeUnavailable, Message: "no media node can be asked here"}
	}
	f, err := o.Workers.Workers(ctx, tenant, a.ID)
	if err != nil {
		return Workforce{}, fmt.Errorf("workers of agent %s: %w", a.ID, err)
	}
	if f.Workers == nil {
		f.Workers = []WorkerView{}
	}
	return f, nil
}
