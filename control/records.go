package control

import (
	"context"
	"fmt"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Records reads what remains of calls that are over.
type Records interface {
	// Get returns the record of one call; endpoint.ErrNotFound where a tenant
	// has none.
	Get(ctx context.Context, tenant string, id call.ID) (call.Record, error)
	// List returns one page in the order in which records were published, and
	// after which call the next begins; 0: there is none.
	List(ctx context.Context, tenant string, q RecordQuery) (page []call.Record, next call.ID, err error)
}

// A RecordQuery narrows a list of records.
type RecordQuery struct {
	Endpoint endpoint.Key // empty: all
	Since    time.Time    // ended then or later; zero: since ever
	Until    time.Time    // ended before; zero: until now
	After    call.ID      // next of the page before; 0: the first page
	Limit    int
}

// Board reads what deciders count.
type Board interface {
	// Totals returns what is known of each endpoint; those never called are
	// left out.
	Totals(ctx context.Context, eps []endpoint.Endpoint) (map[endpoint.Key]Totals, error)
}

// Totals are what deciders counted of one endpoint. A view lags 30 s behind.
type Totals struct {
	Calls      uint64    `json:"calls"`    // INVITEs that became calls
	Rejected   uint64    `json:"rejected"` // INVITEs that were refused
	LastCallAt time.Time `json:"-"`        // last_call_at of the view
}

// A RecordPageRequest asks for one page of a tenant's records.
type RecordPageRequest struct {
	PageRequest
	Endpoint endpoint.Key `json:"endpoint,omitempty"` // key of one endpoint; "": all
	Since    time.Time    `json:"since,omitzero"`     // calls that ended then or later
	Until    time.Time    `json:"until,omitzero"`     // calls that ended before
}

// GetRecord returns the record of one call that is over.
func (o *Operations) GetRecord(ctx context.Context, tenant string, in ID) (call.Record, error) {
	id, err := callID(in)
	if err != nil {
		return call.Record{}, err
	}
	rec, err := o.Records.Get(ctx, tenant, id)
	if err != nil {
		return call.Record{}, fmt.Errorf("get record %s: %w", id, err)
	}
	return rec, nil
}

// ListRecords returns one page of the tenant's records, in the order in which
// they were published. A page may be short and have a next one all the same:
// a bounded number of records is looked at for each.
func (o *Operations) ListRecords(ctx context.Context, tenant string, in RecordPageRequest) (Page[call.Record], error) {
	limit, err := in.limit()
	if err != nil {
		return Page[call.Record]{}, err
	}
	q := RecordQuery{Endpoint: in.Endpoint, Since: in.Since, Until: in.Until, Limit: limit}
	if !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return Page[call.Record]{}, invalid("until", endpoint.CodeOutOfRange, "want a time after since")
	}
	if in.Cursor != "" {
		if q.After, err = call.ParseID(in.Cursor); err != nil || q.After == 0 {
			return Page[call.Record]{}, invalid("cursor", endpoint.CodeInvalid, "want next of a page of this list")
		}
	}
	records, next, err := o.Records.List(ctx, tenant, q)
	if err != nil {
		return Page[call.Record]{}, fmt.Errorf("list records: %w", err)
	}
	page := Page[call.Record]{Items: records}
	if records == nil {
		page.Items = []call.Record{}
	}
	if next != 0 {
		page.Next = next.String()
	}
	return page, nil
}

// recordTable is the part about calls that are over.
func (o *Operations) recordTable() []operation {
	return []operation{
		own("record", "get", o.GetRecord, endpoint.ScopeCallsRead),
		own("record", "list", o.ListRecords, endpoint.ScopeCallsRead),
	}
}

// withTotals adds what deciders have counted to views of endpoints. A view
// without totals is better than none: where they cannot be read, they are left
// out.
func (o *Operations) withTotals(ctx context.Context, eps []endpoint.Endpoint, views []EndpointView) []EndpointView {
	if o.Board == nil || len(eps) == 0 {
		return views
	}
	totals, err := o.Board.Totals(ctx, eps)
	if err != nil {
		return views
	}
	for i := range views {
		t, ok := totals[views[i].Key]
		if !ok {
			continue
		}
		views[i].Totals = &t
		if !t.LastCallAt.IsZero() {
			views[i].LastCallAt = &t.LastCallAt
		}
	}
	return views
}
