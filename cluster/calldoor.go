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
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// Calls are the call actors of a media node, as the cluster sees them;
// *actors.Calls is one. Only Get and List may block, until ctx ends.
type Calls interface {
	// Offer gives a job to the actor of its transaction, once and only once.
	Offer(job actors.Job) actors.Taken
	// InDialog gives an in-dialog message to its call; the error wraps
	// actors.ErrNotMine or actors.ErrBusy.
	InDialog(id call.ID, p call.Packet) error
	// Holds reports whether messages for the call belong here.
	Holds(id call.ID) bool
	Get(ctx context.Context, id call.ID) (actors.CallStatus, error)
	List(ctx context.Context) ([]actors.CallStatus, error)
	Hangup(id call.ID, cause call.Cause) error
	Transfer(id call.ID, t call.Transfer) error
}

// An Operation carries out one kind of command, beside get, list and hangup. It
// may block until ctx ends, and checks the command's tenant itself.
type Operation func(ctx context.Context, cmd envelope.Command) envelope.Result

// Limits of operators' commands.
const (
	maxCommands    = 64 // worked on at once by one media node; beyond it busy
	commandTimeout = 10 * time.Second
)

// A CallDoor is where the cluster reaches the calls of a media node.
type CallDoor struct {
	slot   call.Slot
	calls  Calls
	more   map[string]Operation
	obs    DoorObserver
	subs   subscriptions
	ctx    context.Context // of commands; ends with the door
	cancel context.CancelFunc
	busy   chan struct{}
	wg     sync.WaitGroup
}

// OpenCallDoor listens at the node's slot. more are operations by their name.
func OpenCallDoor(c *Conn, slot call.Slot, calls Calls, more map[string]Operation, obs DoorObserver) (*CallDoor, error) {
	d := &CallDoor{slot: slot, calls: calls, more: more, obs: obs, busy: make(chan struct{}, maxCommands)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	for _, at := range []struct {
		nc    *nats.Conn
		subj  string
		limit int
		take  func(*nats.Msg)
	}{
		{c.Hot(), subject.Intake(slot), maxPendingInvites, d.intake},
		{c.Hot(), subject.InDialog(slot), maxPendingPackets, d.inDialog},
		{c.Hot(), subject.FindAll, maxPendingPackets, d.find},
		{c.Control(), subject.Command(slot), maxPendingInvites, d.command},
	} {
		take := func(m *nats.Msg) {
			defer contain(obs.Panic)
			at.take(m)
		}
		if err := d.subs.add(at.nc, at.subj, "", at.limit, take); err != nil {
			d.Close()
			return nil, fmt.Errorf("open call door: %w", err)
		}
	}
	return d, nil
}

// Close stops taking messages and waits for commands under way.
func (d *CallDoor) Close() {
	d.subs.close()
	d.cancel()
	d.wg.Wait()
}

func (d *CallDoor) intake(m *nats.Msg) {
	job, err := envelope.DecodeIntake(m.Data)
	if err != nil {
		d.obs.malformed(m.Subject, err)
		return
	}
	taken := d.calls.Offer(job)
	respond(m, d.obs, func() ([]byte, error) { return envelope.EncodeTaken(taken) })
}

func (d *CallDoor) inDialog(m *nats.Msg) {
	id, p, err := envelope.DecodeInDialog(m.Data)
	if err != nil {
		d.obs.malformed(m.Subject, err)
		return
	}
	result := envelope.Delivered
	switch err := d.calls.InDialog(id, p); {
	case errors.Is(err, actors.ErrNotMine):
		result = envelope.NotMine
	case err != nil:
		result = envelope.Busy
	}
	respond(m, d.obs, func() ([]byte, error) { return envelope.EncodeDelivery(result) })
}

func (d *CallDoor) find(m *nats.Msg) {
	id, err := call.ParseID(m.Subject[len(subject.FindAll)-1:])
	if err != nil {
		d.obs.malformed(subject.FindAll, err)
		return
	}
	if d.calls.Holds(id) { // only the holder answers
		respond(m, d.obs, func() ([]byte, error) { return envelope.EncodeHolder(d.slot) })
	}
}

func (d *CallDoor) command(m *nats.Msg) {
	cmd, err := envelope.DecodeCommand(m.Data)
	if err != nil {
		d.obs.malformed(m.Subject, err)
		d.result(m, envelope.Result{Code: envelope.CodeBad, Message: err.Error()})
		return
	}
	select {
	case d.busy <- struct{}{}:
	default:
		d.result(m, envelope.Result{Code: envelope.CodeBusy, Message: "too many commands at this node"})
		return
	}
	d.wg.Go(func() {
		defer func() { <-d.busy }()
		defer contain(d.obs.Panic)
		ctx, cancel := context.WithTimeout(d.ctx, commandTimeout)
		defer cancel()
		d.result(m, d.do(ctx, cmd))
	})
}

func (d *CallDoor) result(m *nats.Msg, r envelope.Result) {
	respond(m, d.obs, func() ([]byte, error) { return envelope.EncodeResult(r) })
}
