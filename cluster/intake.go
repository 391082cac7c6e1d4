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

// maxIntakeTries is how many media nodes one job is shown.
const maxIntakeTries = 4

// maxIntakeRounds is how often nodes that gave no answer are asked, each time
// for twice as long: 1.8 s in all with the default timeout and one node.
const maxIntakeRounds = 4

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

	passed *passedOn
}

// NewIntake returns an Intake that chooses among nodes(), usually
// [Presence.Media], waits for each at most wait, and keeps at most limit jobs
// waiting.
func NewIntake(c *Conn, nodes func() []placement.Node, wait time.Duration, limit int, obs IntakeObserver) (*Intake, error) {
	a, err := newAsker(c.Hot(), limit, obs.Panic)
	if err != nil {
		return nil, fmt.Errorf("start intake: %w", err)
	}
	return &Intake{asker: a, nodes: nodes, wait: wait, obs: obs, passed: newPassedOn(maxPassedOn)}, nil
}

// Close ends all jobs that wait; their done hears 503.
func (in *Intake) Close() { in.asker.close() }

// Offer implements actors.Intake. When no node takes the job, Taken's Status is
// 503 and the error nil: full is an answer. An error says the job could not be
// written.
//
// A CANCEL that one node does not know is shown to the next: that node may have
// been full when the INVITE came.
//
// Silence is no refusal: the node may be slow, and have taken the job. A job
// that is shown twice is one call, so nodes that were silent are asked again
// before 503, which the carrier would hear beside the answer of that call.
func (in *Intake) Offer(ctx context.Context, job actors.Job, done func(actors.Taken, error)) {
	data, err := envelope.EncodeIntake(job)
	if err != nil {
		done(actors.Taken{}, fmt.Errorf("offer call: %w", err))
		return
	}
	order := placement.Order(job.Key, in.nodes())
	o := &offer{in: in, ctx: ctx, job: job, data: data, done: done, wait: in.wait, order: in.passed.first(job.Key, order)}
	if len(o.order) > 0 {
		o.first = o.order[0].Name
	}
	o.order = o.order[:min(len(o.order), maxIntakeTries)]
	o.last = actors.Taken{V: envelope.Version, Status: 503}
	o.try()
}

// An offer is one job on its way along the order of nodes.
type offer struct {
	in    *Intake
	ctx   context.Context
	job   actors.Job
	data  []byte
	order []placement.Node
	first string // of the whole order
	tried int
	round int
	wait  time.Duration    // for each node in this round
	mute  []placement.Node // gave no answer in this round
	last  actors.Taken     // what is said in the end if nobody takes it
	done  func(actors.Taken, error)
}

func (o *offer) try() {
	if o.tried == len(o.order) && len(o.mute) > 0 && o.round < maxIntakeRounds-1 {
		o.order, o.mute, o.tried = o.mute, nil, 0
		o.round++
		o.wait *= 2
	}
	if o.tried == len(o.order) || o.ctx.Err() != nil {
		if o.in.obs.None != nil && o.last.Status == 503 {
			o.in.obs.None()
		}
		o.done(o.last, nil)
		return
	}
	node, asked := o.order[o.tried], time.Now()
	o.in.asker.ask(subject.Intake(node.Slot), o.data, o.wait, func(rep reply) {
		var t actors.Taken
		if rep.err == nil {
			t, rep.err = envelope.DecodeTaken(rep.data)
		}
		if o.in.obs.Asked != nil {
			o.in.obs.Asked(node.Name, time.Since(asked), rep.err)
		}
		o.heard(node, t, rep.err)
	})
}

func (o *offer) heard(node placement.Node, t actors.Taken, err error) {
	switch {
	case err == nil && t.Status != 503 && !(o.job.Cancel && t.Status == 481):
		if t.Status == 0 && node.Name != o.first {
			o.in.passed.put(o.job.Key, node.Name)
		}
		o.done(t, nil)
		return
	case err == nil && t.Status == 481:
		o.last = t
	case errors.Is(err, errSilence):
		o.mute = append(o.mute, node)
	case errors.Is(err, errFull), errors.Is(err, errClosed):
		o.tried, o.mute = len(o.order)-1, nil // asking on would end the same way
	}
	if o.in.obs.Next != nil {
		o.in.obs.Next(node.Name)
	}
	o.tried++
	o.try()
}
