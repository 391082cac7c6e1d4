package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/placement"
	"patchbay/cluster/subject"
)

// Limits of an operator's question.
const (
	findPatience = 500 * time.Millisecond // operators can wait longer than SIP
	cmdPatience  = 5 * time.Second
	maxAsked     = 16 // media nodes asked at once
)

// A CommandError is a refusal of a command by the node that carries the call.
type CommandError struct {
	Code    string // stable
	Message string
}

// Error implements error.
func (e *CommandError) Error() string { return e.Code + ": " + e.Message }

// A Commander reaches live calls wherever they are: control's and the HTTP
// gateway's way to media nodes.
type Commander struct {
	nc    *nats.Conn
	nodes func() []placement.Node

	findWait time.Duration // findPatience, but in tests
}

// NewCommander returns a Commander that knows media nodes from nodes, usually
// [Presence.Media].
func NewCommander(c *Conn, nodes func() []placement.Node) *Commander {
	return &Commander{nc: c.Control(), nodes: nodes, findWait: findPatience}
}

// Get returns how a live call of the tenant stands, or endpoint.ErrNotFound.
func (c *Commander) Get(ctx context.Context, tenant string, id call.ID) (actors.CallStatus, error) {
	var status actors.CallStatus
	body, err := c.Do(ctx, tenant, id, opGet, nil)
	if err == nil {
		err = json.Unmarshal(body, &status)
	}
	return status, err
}

// Hangup ends a live call of the tenant, or returns endpoint.ErrNotFound.
func (c *Commander) Hangup(ctx context.Context, tenant string, id call.ID) error {
	_, err := c.Do(ctx, tenant, id, opHangup, nil)
	return err
}

// List returns up to limit live calls of the tenant, the longest first. With an
// error it returns what the other nodes said.
func (c *Commander) List(ctx context.Context, tenant string, limit int) ([]actors.CallStatus, error) {
	return c.gather(ctx, opList, tenant, limit, func(part listRequest) any { return part })
}

// gather reads calls of all media nodes, the longest first, up to limit. ask
// makes the question for one part of a node's calls.
func (c *Commander) gather(ctx context.Context, op, tenant string, limit int, ask func(part listRequest) any) ([]actors.CallStatus, error) {
	answers, err := everywhere(c.nodes(), func(n placement.Node) ([]actors.CallStatus, error) {
		return c.gatherAt(ctx, n.Slot, envelope.Command{Op: op, Tenant: tenant}, limit, ask)
	})
	all := slices.Concat(answers...)
	slices.SortFunc(all, byAge)
	return all[:min(len(all), limit)], err
}

// Each asks every live media node and returns what those said that answered;
// the error names the others.
func (c *Commander) Each(ctx context.Context, tenant, op string, body json.RawMessage) ([]json.RawMessage, error) {
	return everywhere(c.nodes(), func(n placement.Node) (json.RawMessage, error) {
		return c.at(ctx, n.Slot, envelope.Command{Op: op, Tenant: tenant, Body: body})
	})
}

// everywhere runs ask for all nodes, a few at once.
func everywhere[T any](nodes []placement.Node, ask func(placement.Node) (T, error)) ([]T, error) {
	var (
		mu   sync.Mutex
		all  []T
		errs []error
		wg   sync.WaitGroup
		gate = make(chan struct{}, maxAsked)
	)
	for _, node := range nodes {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			answer, err := ask(node)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("media node %s: %w", node.Name, err))
				return
			}
			all = append(all, answer)
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

func byAge(a, b actors.CallStatus) int {
	return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
}

// gatherAt reads one node's calls part by part: each must fit in a message.
func (c *Commander) gatherAt(ctx context.Context, slot call.Slot, cmd envelope.Command, limit int, ask func(part listRequest) any) (all []actors.CallStatus, err error) {
	for part := (listRequest{Limit: limit}); ; {
		if cmd.Body, err = json.Marshal(ask(part)); err != nil {
			return all, err
		}
		body, err := c.at(ctx, slot, cmd)
		if err != nil {
			return all, err
		}
		var page listReply
		if err := json.Unmarshal(body, &page); err != nil {
			return all, err
		}
		all = append(all, page.Calls...)
		if !page.More || len(page.Calls) == 0 || len(all) >= limit {
			return all, nil
		}
		last := page.Calls[len(page.Calls)-1]
		part = listRequest{Limit: limit - len(all), After: last.Since, AfterID: last.ID}
	}
}

// Do sends one command to the node that carries the call and returns its reply.
// It returns endpoint.ErrNotFound when no node says so or the call is another
// tenant's, actors.ErrBusy, ErrUnavailable, or a *[CommandError].
//
// An absent call is one that no node has named by the end of findPatience.
// Another tenant's is not found at that same moment, not sooner: the time says
// no more than the words do.
func (c *Commander) Do(ctx context.Context, tenant string, id call.ID, op string, body json.RawMessage) (json.RawMessage, error) {
	patience, cancel := context.WithTimeout(ctx, c.findWait)
	defer cancel()
	var reply json.RawMessage
	slot, err := c.find(patience, id)
	if err == nil {
		reply, err = c.at(ctx, slot, envelope.Command{Op: op, Tenant: tenant, Call: id, Body: body})
	}
	if errors.Is(err, endpoint.ErrNotFound) {
		<-patience.Done()
	}
	if err != nil {
		return nil, fmt.Errorf("%s call %s: %w", op, id, err)
	}
	return reply, nil
}

// find asks for the call until ctx ends.
func (c *Commander) find(ctx context.Context, id call.ID) (call.Slot, error) {
	m, err := c.nc.RequestWithContext(ctx, subject.Find(id), nil)
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return 0, endpoint.ErrNotFound // only the holder answers
	case err != nil:
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return envelope.DecodeHolder(m.Data)
}

func (c *Commander) at(ctx context.Context, slot call.Slot, cmd envelope.Command) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, cmdPatience)
	defer cancel()
	data, err := envelope.EncodeCommand(cmd)
	if err != nil {
		return nil, err
	}
	m, err := c.nc.RequestWithContext(ctx, subject.Command(slot), data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	res, err := envelope.DecodeResult(m.Data)
	switch {
	case err != nil:
		return nil, err
	case res.Code == "":
		return res.Body, nil
	case res.Code == envelope.CodeNotMine:
		return nil, endpoint.ErrNotFound
	case res.Code == envelope.CodeBusy:
		return nil, fmt.Errorf("%w: %s", actors.ErrBusy, res.Message)
	}
	return nil, &CommandError{Code: res.Code, Message: res.Message}
}
