package envelope

import (
	"fmt"
	"time"
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
