package control

import (
	"context"
	"fmt"
)

// maxThrottlePages is how many pages of throttles are searched for a name.
const maxThrottlePages = 10

// throttled counts a call under the throttle that it names by id or name; "":
// none.
func (o *Operations) throttled(ctx context.Context, tenant, named string) error {
	if named == "" {
		return nil
	}
	cursor := ""
	for range maxThrottlePages {
		page, next, err := o.Store.Throttles(ctx, tenant, cursor, maxPage)
		if err != nil {
			return fmt.Errorf("look up a throttle: %w", err)
		}
		for _, t := range page {
			if t.ID == named || t.Name == named {
				return o.Throttle(ctx, tenant, t.ID)
			}
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	return invalid("throttle", "unknown", "no such throttle")
}
