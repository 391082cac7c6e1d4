package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/call"
	"patchbay/cluster/envelope"
	"patchbay/cluster/placement"
	"patchbay/cluster/subject"
)

// A Silent is one incarnation of a media node that carried calls when it was
// last heard, and is not heard any more.
type Silent struct {
	Node  string
	Boot  uint64
	Slot  call.Slot
	Calls []call.ID
}

// Silent lists the incarnations of media nodes that carried calls and are gone,
// as far as their beats tell: silent for three of them, said goodbye, or
// followed by a newer start under their name. Silence counts from when this node
// listens: while it was cut off nobody could be heard.
func (p *Presence) Silent() []Silent {
	now := p.now()
	p.mu.RLock()
	defer p.mu.RUnlock()
	var list []Silent
	for _, n := range p.nodes {
		if n.role == RoleMedia && !n.alive(now) && (n.left || now.Sub(p.resumed) >= mediaSilent) && len(n.calls) > 0 {
			list = append(list, Silent{Node: n.name, Boot: n.boot, Slot: n.slot, Calls: n.ids()})
		}
	}
	return list
}

// Surviving lists the media nodes that are heard now, draining ones as if they
// were not: who ends the calls of a dead one need not take new ones.
func (p *Presence) Surviving() []placement.Node {
	list := p.Media()
	for i := range list {
		list[i].Draining = false
	}
	return list
}

// Runs reports whether that incarnation of a media node is heard now. known is
// false where this table has listened for too short a time to tell.
func (p *Presence) Runs(node string, boot uint64) (runs, known bool) {
	now := p.now()
	p.mu.RLock()
	defer p.mu.RUnlock()
	n := p.nodes[nodeKey{RoleMedia, node, boot}]
	if n != nil && n.alive(now) {
		return true, true
	}
	return false, now.Sub(p.resumed) >= otherSilent
}

// Known lists the incarnations of nodes that were heard of late, each once
// whatever its roles. Those that have said goodbye are none.
func (p *Presence) Known() []Known {
	now := p.now()
	p.mu.RLock()
	defer p.mu.RUnlock()
	byBoot := make(map[uint64]*Known)
	for _, n := range p.nodes {
		if n.left {
			continue
		}
		k := byBoot[n.boot]
		if k == nil {
			k = &Known{Node: n.name, Boot: n.boot}
			byBoot[n.boot] = k
		}
		if n.role != RoleEdge {
			k.Node = n.name
		}
		k.Roles = append(k.Roles, n.role)
		k.Beats = k.Beats || n.alive(now)
		k.Calls += n.live()
		k.Slot = max(k.Slot, n.slot)
	}
	list := make([]Known, 0, len(byBoot))
	for _, k := range byBoot {
		slices.Sort(k.Roles)
		list = append(list, *k)
	}
	return list
}

// ids returns the distinct calls of a node.
func (n *peer) ids() []call.ID {
	all := idSet{}
	for _, set := range n.calls {
		for id := range set {
			all[id] = struct{}{}
		}
	}
	ids := make([]call.ID, 0, len(all))
	for id := range all {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// A Sign is what a question to a silent node came to.
type Sign int

// Signs.
const (
	Mute  Sign = iota // no answer in time: slow, paused, or cut off
	Alive             // that incarnation has answered
	Gone              // nobody is there, or a later start is
)

// signPatience is the longest wait for a sign of life: a node on a machine that
// is far too busy must not be taken for dead.
const signPatience = time.Second

// opAlive asks a media node which incarnation it is.
const opAlive = "alive"

type aliveReply struct {
	Node string `json:"node"`
	Boot uint64 `json:"boot"`
}

// Knock asks a silent media node itself whether it lives: beats may have been
// lost on the way to this node alone.
func Knock(ctx context.Context, c *Conn, s Silent) Sign {
	data, err := envelope.EncodeCommand(envelope.Command{Op: opAlive})
	if err != nil {
		return Mute
	}
	ctx, cancel := context.WithTimeout(ctx, signPatience)
	defer cancel()
	m, err := c.Control().RequestWithContext(ctx, subject.Command(s.Slot), data)
	if errors.Is(err, nats.ErrNoResponders) {
		return Gone
	}
	if err != nil {
		return Mute
	}
	res, err := envelope.DecodeResult(m.Data)
	var is aliveReply
	if err != nil || res.Code != "" || json.Unmarshal(res.Body, &is) != nil {
		return Alive // a release that cannot say which start it is: whoever it is, it ends its own calls
	}
	if is.Node != s.Node || is.Boot != s.Boot {
		return Gone
	}
	return Alive
}

// AliveOperation answers [Knock] for the node's call door.
func AliveOperation(node string, boot uint64) (name string, op Operation) {
	return opAlive, func(context.Context, envelope.Command) envelope.Result {
		body, err := json.Marshal(aliveReply{Node: node, Boot: boot})
		if err != nil {
			return envelope.Result{Code: envelope.CodeInternal, Message: err.Error()}
		}
		return envelope.Result{Body: body}
	}
}
