package journal

import (
	"context"
	"fmt"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/lookup"
	"patchbay/cluster/subject"
)

// Limits of one list.
const (
	listBatch  = 256     // records read at once
	maxScanned = 10_000  // records of all tenants looked at for one page
	maxBatch   = 4 << 20 // bytes read at once
	clockSlack = time.Minute
)

// A Query asks for records of one tenant.
type Query struct {
	Tenant   string
	Endpoint string    // Key; "": all
	Since    time.Time // ended then or later; zero: since ever
	Until    time.Time // ended before; zero: until now
	After    uint64    // next of the page before; 0: the first page
	Limit    int
}

// wants reports whether the query is for that record.
func (q *Query) wants(rec *call.Record) bool {
	at := rec.Stages.Ended
	return rec.Tenant == q.Tenant && (q.Endpoint == "" || rec.Endpoint == q.Endpoint) &&
		!at.Before(q.Since) && (q.Until.IsZero() || at.Before(q.Until))
}

// Get returns the record of one call of a tenant; endpoint.ErrNotFound where
// there is none, also if it is another tenant's.
func (j *Journal) Get(ctx context.Context, tenant string, id call.ID) (call.Record, error) {
	m, ok, err := lookup.Last(ctx, j.nc, subject.StreamRecords, subject.Record(id))
	if err != nil {
		return call.Record{}, unread(err)
	}
	if !ok {
		return call.Record{}, endpoint.ErrNotFound
	}
	rec, err := decodeRecord(m.Data)
	if err == nil && rec.Tenant != tenant {
		return call.Record{}, endpoint.ErrNotFound
	}
	return rec, err
}

// List returns one page of records in the order in which they were published,
// and where the next begins; 0: nowhere. It looks at a bounded number of
// records, so a page may be short, or empty, and have a next one.
func (j *Journal) List(ctx context.Context, q Query) (page []call.Record, next uint64, err error) {
	ask := lookup.Query{Next: subject.RecordAll, Sequence: q.After + 1, Batch: listBatch, MaxBytes: maxBatch}
	if q.After == 0 && !q.Since.IsZero() {
		since := q.Since.Add(-clockSlack) // a record is published after its call has ended; clocks may differ
		ask.Since, ask.Sequence = &since, 0
	}
	last := q.After
	for scanned := 0; scanned < maxScanned; {
		batch, err := lookup.Many(ctx, j.nc, subject.StreamRecords, ask)
		if err != nil {
			return nil, 0, fmt.Errorf("list records: %w", unread(err))
		}
		if len(batch) == 0 {
			return page, 0, nil
		}
		for _, m := range batch {
			rec, err := decodeRecord(m.Data)
			if err != nil {
				return nil, 0, fmt.Errorf("list records: sequence %d: %w", m.Sequence, err)
			}
			if q.wants(&rec) {
				if len(page) == q.Limit {
					return page, last, nil
				}
				page = append(page, rec)
			}
			last = m.Sequence
		}
		scanned += len(batch)
		ask.Since, ask.Sequence = nil, last+1
	}
	return page, last, nil
}
