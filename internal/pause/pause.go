// Package pause waits without outliving whoever waits.
package pause

import (
	"context"
	"time"
)

// For waits for d, and reports whether it did to the end: false, ctx ended
// first.
func For(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
