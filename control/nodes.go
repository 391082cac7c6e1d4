package control

import (
	"context"
	"fmt"
	"time"

	"patchbay/actors/endpoint"
)

// Nodes reaches the nodes of the cluster.
type Nodes interface {
	// List returns the nodes that answer, and as silent those that were heard of
	// late and do not.
	List(ctx context.Context) ([]NodeView, error)
	// Drain makes a node refuse new calls, or take them again; it wraps
	// endpoint.ErrNotFound when no node of that name answers.
	Drain(ctx context.Context, node string, cancel bool) (NodeView, error)
}

// A NodeView is one node as the operator sees it.
type NodeView struct {
	Node     string    `json:"node"`
	Roles    []string  `json:"roles"`
	Version  string    `json:"version"`
	Since    time.Time `json:"since"` // when it started
	Draining bool      `json:"draining"`
	Calls    int       `json:"calls"` // live calls that it carries

	State      string      `json:"state"`                // starting, ready, unready, draining, silent
	Reason     string      `json:"reason,omitempty"`     // why it is not ready
	UptimeS    int64       `json:"uptime_s"`             // seconds since its start
	Capacity   int         `json:"capacity,omitempty"`   // most calls that it carries at once
	Slot       uint16      `json:"slot,omitempty"`       // of a media node: its number in tokens
	Partitions int         `json:"partitions,omitempty"` // of endpoints that it owns, of 256
	Broker     *BrokerView `json:"broker,omitempty"`
}

// A BrokerView is one NATS server, as it sees itself and the others.
type BrokerView struct {
	Brokers    int      `json:"brokers"` // joined, itself included
	Of         int      `json:"of"`      // that there should be
	MetaLeader string   `json:"meta_leader,omitempty"`
	Leads      []string `json:"leads"`  // streams
	Behind     []string `json:"behind"` // replicas of those that could not take over now
}

// ListNodes returns how every node is, in order of name.
func (o *Operations) ListNodes(ctx context.Context, _ string, _ struct{}) (Page[NodeView], error) {
	if o.Nodes == nil {
		return Page[NodeView]{}, ErrUnavailable
	}
	all, err := o.Nodes.List(ctx)
	if err != nil {
		return Page[NodeView]{}, fmt.Errorf("list nodes: %w", err)
	}
	if all == nil {
		all = []NodeView{}
	}
	return Page[NodeView]{Items: all}, nil
}

// A Drain is the request of node.drain.
type Drain struct {
	Node   string `json:"node"`
	Cancel bool   `json:"cancel,omitempty"` // take new calls again
}

// DrainNode makes a node refuse new calls; those it carries go on. The node
// stays up until it is stopped, and takes calls again when the drain is
// cancelled.
func (o *Operations) DrainNode(ctx context.Context, _ string, in Drain) (NodeView, error) {
	switch {
	case in.Node == "":
		return NodeView{}, invalid("node", endpoint.CodeRequired, "want the node's name")
	case o.Nodes == nil:
		return NodeView{}, ErrUnavailable
	}
	v, err := o.Nodes.Drain(ctx, in.Node, in.Cancel)
	if err != nil {
		return NodeView{}, fmt.Errorf("drain node %.64q: %w", in.Node, err)
	}
	return v, nil
}
