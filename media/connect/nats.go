package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/media"
	"patchbay/media/peer"
)

// Workers reach agents that live on NATS. The cluster implements them.
type Workers interface {
	// Offer asks one worker of the agent's queue group. It returns the error
	// given to NewNATS when none listens, and ctx's when none answers in time.
	Offer(ctx context.Context, agent string, payload []byte) ([]byte, error)
	// Cancel tells one worker that its call is over.
	Cancel(agent, worker string, payload []byte) error
	// PublishEvent tells whoever listens to the call of an agent. It does not
	// block.
	PublishEvent(agent string, id call.ID, payload []byte)
	// SubscribeCommands gives the commands of a call's agent to take, and sends
	// its answers back. take must not block. stop may be called twice.
	SubscribeCommands(agent string, id call.ID, take func(cmd []byte) []byte) (stop func())
}

// NATS is the connector for workers in a queue group.
type NATS struct {
	stack    *peer.Stack
	workers  Workers
	health   *Health
	noWorker error
}

// NewNATS returns the connector. noWorker is the error by which workers says
// that none listens; health is what their heartbeats tell.
func NewNATS(s *peer.Stack, w Workers, health *Health, noWorker error) *NATS {
	return &NATS{stack: s, workers: w, health: health, noWorker: noWorker}
}

// Join implements [media.Connector]. While no worker listens, and nobody is
// asked after this agent, it asks again until ctx ends, so that a worker that
// starts in time still gets the call. Where another agent can be asked, workers
// that are gone or full by their heartbeats are not waited for.
func (n *NATS) Join(ctx context.Context, req media.JoinRequest, chosen func(worker string)) (media.AgentLeg, error) {
	if !req.Patient {
		switch n.health.Of(req.Agent.ID) {
		case WorkersGone:
			return nil, fmt.Errorf("%w: its workers' heartbeats have stopped", media.ErrNoAgent)
		case WorkersFull:
			return nil, fmt.Errorf("%w: by their heartbeats", media.ErrAgentBusy)
		}
	}
	p := newPeer(n.stack, req, peer.Dialect{}, false)
	a, err := n.join(ctx, req, p, chosen)
	worker := a.WorkerID
	if err != nil {
		p.Close(causeOf(err))
		if worker != "" {
			n.cancel(req, worker, causeOf(err))
		}
		return nil, err
	}
	return &natsLeg{Peer: p, greeting: greeting{a.Headers}, n: n, req: req, worker: worker}, nil
}

func (n *NATS) join(ctx context.Context, req media.JoinRequest, p *peer.Peer, chosen func(string)) (Answer, error) {
	sdp, err := offer(ctx, p)
	if err != nil {
		return Answer{}, err
	}
	payload, err := json.Marshal(Offer{Invitation: invitation(req), Type: "offer", SDP: sdp})
	if err != nil {
		return Answer{}, fmt.Errorf("write the offer: %w", err)
	}
	a, err := n.ask(ctx, req, payload)
	if err != nil {
		return Answer{}, err
	}
	chosen(a.WorkerID)
	return a, finish(ctx, p, a.SDP)
}

// ask offers until a worker answers.
func (n *NATS) ask(ctx context.Context, req media.JoinRequest, payload []byte) (Answer, error) {
	t := req.Agent.WebRTC
	var last error
	for tried, asked := 0, 0; tried < attempts(t); asked++ {
		if asked > 0 {
			if err := pause(ctx, asked-1); err != nil {
				return Answer{}, err
			}
		}
		a, err := n.once(ctx, req.Agent.ID, payload, timeout(t))
		switch {
		case err == nil:
			return a, nil
		case ctx.Err() != nil:
			return Answer{}, ended(ctx)
		case errors.Is(err, n.noWorker) && req.Patient:
			continue // costs no attempt: nobody was there to refuse
		case errors.Is(err, n.noWorker):
			return Answer{}, fmt.Errorf("%w: no worker listens", media.ErrNoAgent)
		case errors.Is(err, errBusy):
			last = media.ErrAgentBusy
		case errors.Is(err, media.ErrAgentRefused):
			return Answer{}, err
		default:
			last = fmt.Errorf("%w: %w", media.ErrAgentUnreachable, err)
		}
		tried++
	}
	return Answer{}, last
}

func (n *NATS) once(ctx context.Context, agent string, payload []byte, limit time.Duration) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reply, err := n.workers.Offer(ctx, agent, payload)
	if err != nil {
		return Answer{}, err
	}
	return readAnswer(reply)
}

// A Cancel tells a worker that a call it took is over.
type Cancel struct {
	V      int     `json:"v"`
	CallID call.ID `json:"call_id"`
	Reason string  `json:"reason"`
}

// cancel is sent for completeness: a worker that misses it sees DTLS close or
// ICE fail.
func (n *NATS) cancel(req media.JoinRequest, worker string, cause call.Cause) {
	if b, err := json.Marshal(Cancel{V: 1, CallID: req.ID, Reason: cause.Word}); err == nil {
		_ = n.workers.Cancel(req.Agent.ID, worker, b)
	}
}

// Farewell tells a worker, by NATS alone, that its call has ended with the node
// that carried it.
func (n *NATS) Farewell(f actors.Farewell, event []byte) {
	n.workers.PublishEvent(f.Agent.ID, f.ID, event)
	if f.Worker != "" {
		n.cancel(media.JoinRequest{ID: f.ID, Agent: f.Agent}, f.Worker, f.Cause)
	}
}

// A natsLeg says everything twice: over the data channel and over NATS.
type natsLeg struct {
	*peer.Peer
	greeting
	n      *NATS
	req    media.JoinRequest
	worker string

	mu     sync.Mutex
	closed bool
	stop   func()
}

// Start implements [media.AgentLeg].
func (l *natsLeg) Start(rx func([]byte), closed func(call.Cause), command func(media.Command) error) {
	commands := peer.NewCommands(command)
	l.mu.Lock()
	if !l.closed {
		l.stop = l.n.workers.SubscribeCommands(l.req.Agent.ID, l.req.ID, func(cmd []byte) []byte {
			return commands.Answer(time.Now(), cmd)
		})
	}
	l.mu.Unlock()
	l.Peer.Start(rx, closed, command)
}

// Notify implements [media.AgentLeg].
func (l *natsLeg) Notify(event []byte) {
	l.n.workers.PublishEvent(l.req.Agent.ID, l.req.ID, event)
	l.Peer.Notify(event)
}

// Close implements [media.AgentLeg].
func (l *natsLeg) Close(cause call.Cause) {
	l.mu.Lock()
	again, stop := l.closed, l.stop
	l.closed = true
	l.mu.Unlock()
	if again {
		return
	}
	if stop != nil {
		stop()
	}
	if l.worker != "" {
		l.n.cancel(l.req, l.worker, cause)
	}
	l.Peer.Close(cause)
}
