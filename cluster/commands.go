package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster/envelope"
)

// Operations of a command that the door carries out itself.
const (
	opGet    = "get"
	opList   = "list"
	opHangup = "hangup"

	opFind      = "find"
	opHangupAll = "hangup-all"
)

// maxListBytes bounds one page of a list; the broker takes 256 KiB.
const maxListBytes = 128 << 10

type listRequest struct {
	Limit   int       `json:"limit"`
	After   time.Time `json:"after,omitzero"` // of the last call of the page before
	AfterID call.ID   `json:"after_id,omitempty"`
}

type listReply struct {
	Calls []actors.CallStatus `json:"calls"`
	More  bool                `json:"more,omitempty"`
}

// do carries out one command.
func (d *CallDoor) do(ctx context.Context, cmd envelope.Command) envelope.Result {
	var reply any
	var err error
	switch cmd.Op {
	case opList:
		reply, err = d.list(ctx, cmd)
	case opGet:
		reply, err = d.get(ctx, cmd)
	case opHangup:
		if _, err = d.get(ctx, cmd); err == nil {
			err = d.calls.Hangup(cmd.Call, call.CauseOperator)
		}
	case opTransfer:
		reply, err = d.transfer(ctx, cmd)
	case opFind:
		reply, err = d.findCalls(ctx, cmd)
	case opHangupAll:
		reply, err = d.hangupAll(ctx, cmd)
	default:
		return d.extra(ctx, cmd)
	}
	if err != nil {
		return failed(err)
	}
	body, err := json.Marshal(reply)
	if err != nil {
		return failed(err)
	}
	return envelope.Result{Body: body}
}

// extra gives a command to whoever serves more than the door does.
func (d *CallDoor) extra(ctx context.Context, cmd envelope.Command) envelope.Result {
	serve := d.more[cmd.Op]
	if serve == nil {
		return envelope.Result{Code: envelope.CodeBad, Message: fmt.Sprintf("no operation %.40q", cmd.Op)}
	}
	return serve(ctx, cmd)
}

// get returns the call if it is the tenant's.
func (d *CallDoor) get(ctx context.Context, cmd envelope.Command) (actors.CallStatus, error) {
	status, err := d.calls.Get(ctx, cmd.Call)
	if err == nil && status.Tenant != cmd.Tenant {
		return actors.CallStatus{}, actors.ErrNotMine
	}
	return status, err
}

func (d *CallDoor) list(ctx context.Context, cmd envelope.Command) (listReply, error) {
	var ask listRequest
	if err := json.Unmarshal(cmd.Body, &ask); err != nil {
		return listReply{}, errors.New("list: not the JSON that was expected")
	}
	return d.part(ctx, ask, func(s *actors.CallStatus) bool { return s.Tenant == cmd.Tenant })
}

// part returns those calls that are wanted, as many as fit in a message.
func (d *CallDoor) part(ctx context.Context, ask listRequest, wanted func(*actors.CallStatus) bool) (listReply, error) {
	all, err := d.calls.List(ctx)
	if err != nil {
		return listReply{}, err
	}
	reply := listReply{Calls: []actors.CallStatus{}}
	size := 0
	after := actors.CallStatus{Since: ask.After, ID: ask.AfterID}
	for _, status := range all {
		if !wanted(&status) || !ask.After.IsZero() && byAge(status, after) <= 0 {
			continue
		}
		one, err := json.Marshal(status)
		if err != nil {
			return listReply{}, err
		}
		if size += len(one); len(reply.Calls) >= ask.Limit || size > maxListBytes && len(reply.Calls) > 0 {
			reply.More = true
			break
		}
		reply.Calls = append(reply.Calls, status)
	}
	return reply, nil
}

// failed makes a result of an error.
func failed(err error) envelope.Result {
	switch {
	case errors.Is(err, actors.ErrNotMine):
		return envelope.Result{Code: envelope.CodeNotMine, Message: "no such call here"}
	case errors.Is(err, actors.ErrBusy):
		return envelope.Result{Code: envelope.CodeBusy, Message: "the call's mailbox is full"}
	}
	return envelope.Result{Code: envelope.CodeInternal, Message: err.Error()}
}
