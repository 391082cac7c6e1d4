package echoagent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// The wire contract of connector nats (docs/agents.md).
const (
	prefix      = "pb.v1.agent."
	queue       = "workers"
	errorHeader = "Nats-Service-Error"
	codeHeader  = "Nats-Service-Error-Code"
)

// Bounds of the worker.
const (
	// DefaultMaxCalls is how many calls are echoed at once.
	DefaultMaxCalls = 1000
	// beatEvery is the time between heartbeats.
	beatEvery = time.Second
	// connectWithin is how long an answered offer may take to connect.
	connectWithin = 15 * time.Second
	// pendingOffers is how many offers may wait in the subscription.
	pendingOffers = 1024
	pendingBytes  = 64 << 20
	// maxOffer is the largest offer that is read, bytes.
	maxOffer = 64 << 10
)

// Options of a worker. The zero value serves.
type Options struct {
	WorkerID    string // empty: random
	MaxCalls    int    // 0: DefaultMaxCalls
	HangupDigit string // a DTMF event with this digit makes the agent hang up; empty: none
	ICEPorts    string // UDP ports of the agent's side, first-last; empty: the system's choice
	Log         *slog.Logger
}

// A worker echoes calls of one agent.
type worker struct {
	nc    *nats.Conn
	agent string
	opts  Options
	stack *stack

	mu    sync.Mutex
	live  map[string]*echo // by call id
	taken int              // slots, offers being answered among them
	over  bool
	done  sync.WaitGroup
}

type offer struct {
	CallID string `json:"call_id"`
	Epoch  uint64 `json:"epoch"`
	SDP    string `json:"sdp"`
	Type   string `json:"type"`
}

type answer struct {
	SDP       string       `json:"sdp,omitempty"`
	Type      string       `json:"type,omitempty"`
	SessionID string       `json:"session_id,omitempty"`
	WorkerID  string       `json:"worker_id"`
	Error     *answerError `json:"error,omitempty"`
}

type answerError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

type beat struct {
	V        int     `json:"v"`
	WorkerID string  `json:"worker_id"`
	Load     float64 `json:"load"`
	Calls    int     `json:"calls"`
	Max      int     `json:"max"`
	State    string  `json:"state"` // ready, draining
}

// Run serves offers to agentID until ctx ends, then leaves its calls. It
// returns an error only where it cannot begin. Calls outlive a connection to
// NATS that breaks. ready is closed once offers are taken; it may be nil.
func Run(ctx context.Context, nc *nats.Conn, agentID string, opts Options, ready chan<- struct{}) error {
	if opts.WorkerID == "" {
		opts.WorkerID = rand.Text()
	}
	if opts.MaxCalls <= 0 {
		opts.MaxCalls = DefaultMaxCalls
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s, err := newStack(opts.ICEPorts)
	if err != nil {
		return fmt.Errorf("start the echo agent: %w", err)
	}
	w := &worker{nc: nc, agent: agentID, opts: opts, stack: s, live: make(map[string]*echo)}
	subs, err := w.subscribe()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("start the echo agent: %w", err)
	}
	if ready != nil {
		close(ready)
	}
	w.beats(ctx)
	for _, sub := range subs {
		_ = sub.Unsubscribe() // the connection may be gone already
	}
	w.leave()
	return nil
}

func (w *worker) subscribe() ([]*nats.Subscription, error) {
	offers, err := w.nc.QueueSubscribe(prefix+w.agent+".offer", queue, w.offered)
	if err != nil {
		return nil, err
	}
	cancels, err := w.nc.Subscribe(prefix+w.agent+".w."+w.opts.WorkerID+".cancel", w.cancelled)
	if err != nil {
		return nil, errors.Join(err, offers.Unsubscribe())
	}
	if err := offers.SetPendingLimits(pendingOffers, pendingBytes); err != nil {
		return nil, err
	}
	return []*nats.Subscription{offers, cancels}, w.nc.Flush()
}

