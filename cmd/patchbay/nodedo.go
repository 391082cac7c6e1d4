package main

import (
	"context"
	"slices"
	"time"

	"patchbay/cluster"
	"patchbay/cluster/envelope"
	"patchbay/control"
)

// openDoor lets the operator reach this node.
func (n *node) openDoor(obs observers) (err error) {
	n.door, err = cluster.OpenNodeDoor(n.ground.conn, n.cfg.Node.Name, n.act, obs.door("node"))
	return err
}

// act does what the operator wishes and says how the node is then. A node that
// was told to stop drains until it ends, whatever the operator wishes.
func (n *node) act(act string) envelope.NodeStatus {
	n.turning.Lock()
	defer n.turning.Unlock()
	switch {
	case act == envelope.NodeDrainAct:
		n.log.Info("the operator drains the node")
		n.turnAway()
	case act == envelope.NodeResumeAct && !n.stopping:
		n.log.Info("the operator ends the drain")
		n.takeCalls()
	}
	return n.status()
}

// leave has the node refuse new calls until it ends.
func (n *node) leave() {
	n.turning.Lock()
	defer n.turning.Unlock()
	n.stopping = true
	n.turnAway()
}

// status is how the node is now.
func (n *node) status() envelope.NodeStatus {
	g := n.ground
	s := envelope.NodeStatus{Node: n.cfg.Node.Name, Roles: slices.Clone(n.cfg.Node.Roles), Version: version(),
		Since: time.Unix(0, int64(g.boot)).UTC(), Draining: g.draining.Load(), Calls: n.live(), Partitions: n.partitions()}
	if n.calls != nil {
		s.Capacity, s.Slot = n.cfg.Media.MaxCalls, g.slot
	}
	if g.broker != nil {
		s.Broker = g.broker.Status()
	}
	switch err := g.conn.Healthy(); {
	case s.Draining:
		s.State = envelope.NodeDraining
	case !g.up.Load():
		s.State = envelope.NodeStarting
	case err != nil:
		s.State, s.Reason = envelope.NodeUnready, err.Error()
	default:
		s.State = envelope.NodeReady
	}
	return s
}

// turnAway makes every role refuse new calls. Those that are up go on. The caller
// holds turning.
func (n *node) turnAway() {
	n.ground.draining.Store(true)
	if n.edge != nil {
		n.edge.Drain()
	}
	if n.calls != nil {
		n.calls.Drain()
	}
}

// takeCalls ends a drain. The caller holds turning.
func (n *node) takeCalls() {
	if n.calls != nil {
		n.calls.Resume()
	}
	if n.edge != nil {
		n.edge.Resume()
	}
	n.ground.draining.Store(false)
}

// clusterNodes lets control reach the nodes.
type clusterNodes struct{ *cluster.Nodes }

// List implements control.Nodes.
func (c clusterNodes) List(ctx context.Context) ([]control.NodeView, error) {
	all, err := c.Nodes.List(ctx)
	views := make([]control.NodeView, len(all))
	for i, s := range all {
		views[i] = nodeViewOf(s)
	}
	return views, err
}

// Drain implements control.Nodes.
func (c clusterNodes) Drain(ctx context.Context, node string, cancel bool) (control.NodeView, error) {
	s, err := c.Nodes.Drain(ctx, node, cancel)
	return nodeViewOf(s), err
}

func nodeViewOf(s envelope.NodeStatus) control.NodeView {
	v := control.NodeView{Node: s.Node, Roles: s.Roles, Version: s.Version, Since: s.Since, Draining: s.Draining, Calls: s.Calls,
		State: s.State, Reason: s.Reason, UptimeS: int64(time.Since(s.Since) / time.Second), Capacity: s.Capacity, Slot: uint16(s.Slot),
		Partitions: s.Partitions}
	if v.State == "" { // of a release that does not say
		v.State = envelope.NodeReady
		if s.Draining {
			v.State = envelope.NodeDraining
		}
	}
	if b := s.Broker; b != nil {
		v.Broker = &control.BrokerView{Brokers: b.Brokers, Of: b.Of, MetaLeader: b.MetaLeader, Leads: orNone(b.Leads), Behind: orNone(b.Behind)}
	}
	return v
}

func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
