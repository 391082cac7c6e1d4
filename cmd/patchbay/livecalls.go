package main

import (
	"context"

	"patchbay/cluster"
	"patchbay/control"
)

// Find implements control.Calls.
func (l liveCalls) Find(ctx context.Context, tenant, query string, limit int) ([]control.CallView, error) {
	all, err := l.Commander.Find(ctx, tenant, query, limit)
	views := make([]control.CallView, len(all))
	for i, status := range all {
		views[i] = viewOf(status)
	}
	return views, err
}

// HangupAll implements control.Calls.
func (l liveCalls) HangupAll(ctx context.Context, sel control.Selection, dry bool) (int, error) {
	return l.Commander.HangupAll(ctx, cluster.Selection(sel), dry)
}