// offered takes a slot and answers off the subscription's goroutine.
func (w *worker) offered(m *nats.Msg) {
	w.mu.Lock()
	full := w.taken >= w.opts.MaxCalls || w.over
	if !full {
		w.taken++
		w.done.Add(1)
	}
	w.mu.Unlock()
	if full {
		w.respond(m, answer{Error: &answerError{503, "busy"}})
		return
	}
	go func() {
		defer w.done.Done()
		defer w.free()
		w.serve(m)
	}()
}

func (w *worker) free() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken--
}

// serve answers one offer and stays until its call is over.
func (w *worker) serve(m *nats.Msg) {
	defer func() {
		if p := recover(); p != nil {
			w.opts.Log.Error("echo call panicked", "err", p)
		}
	}()
	var o offer
	if len(m.Data) > maxOffer || json.Unmarshal(m.Data, &o) != nil || o.Type != "offer" {
		w.respond(m, answer{Error: &answerError{400, "no offer"}})
		return
	}
	e, sdp, err := w.stack.answer(o.SDP, w.opts.HangupDigit)
	if err != nil {
		w.opts.Log.Warn("offer not answered", "call_id", o.CallID, "err", err)
		w.respond(m, answer{Error: &answerError{488, "not acceptable"}})
		return
	}
	defer e.close()
	e.epoch = o.Epoch
	if refusal := w.enter(o.CallID, e); refusal != nil {
		w.respond(m, answer{Error: refusal})
		return
	}
	defer w.exit(o.CallID, e)
	w.respond(m, answer{SDP: sdp, Type: "answer", SessionID: o.CallID, WorkerID: w.opts.WorkerID})
	w.opts.Log.Debug("echo call answered", "call_id", o.CallID)
	e.wait(connectWithin)
}

// enter makes e the echo of its call. An offer for a call that is here already
// takes its place, because the one before it was given up; an older epoch does
// not.
func (w *worker) enter(id string, e *echo) *answerError {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return &answerError{503, "draining"}
	}
	if old := w.live[id]; old != nil {
		if old.epoch > e.epoch {
			return &answerError{409, "a newer offer of this call was taken"}
		}
		old.end()
	}
	w.live[id] = e
	return nil
}

func (w *worker) exit(id string, e *echo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.live[id] == e {
		delete(w.live, id)
	}
}

func (w *worker) cancelled(m *nats.Msg) {
	var c struct {
		CallID string `json:"call_id"`
	}
	if json.Unmarshal(m.Data, &c) != nil {
		return
	}
	w.mu.Lock()
	e := w.live[c.CallID]
	w.mu.Unlock()
	if e != nil {
		e.end()
	}
}

func (w *worker) respond(m *nats.Msg, a answer) {
	a.WorkerID = w.opts.WorkerID
	body, err := json.Marshal(a)
	if err != nil {
		return // strings and numbers only
	}
	reply := nats.NewMsg(m.Reply)
	reply.Data = body
	if a.Error != nil {
		reply.Header.Set(errorHeader, a.Error.Message)
		reply.Header.Set(codeHeader, fmt.Sprint(a.Error.Code))
	}
	if err := m.RespondMsg(reply); err != nil {
		w.opts.Log.Warn("answer not sent", "err", err)
	}
}

// beats says every second that the worker is there, until ctx ends.
func (w *worker) beats(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		w.beat("ready")
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.beat("draining")
			return
		}
	}
}

func (w *worker) beat(state string) {
	w.mu.Lock()
	calls := w.taken
	w.mu.Unlock()
	b, err := json.Marshal(beat{
		V: 1, WorkerID: w.opts.WorkerID, Load: float64(calls) / float64(w.opts.MaxCalls),
		Calls: calls, Max: w.opts.MaxCalls, State: state,
	})
	if err == nil {
		_ = w.nc.Publish(prefix+w.agent+".hb", b) // the next one comes in a second
	}
}

// leave ends what is left and waits for it.
func (w *worker) leave() {
	w.mu.Lock()
	w.over = true
	for _, e := range w.live {
		e.end()
	}
	w.mu.Unlock()
	w.done.Wait()
}
