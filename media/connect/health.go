package connect

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Bounds of what is kept of workers' heartbeats.
const (
	// MaxBeat is the largest heartbeat, bytes; a larger one is not read.
	MaxBeat = 1024
	// MaxWorkers is how many workers a node knows, and MaxWorkersPerAgent how
	// many of one agent; the heartbeats of more are passed over.
	MaxWorkers         = 20_000
	MaxWorkersPerAgent = 256
	// WorkerExpiry is how long after its last heartbeat a worker counts as
	// alive: they come every second, and two may be lost.
	WorkerExpiry = 3500 * time.Millisecond
	// agentMemory is how long an agent is known to have had workers.
	agentMemory = time.Minute
	// sweepEvery is how often the table is rid of those that are forgotten.
	sweepEvery = 10 * time.Second
)

// States of a worker, as it says them.
const (
	stateReady    = "ready"
	stateDraining = "draining"
)

// A WorkerState is a worker as its last heartbeat has it.
type WorkerState struct {
	V        int       `json:"v"`
	WorkerID string    `json:"worker_id"`
	Load     float64   `json:"load"` // 0 to 1
	Calls    int       `json:"calls"`
	Max      int       `json:"max"`   // calls at once; 0: not said
	State    string    `json:"state"` // ready, draining
	Seen     time.Time `json:"seen"`
}

// takes reports whether the worker would take a call.
func (w *WorkerState) takes() bool {
	return w.State != stateDraining && (w.Max <= 0 || w.Calls < w.Max)
}

// Workforce is what the heartbeats of an agent's workers say together.
type Workforce string

// Workforces.
const (
	WorkersUnknown Workforce = "unknown" // none was heard: they need not send any
	WorkersReady   Workforce = "ready"
	WorkersFull    Workforce = "full" // all that live are full, or draining
	WorkersGone    Workforce = "gone" // heartbeats came within the last minute, and have stopped
)

// Health is a table of agents' workers, made of their heartbeats. It may be
// used from any goroutine. A nil Health knows nobody.
type Health struct {
	now func() time.Time

	mu     sync.Mutex
	agents map[string]map[string]WorkerState // by agent and worker
	count  int
	swept  time.Time
}

// NewHealth returns an empty table. now is the clock.
func NewHealth(now func() time.Time) *Health {
	return &Health{now: now, agents: make(map[string]map[string]WorkerState)}
}

// Note takes a heartbeat of an agent's worker. What is no heartbeat is passed
// over.
func (h *Health) Note(agent string, beat []byte) {
	var w WorkerState
	if len(beat) > MaxBeat || json.Unmarshal(beat, &w) != nil || w.WorkerID == "" || len(w.WorkerID) > maxName ||
		w.State != stateReady && w.State != stateDraining {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	w.Seen = h.now()
	h.sweep(w.Seen)
	workers := h.agents[agent]
	if _, known := workers[w.WorkerID]; !known {
		if h.count >= MaxWorkers || len(workers) >= MaxWorkersPerAgent {
			return
		}
		if workers == nil {
			workers = make(map[string]WorkerState)
			h.agents[agent] = workers
		}
		h.count++
	}
	workers[w.WorkerID] = w
}

// sweep forgets workers that have long been silent.
func (h *Health) sweep(now time.Time) {
	if now.Sub(h.swept) < sweepEvery {
		return
	}
	h.swept = now
	for agent, workers := range h.agents {
		for id, w := range workers {
			if now.Sub(w.Seen) > agentMemory {
				delete(workers, id)
				h.count--
			}
		}
		if len(workers) == 0 {
			delete(h.agents, agent)
		}
	}
}

// Of says how the workers of an agent are.
func (h *Health) Of(agent string) Workforce {
	if h == nil {
		return WorkersUnknown
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now, found := h.now(), WorkersUnknown
	for _, w := range h.agents[agent] {
		switch age := now.Sub(w.Seen); {
		case age <= WorkerExpiry && w.takes():
			return WorkersReady
		case age <= WorkerExpiry:
			found = WorkersFull
		case age <= agentMemory && found == WorkersUnknown:
			found = WorkersGone
		}
	}
	return found
}

// Workers lists the workers of an agent that live, by their ids.
func (h *Health) Workers(agent string) []WorkerState {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	var list []WorkerState
	for _, w := range h.agents[agent] {
		if now.Sub(w.Seen) <= WorkerExpiry {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b WorkerState) int { return cmp.Compare(a.WorkerID, b.WorkerID) })
	return list
}
