package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// Limits of questions about transfers.
const (
	targetPatience = 5 * time.Second // for control's answer
	maxTargets     = 64              // asked, and answered, at once by one node; beyond it there is nobody to ask
)

// Targets asks control how the target of a transfer is called; it implements
// actors.Targets for a media node.
type Targets struct {
	nc    *nats.Conn
	panic func(any)
	busy  chan struct{}
}

// NewTargets returns Targets. panicked hears of contained panics; it may be nil.
func NewTargets(c *Conn, panicked func(any)) *Targets {
	return &Targets{nc: c.Control(), panic: panicked, busy: make(chan struct{}, maxTargets)}
}

// Ask implements actors.Targets.
func (t *Targets) Ask(q actors.TargetQuestion, done func(actors.TargetAnswer)) {
	away := actors.TargetAnswer{V: envelope.Version, Reason: call.ReasonAway}
	data, err := envelope.EncodeTargetQuestion(q)
	if err != nil {
		done(away)
		return
	}
	select {
	case t.busy <- struct{}{}:
	default:
		done(away)
		return
	}
	go func() {
		defer contain(t.panic)
		answer := away
		defer func() {
			<-t.busy
			done(answer)
		}()
		ctx, cancel := context.WithTimeout(context.Background(), targetPatience)
		defer cancel()
		m, err := t.nc.RequestWithContext(ctx, subject.TransferAny, data)
		if err != nil {
			return
		}
		if a, err := envelope.DecodeTargetAnswer(m.Data); err == nil {
			answer = a
		}
	}()
}

// A TargetDoor is where media nodes ask a control node about transfers.
type TargetDoor struct {
	subs   subscriptions
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// OpenTargetDoor takes questions. plan says how a target is called; it may
// block until ctx ends. Whose dialog a call has is the commander's to find.
func OpenTargetDoor(c *Conn, commander *Commander, plan func(ctx context.Context, q actors.TargetQuestion) actors.TargetAnswer, obs DoorObserver) (*TargetDoor, error) {
	d := &TargetDoor{}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	busy := make(chan struct{}, maxTargets)
	err := d.subs.add(c.Control(), subject.TransferAny, subject.Planners, maxTargets, func(m *nats.Msg) {
		defer contain(obs.Panic)
		q, err := envelope.DecodeTargetQuestion(m.Data)
		if err != nil {
			obs.malformed(m.Subject, err)
			return
		}
		busy <- struct{}{} // the subscription holds what comes meanwhile
		d.wg.Go(func() {
			defer contain(obs.Panic)
			defer func() { <-busy }()
			ctx, cancel := context.WithTimeout(d.ctx, targetPatience)
			defer cancel()
			answer := actors.TargetAnswer{}
			if q.Target == 0 {
				answer = commander.dialogOf(ctx, q)
			} else {
				answer = plan(ctx, q)
			}
			respond(m, obs, func() ([]byte, error) { return envelope.EncodeTargetAnswer(answer) })
		})
	})
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("open target door: %w", err)
	}
	return d, nil
}

// Close takes no more questions, and waits for those that are worked on.
func (d *TargetDoor) Close() {
	d.subs.close()
	d.cancel()
	d.wg.Wait()
}

// dialogOf says whose dialog the other call of an attended transfer has. An
// agent may name its own calls only.
func (c *Commander) dialogOf(ctx context.Context, q actors.TargetQuestion) actors.TargetAnswer {
	other, err := c.Get(ctx, q.Tenant, q.Transfer.Other)
	switch {
	case errors.Is(err, endpoint.ErrNotFound):
		return actors.TargetAnswer{Reason: call.ReasonOtherCall}
	case err != nil:
		return actors.TargetAnswer{Reason: call.ReasonAway}
	case q.Agent == "" || other.Agent != q.Agent:
		return actors.TargetAnswer{Reason: call.ReasonNotAllowed}
	case other.Dialog == nil:
		return actors.TargetAnswer{Reason: call.ReasonOtherCall}
	}
	return actors.TargetAnswer{Replaces: other.Dialog}
}
