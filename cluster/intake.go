package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"patchbay/actors"
	"patchbay/cluster/envelope"
	"patchbay/cluster/placement"
	"patchbay/cluster/subject"
)

// maxIntakeTries is how many media nodes one job is shown: with the default
// timeout two silent nodes already outlast the edge's patience.
const maxIntakeTries = 4

// An IntakeObserver hears how jobs went. Nil hooks are skipped.
type IntakeObserver struct {
	Asked func(node string, took time.Duration, err error)
	Next  func(node string) // node was full, silent or gone
	None  func()            // no node took the job
	Panic func(any)
}

// An Intake hands jobs to the media node that their transaction key names; it
// implements actors.Intake. Any decider comes to the same order of nodes, so
// that a retransmission or a CANCEL finds the call whoever decides.
type Intake struct {
	asker *asker
	nodes func() []placement.Node
	wait  time.Duration
	obs   IntakeObserver
}

// NewIntake returns an Intake that chooses among nodes(), usually
// [Presence.Media], waits for each at most wait, and keeps at most limit jobs
// waiting.
func NewIntake(c *Conn, nodes func() []placement.Node, wait time.Duration, limit int, obs IntakeObserver) (*Intake, error) {
	a, err := newAsker(c.Hot(), limit, obs.Panic)
	if err != nil {
		return nil, fmt.Errorf("start intake: %w", err)
	}
	return &Intake{asker: a, nodes: nodes, wait: wait, obs: obs}, nil
}

// Close ends all jobs that wait; their done hears 503.
func (in *Intake) Close() { in.asker.close() }

// Offer implements actors.Intake. When no node takes the job, Taken's Status is
// 503 and the error nil: full is an answer. An error says the job could not be
// written.
func (in *Intake) Offer(ctx context.Context, job actors.Job, done func(actors.Taken, error)) {
	data, err := envelope.EncodeIntake(job)
	if err != nil {
		done(actors.Taken{}, fmt.Errorf("offer call: %w", err))
		return
	}
	order := placement.Order(job.Key, in.nodes())
	in.try(ctx, data, order[:min(len(order), maxIntakeTries)], done)
}

func (in *Intake) try(ctx context.Context, data []byte, order []placement.Node, done func(actors.Taken, error)) {
	if len(order) == 0 || ctx.Err() != nil {
		if in.obs.None != nil {
			in.obs.None()
		}
		done(actors.Taken{V: envelope.Version, Status: 503}, nil)
		return
	}
	node, asked := order[0], time.Now()
	in.asker.ask(subject.Intake(node.Slot), data, in.wait, func(rep reply) {
		var t actors.Taken
		if rep.err == nil {
			t, rep.err = envelope.DecodeTaken(rep.data)
		}
		if in.obs.Asked != nil {
			in.obs.Asked(node.Name, time.Since(asked), rep.err)
		}
		if rep.err == nil && t.Status != 503 {
			done(t, nil)
			return
		}
		if errors.Is(rep.err, errFull) || errors.Is(rep.err, errClosed) {
			order = order[:1] // asking on would end the same way
		}
		if in.obs.Next != nil {
			in.obs.Next(node.Name)
		}
		in.try(ctx, data, order[1:], done)
	})
}
