package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// Waits of a question to all nodes: nobody knows how many will answer.
const (
	nodesPatience = time.Second            // for the last answer
	nodesQuiet    = 200 * time.Millisecond // after which no more is expected
)

// A NodeDoor is where the operator reaches a node, whatever its roles.
type NodeDoor struct{ subs subscriptions }

// OpenNodeDoor listens for wishes to the node of that name. act carries one out
// and says how the node is then; it must not block.
func OpenNodeDoor(c *Conn, node string, act func(act string) envelope.NodeStatus, obs DoorObserver) (*NodeDoor, error) {
	d := &NodeDoor{}
	err := d.subs.add(c.Control(), subject.NodeDo, "", maxPendingInvites, func(m *nats.Msg) {
		defer contain(obs.Panic)
		cmd, err := envelope.DecodeNodeCommand(m.Data)
		if err != nil {
			obs.malformed(m.Subject, err)
			return
		}
		if cmd.Node != "" && cmd.Node != node || cmd.Node == "" && cmd.Act != envelope.NodeStatusAct {
			return // another's; and nothing drains every node at once
		}
		respond(m, obs, func() ([]byte, error) { return envelope.EncodeNodeStatus(act(cmd.Act)) })
	})
	if err != nil {
		return nil, fmt.Errorf("open node door: %w", err)
	}
	return d, nil
}

// Close stops taking wishes.
func (d *NodeDoor) Close() { d.subs.close() }

// A Known is one incarnation of a node, as its beats tell.
type Known struct {
	Node  string // an edge's beats bear its id in flows, not its name
	Boot  uint64
	Roles []string
	Beats bool // it is heard now
	Calls int
	Slot  call.Slot
}

// Nodes asks nodes how they are and what to do: the operator's way to them.
type Nodes struct {
	nc    *nats.Conn
	known func() []Known

	wait time.Duration // nodesPatience, but in tests
}

// NewNodes returns a way to the nodes of the cluster. known says which there
// should be, usually [Presence.Known]; nil: nobody knows.
func NewNodes(c *Conn, known func() []Known) *Nodes {
	if known == nil {
		known = func() []Known { return nil }
	}
	return &Nodes{nc: c.Control(), known: known, wait: nodesPatience}
}

// List returns how every node is, by name: those that answer, and, as silent,
// those that were heard of late and do not.
func (n *Nodes) List(ctx context.Context) ([]envelope.NodeStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, n.wait)
	defer cancel()
	data, err := envelope.EncodeNodeCommand(envelope.NodeCommand{Act: envelope.NodeStatusAct})
	if err != nil {
		return nil, err
	}
	inbox := n.nc.NewRespInbox()
	sub, err := n.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := n.nc.PublishRequest(subject.NodeDo, inbox, data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	all, err := n.collect(ctx, sub)
	if err != nil {
		return nil, err
	}
	all = append(all, unheard(all, n.known())...)
	slices.SortFunc(all, func(a, b envelope.NodeStatus) int { return strings.Compare(a.Node, b.Node) })
	return all, nil
}

// collect takes answers until every node that beats has given one and no more
// come, or ctx ends.
func (n *Nodes) collect(ctx context.Context, sub *nats.Subscription) (all []envelope.NodeStatus, err error) {
	for len(all) < maxNodes {
		quiet, stop := context.WithTimeout(ctx, nodesQuiet)
		m, err := sub.NextMsgWithContext(quiet)
		stop()
		switch {
		case err != nil && ctx.Err() == nil && waited(all, n.known()):
			continue
		case err != nil || m.Header.Get("Status") == "503":
			return all, nil
		}
		status, err := envelope.DecodeNodeStatus(m.Data)
		if err != nil {
			return nil, err
		}
		all = append(all, status)
	}
	return all, nil
}

// waited reports that a node that beats has not answered yet.
func waited(all []envelope.NodeStatus, known []Known) bool {
	for _, s := range unheard(all, known) {
		if s.Reason == reasonMute {
			return true
		}
	}
	return false
}

// Why a node is listed as silent.
const (
	reasonGone = "its beats have stopped"
	reasonMute = "it beats and does not answer"
)

// unheard are the known incarnations that have not answered. One whose node
// has answered under a later start is no more.
func unheard(all []envelope.NodeStatus, known []Known) (list []envelope.NodeStatus) {
	for _, k := range known {
		if slices.ContainsFunc(all, func(s envelope.NodeStatus) bool {
			return uint64(s.Since.UnixNano()) == k.Boot || s.Node == k.Node && uint64(s.Since.UnixNano()) > k.Boot
		}) {
			continue
		}
		reason := reasonGone
		if k.Beats {
			reason = reasonMute
		}
		list = append(list, envelope.NodeStatus{V: envelope.Version, Node: k.Node, Roles: k.Roles, Since: time.Unix(0, int64(k.Boot)).UTC(),
			State: envelope.NodeSilent, Reason: reason, Calls: k.Calls, Slot: k.Slot})
	}
	return list
}

// Drain makes a node refuse new calls, or take them again, and returns how it is
// then; endpoint.ErrNotFound when none of that name is heard or answers. One that
// beats is waited for until ctx ends: it may be slow, and have done it.
func (n *Nodes) Drain(ctx context.Context, node string, cancelled bool) (envelope.NodeStatus, error) {
	beats := slices.ContainsFunc(n.known(), func(k Known) bool { return k.Node == node && k.Beats })
	if !beats {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, n.wait)
		defer cancel()
	}
	act := envelope.NodeDrainAct
	if cancelled {
		act = envelope.NodeResumeAct
	}
	data, err := envelope.EncodeNodeCommand(envelope.NodeCommand{Act: act, Node: node})
	if err != nil {
		return envelope.NodeStatus{}, err
	}
	m, err := n.nc.RequestWithContext(ctx, subject.NodeDo, data)
	silent := errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
	switch {
	case silent && !beats:
		return envelope.NodeStatus{}, fmt.Errorf("node %.64q: %w", node, endpoint.ErrNotFound)
	case err != nil:
		return envelope.NodeStatus{}, fmt.Errorf("node %.64q: %w: %w", node, ErrUnavailable, err)
	}
	return envelope.DecodeNodeStatus(m.Data)
}
