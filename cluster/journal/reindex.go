package journal

import (
	"context"
	"fmt"

	"patchbay/actors/call"
	"patchbay/cluster/lookup"
	"patchbay/cluster/subject"
)

// Reindex enters records into the index of their tenants that are not in it,
// and returns how many there were: those of releases that had none, or of a
// backup of one. Where the index has as many lines as there are records it
// looks at nothing else. The error wraps ErrUnavailable.
func (j *Journal) Reindex(ctx context.Context) (n int, err error) {
	behind, err := j.behind(ctx)
	for seq := uint64(1); err == nil && behind; {
		var page []lookup.Message
		page, err = lookup.Many(ctx, j.nc, subject.StreamRecords, lookup.Query{Next: subject.RecordAll, Sequence: seq, Batch: sweepBatch})
		if err != nil || len(page) == 0 {
			break
		}
		var more int
		more, err = j.enter(ctx, page)
		n, seq = n+more, page[len(page)-1].Sequence+1
	}
	if err != nil {
		return n, fmt.Errorf("index records: %w", unread(err))
	}
	return n, nil
}

// behind reports whether there are more records than lines.
func (j *Journal) behind(ctx context.Context) (bool, error) {
	var messages [2]uint64
	for i, name := range []string{subject.StreamRecords, subject.StreamRecordIndex} {
		stream, err := j.js.Stream(ctx, name)
		if err != nil {
			return false, failed(err)
		}
		messages[i] = stream.CachedInfo().State.Msgs
	}
	return messages[0] > messages[1], nil
}

// enter enters those of a page of records that have no line.
func (j *Journal) enter(ctx context.Context, page []lookup.Message) (n int, err error) {
	var records []call.Record
	ask := lookup.Query{}
	for _, m := range page {
		rec, err := decodeRecord(m.Data)
		if err != nil {
			continue // nobody can read it
		}
		records, ask.Last = append(records, rec), append(ask.Last, subject.RecordOf(rec.Tenant, rec.ID))
	}
	if len(records) == 0 {
		return 0, nil
	}
	found, err := lookup.Many(ctx, j.nc, subject.StreamRecordIndex, ask)
	if err != nil {
		return 0, err
	}
	there := make(map[string]bool, len(found))
	for _, m := range found {
		there[m.Subject] = true
	}
	for i, rec := range records {
		if there[ask.Last[i]] {
			continue
		}
		if err := j.Index(ctx, rec); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
