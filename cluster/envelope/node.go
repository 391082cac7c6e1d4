package envelope

import (
	"fmt"
	"time"

	"patchbay/actors/call"
)

// Acts of a NodeCommand.
const (
	NodeStatusAct = "status" // say how you are
	NodeDrainAct  = "drain"  // take no new calls
	NodeResumeAct = "resume" // take new calls again
)

// A NodeCommand is the operator's wish for a node, whatever its roles.
type NodeCommand struct {
	V    int    `json:"v"`
	Act  string `json:"act"`
	Node string `json:"node,omitempty"` // name; empty: every node
}

// A NodeStatus is how a node is, once it has done what it was told.
type NodeStatus struct {
	V          int       `json:"v"`
	Node       string    `json:"node"`
	Roles      []string  `json:"roles"`
	Version    string    `json:"version"`
	Since      time.Time `json:"since"`
	Draining   bool      `json:"draining"`
	Calls      int       `json:"calls"`
	Partitions int       `json:"partitions,omitempty"` // of endpoints that it owns, of 256

	State    string        `json:"state,omitempty"`    // see the States; empty: of a release before there were any
	Reason   string        `json:"reason,omitempty"`   // why it is not ready
	Capacity int           `json:"capacity,omitempty"` // most calls that it carries at once
	Slot     call.Slot     `json:"slot,omitempty"`     // of a media node
	Broker   *BrokerStatus `json:"broker,omitempty"`   // of a broker
}

// States of a node.
const (
	NodeStarting = "starting"
	NodeReady    = "ready"
	NodeUnready  = "unready" // NATS or JetStream does not answer it
	NodeDraining = "draining"
	NodeSilent   = "silent" // it was heard, and does not answer; a node never says so itself
)

// A BrokerStatus is how a node's NATS server is.
type BrokerStatus struct {
	Brokers    int      `json:"brokers"` // joined, this one included
	Of         int      `json:"of"`      // that there should be
	MetaLeader string   `json:"meta_leader,omitempty"`
	Leads      []string `json:"leads,omitempty"`  // streams
	Behind     []string `json:"behind,omitempty"` // replicas of those that could not take over now
}

// EncodeNodeCommand writes a wish for nodes.
func EncodeNodeCommand(c NodeCommand) ([]byte, error) {
	c.V = Version
	return marshal(c)
}

// DecodeNodeCommand reads what [EncodeNodeCommand] wrote.
func DecodeNodeCommand(b []byte) (NodeCommand, error) {
	var c NodeCommand
	if err := unmarshal(b, &c); err != nil {
		return c, err
	}
	if err := spoken(c.V); err != nil {
		return c, err
	}
	switch c.Act {
	case NodeStatusAct, NodeDrainAct, NodeResumeAct:
		return c, nil
	}
	return c, fmt.Errorf("%w: no act %.40q", ErrMalformed, c.Act)
}

// EncodeNodeStatus writes a node's reply.
func EncodeNodeStatus(s NodeStatus) ([]byte, error) {
	s.V = Version
	return marshal(s)
}

// DecodeNodeStatus reads what [EncodeNodeStatus] wrote.
func DecodeNodeStatus(b []byte) (NodeStatus, error) {
	var s NodeStatus
	if err := unmarshal(b, &s); err != nil {
		return s, err
	}
	return s, spoken(s.V)
}
