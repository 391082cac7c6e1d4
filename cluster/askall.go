package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"patchbay/cluster/envelope"
)

// Ask puts a question that is about no single call to every media node, and
// returns the replies of those that answered, in no order. With an error it
// returns what the others said.
func (c *Commander) Ask(ctx context.Context, tenant, op string, body json.RawMessage) ([]json.RawMessage, error) {
	var (
		mu      sync.Mutex
		replies []json.RawMessage
		errs    []error
		wg      sync.WaitGroup
		gate    = make(chan struct{}, maxAsked)
	)
	for _, node := range c.nodes() {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			reply, err := c.at(ctx, node.Slot, envelope.Command{Op: op, Tenant: tenant, Body: body})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("%s at node %s: %w", op, node.Name, err))
				return
			}
			replies = append(replies, reply)
		})
	}
	wg.Wait()
	return replies, errors.Join(errs...)
}
