package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"

	"patchbay/actors"
	"patchbay/cluster/envelope"
	"patchbay/cluster/placement"
)

// maxOffered is how many media nodes are asked for something that any of them
// can do, where those before were full or silent.
const maxOffered = 3

// Any asks media nodes that take new calls, a random one first, until one does
// what is asked. Errors are those of Do; ErrUnavailable where there is none.
func (c *Commander) Any(ctx context.Context, tenant, op string, body json.RawMessage) (json.RawMessage, error) {
	nodes := slices.DeleteFunc(slices.Clone(c.nodes()), func(n placement.Node) bool { return !n.Eligible() })
	rand.Shuffle(len(nodes), func(i, k int) { nodes[i], nodes[k] = nodes[k], nodes[i] })
	err := ErrUnavailable
	for _, n := range nodes[:min(len(nodes), maxOffered)] {
		var reply json.RawMessage
		reply, err = c.at(ctx, n.Slot, envelope.Command{Op: op, Tenant: tenant, Body: body})
		if err == nil || !errors.Is(err, actors.ErrBusy) && !errors.Is(err, ErrUnavailable) {
			return reply, err
		}
	}
	return nil, err
}
