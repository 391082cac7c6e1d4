package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"patchbay/actors/call"
	"patchbay/cluster/subject"
)

// ErrNoWorker says that no worker of the agent listens.
var ErrNoWorker = errors.New("cluster: no worker listens")

// Workers reach agents that live on NATS, for a media node: offers to a queue
// group of workers, events of a call out, commands of its agent in.
type Workers struct {
	nc    *nats.Conn
	obs   DoorObserver
	subs  subscriptions
	mu    sync.RWMutex
	calls map[call.ID]commanded // as many as the node has calls
}

// A commanded is a call that takes commands of its agent.
type commanded struct {
	agent string // as subjects name it
	take  func([]byte) []byte
}

// OpenWorkers listens to agents' commands: subscriptions for all calls of the
// node, because one for each would be told to every server.
func OpenWorkers(c *Conn, obs DoorObserver) (*Workers, error) {
	w := &Workers{nc: c.Control(), obs: obs, calls: make(map[call.ID]commanded)}
	for _, at := range []string{subject.DoAll, subject.AgentDoAll} {
		if err := w.subs.add(w.nc, at, "", maxPendingPackets, w.command); err != nil {
			w.subs.close()
			return nil, fmt.Errorf("open workers: %w", err)
		}
	}
	return w, nil
}

// Heartbeats gives the heartbeats of all agents' workers to take, one at a time.
// take must not block. It is called once, before offers are made.
func (w *Workers) Heartbeats(take func(agent string, beat []byte)) error {
	err := w.subs.add(w.nc, subject.HeartbeatAll, "", maxPendingPackets, func(m *nats.Msg) {
		defer contain(w.obs.Panic)
		const before, after = len(subject.Prefix + "agent."), len(".hb")
		take(m.Subject[before:len(m.Subject)-after], m.Data)
	})
	if err != nil {
		return fmt.Errorf("hear workers: %w", err)
	}
	return nil
}

// Close stops listening to commands and heartbeats.
func (w *Workers) Close() { w.subs.close() }

// Offer asks the agent's workers to take a call and returns the answer of the
// one that did. It returns ErrNoWorker when none listens, and ctx's error when
// none answers in time.
func (w *Workers) Offer(ctx context.Context, agent string, payload []byte) ([]byte, error) {
	m, err := w.nc.RequestWithContext(ctx, subject.Offer(agent), payload)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("offer to agent %s: %w", agent, ErrNoWorker)
	case err != nil:
		return nil, fmt.Errorf("offer to agent %s: %w", agent, err)
	}
	return refusal(m), nil
}

// refusal gives a worker that refuses by headers alone, as micro does, the
// body that says the same.
func refusal(m *nats.Msg) []byte {
	code := m.Header.Get(micro.ErrorCodeHeader)
	if code == "" || len(m.Data) > 0 {
		return m.Data
	}
	n, err := strconv.Atoi(code)
	if err != nil {
		n = 500
	}
	body, err := json.Marshal(map[string]any{"error": map[string]any{"code": n, "message": m.Header.Get(micro.ErrorHeader)}})
	if err != nil {
		return m.Data
	}
	return body
}

// Cancel tells one worker that a call it took is over before it joined. It is
// not answered.
func (w *Workers) Cancel(agent, worker string, payload []byte) error {
	if err := w.nc.Publish(subject.Worker(agent, worker, "cancel"), payload); err != nil {
		return fmt.Errorf("cancel at worker %s: %w", worker, err)
	}
	return nil
}

// PublishEvent tells whoever listens to the call, or to the calls of its agent.
// It does not block; an event that cannot be sent is lost, as on any network.
func (w *Workers) PublishEvent(agent string, id call.ID, payload []byte) {
	for _, to := range []string{subject.CallEvents(id), subject.AgentEvents(agent, id)} {
		if err := w.nc.Publish(to, payload); err != nil {
			w.obs.malformed(to, err)
		}
	}
}

// SubscribeCommands gives the commands of a call's agent to take, one at a
// time, and sends its answers back. take must not block: all calls of the node
// share its goroutine. stop may be called twice.
func (w *Workers) SubscribeCommands(agent string, id call.ID, take func(cmd []byte) []byte) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[id] = commanded{subject.Token(agent), take}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.calls, id)
	}
}

func (w *Workers) command(m *nats.Msg) {
	defer contain(w.obs.Panic)
	agent, of, err := subject.CommandOf(m.Subject)
	if err != nil {
		w.obs.malformed(subject.DoAll, err)
		return
	}
	w.mu.RLock()
	held, ok := w.calls[of]
	w.mu.RUnlock()
	if !ok || agent != "" && agent != held.agent {
		return // another node's call, or another agent's
	}
	answer := held.take(m.Data)
	if m.Reply != "" && answer != nil {
		respond(m, w.obs, func() ([]byte, error) { return answer, nil })
	}
}
