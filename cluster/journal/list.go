package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/lookup"
	"patchbay/cluster/subject"
)

// Limits of one list.
const (
	listBatch  = 512    // lines of the index read at once
	maxScanned = 10_000 // lines of the tenant looked at for one page
	readBatch  = 64     // records read at once
	clockSlack = time.Minute
)

// A Query asks for records of one tenant.
type Query struct {
	Tenant   string
	Endpoint string    // Key; "": all
	Since    time.Time // ended then or later; zero: since ever
	Until    time.Time // ended before; zero: until now
	After    call.ID   // next of the page before; 0: the first page
	Limit    int
}

// A line of the index says of one record whose it is, by its subject, and what
// lists go by. It is written once, so that the order of lines is that of
// publication.
type line struct {
	V        int       `json:"v"`
	Ended    time.Time `json:"ended"`
	Endpoint string    `json:"endpoint"`
}

// wants reports whether the query is for the record of that line.
func (q *Query) wants(l *line) bool {
	return (q.Endpoint == "" || l.Endpoint == q.Endpoint) && !l.Ended.Before(q.Since) && (q.Until.IsZero() || l.Ended.Before(q.Until))
}

// Get returns the record of one call of a tenant; endpoint.ErrNotFound where
// there is none, also if it is another tenant's: the tenant's index is asked
// first, which knows as little of another's as of one that never was.
func (j *Journal) Get(ctx context.Context, tenant string, id call.ID) (call.Record, error) {
	_, ok, err := lookup.Last(ctx, j.nc, subject.StreamRecordIndex, subject.RecordOf(tenant, id))
	if err != nil {
		return call.Record{}, unread(err)
	}
	if !ok {
		return call.Record{}, endpoint.ErrNotFound
	}
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
// and after which call the next begins; 0: nowhere. It reads the tenant's part
// of the index and nobody else's, so that neither what it costs nor what it
// returns depends on other tenants. It looks at a bounded number of lines, so a
// page may be short, or empty, and have a next one.
func (j *Journal) List(ctx context.Context, q Query) (page []call.Record, next call.ID, err error) {
	ids, next, err := j.search(ctx, q)
	if err != nil {
		return nil, 0, fmt.Errorf("list records: %w", unread(err))
	}
	for len(ids) > 0 {
		n := min(len(ids), readBatch)
		some, err := j.fetch(ctx, ids[:n])
		if err != nil {
			return nil, 0, fmt.Errorf("list records: %w", unread(err))
		}
		page, ids = append(page, some...), ids[n:]
	}
	return page, next, nil
}

// search returns the calls of one page.
func (j *Journal) search(ctx context.Context, q Query) (ids []call.ID, next call.ID, err error) {
	ask, err := j.start(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	last := q.After
	for scanned := 0; scanned < maxScanned; {
		batch, err := lookup.Many(ctx, j.nc, subject.StreamRecordIndex, ask)
		if err != nil {
			return nil, 0, err
		}
		if len(batch) == 0 {
			return ids, 0, nil
		}
		for _, m := range batch {
			id, l, err := decodeLine(m, q.Tenant)
			if err != nil {
				return nil, 0, err
			}
			if q.wants(&l) {
				if len(ids) == q.Limit {
					return ids, last, nil
				}
				ids = append(ids, id)
			}
			last, ask.Sequence = id, m.Sequence+1
		}
		scanned += len(batch)
		ask.Since = nil
	}
	return ids, last, nil
}

// start returns where a page begins. What a cursor names may have aged since,
// and all before it has, too: then the page begins with the oldest. That it has
// is the leader's word: a replica may only be behind.
func (j *Journal) start(ctx context.Context, q Query) (lookup.Query, error) {
	ask := lookup.Query{Next: subject.RecordsOf(q.Tenant), Sequence: 1, Batch: listBatch}
	switch {
	case q.After != 0:
		m, ok, err := lookup.Last(ctx, j.nc, subject.StreamRecordIndex, subject.RecordOf(q.Tenant, q.After))
		if err != nil {
			return ask, err
		}
		if ok {
			ask.Sequence = m.Sequence + 1
		}
	case !q.Since.IsZero():
		since := q.Since.Add(-clockSlack) // a record is published after its call has ended; clocks may differ
		ask.Since, ask.Sequence = &since, 0
	}
	return ask, nil
}

// fetch returns the records of calls in their order; what has aged meanwhile is
// left out.
func (j *Journal) fetch(ctx context.Context, ids []call.ID) ([]call.Record, error) {
	ask := lookup.Query{Batch: len(ids)}
	for _, id := range ids {
		ask.Last = append(ask.Last, subject.Record(id))
	}
	found, err := lookup.Many(ctx, j.nc, subject.StreamRecords, ask)
	if err != nil {
		return nil, err
	}
	all := make(map[call.ID]call.Record, len(found))
	for _, m := range found {
		rec, err := decodeRecord(m.Data)
		if err != nil {
			return nil, fmt.Errorf("sequence %d: %w", m.Sequence, err)
		}
		all[rec.ID] = rec
	}
	page := make([]call.Record, 0, len(ids))
	for _, id := range ids {
		if rec, ok := all[id]; ok {
			page = append(page, rec)
		}
	}
	return page, nil
}

// indexed returns the line of a record, and its subject.
func indexed(rec call.Record) (to string, data []byte, err error) {
	data, err = json.Marshal(line{V: envelope.Version, Ended: rec.Stages.Ended, Endpoint: rec.Endpoint})
	return subject.RecordOf(rec.Tenant, rec.ID), data, err
}

// decodeLine reads what indexed wrote.
func decodeLine(m lookup.Message, tenant string) (id call.ID, l line, err error) {
	of := subject.RecordsOf(tenant)
	if id, err = call.ParseID(m.Subject[min(len(of)-1, len(m.Subject)):]); err == nil {
		err = json.Unmarshal(m.Data, &l)
	}
	if err != nil || l.V != envelope.Version {
		return 0, l, fmt.Errorf("sequence %d of the index is no line of version %d", m.Sequence, envelope.Version)
	}
	return id, l, nil
}
