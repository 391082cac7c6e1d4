package main

import (
	"context"
	"errors"
	"fmt"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/journal"
	"patchbay/cluster/lookup"
	"patchbay/cluster/stats"
	"patchbay/control"
)

// archive lets control read records.
type archive struct{ *journal.Journal }

// Get implements control.Records.
func (a archive) Get(ctx context.Context, tenant string, id call.ID) (call.Record, error) {
	rec, err := a.Journal.Get(ctx, tenant, id)
	return rec, away(err)
}

// List implements control.Records.
func (a archive) List(ctx context.Context, tenant string, q control.RecordQuery) ([]call.Record, call.ID, error) {
	page, next, err := a.Journal.List(ctx, journal.Query{Tenant: tenant, Endpoint: string(q.Endpoint), Since: q.Since, Until: q.Until,
		After: q.After, Limit: q.Limit})
	return page, next, away(err)
}

// board lets control read the totals of endpoints.
type board struct{ *stats.Board }

// Totals implements control.Board.
func (b board) Totals(ctx context.Context, eps []endpoint.Endpoint) (map[endpoint.Key]control.Totals, error) {
	var ids []stats.ID
	for _, ep := range eps {
		if at, ok := ep.Address(); ok {
			ids = append(ids, stats.ID{Key: at.Key(), Partition: at.Partition()})
		}
	}
	found, err := b.Read(ctx, ids)
	if err != nil {
		return nil, away(err)
	}
	all := make(map[endpoint.Key]control.Totals, len(found))
	for key, t := range found {
		all[key] = control.Totals{Calls: t.Calls, Rejected: t.Rejected, LastCallAt: t.LastCallAt}
	}
	return all, nil
}

// away says in control's words that JetStream did not answer.
func away(err error) error {
	if errors.Is(err, lookup.ErrUnavailable) || errors.Is(err, journal.ErrUnavailable) || errors.Is(err, stats.ErrUnavailable) {
		return fmt.Errorf("%w: %w", control.ErrUnavailable, err)
	}
	return err
}
