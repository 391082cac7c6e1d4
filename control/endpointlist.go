package control

import (
	"context"
	"fmt"

	"patchbay/actors/endpoint"
)

// An EndpointQuery is the request of endpoint.list: a page of the endpoints
// that the filter chooses.
type EndpointQuery struct {
	PageRequest
	Offset int  `json:"offset,omitempty"` // endpoints to pass over
	Newest bool `json:"newest,omitempty"` // the newest first
	Count  bool `json:"count,omitempty"`  // how many there are, too: total
	endpoint.Filter
}

// plain reports that the store's own order of pages is asked for.
func (q *EndpointQuery) plain() bool {
	return q.Offset == 0 && !q.Newest && !q.Count && len(q.Filter.Matcher()) == 0
}

// ListEndpoints returns one page of the tenant's endpoints, oldest first unless
// it says otherwise.
func (o *Operations) ListEndpoints(ctx context.Context, tenant string, in EndpointQuery) (Page[EndpointView], error) {
	limit, err := in.limit()
	if err != nil {
		return Page[EndpointView]{}, err
	}
	problems := in.Filter.Validate()
	if in.Offset < 0 || in.Offset > maxOffset {
		problems = append(problems, endpoint.Problem{Field: "offset", Code: endpoint.CodeOutOfRange, Message: fmt.Sprintf("want 0 to %d", maxOffset)})
	}
	if len(problems) > 0 {
		return Page[EndpointView]{}, invalidAll(problems)
	}
	var page Page[EndpointView]
	var got endpoint.Listed
	if in.plain() {
		got.Items, got.Next, err = o.Store.Endpoints(ctx, tenant, in.Cursor, limit)
	} else {
		got, err = o.Store.FindEndpoints(ctx, tenant, in.Filter, endpoint.Window{Cursor: in.Cursor, Offset: in.Offset, Limit: limit, Newest: in.Newest, Count: in.Count})
	}
	if err != nil {
		return Page[EndpointView]{}, fmt.Errorf("list endpoints: %w", err)
	}
	page.Items, page.Next = make([]EndpointView, len(got.Items)), got.Next
	for i, ep := range got.Items {
		page.Items[i] = o.viewOf(ep)
	}
	if in.Count {
		page.Total = &got.Total
	}
	page.Items = o.withTotals(ctx, got.Items, page.Items)
	return page, nil
}

// maxOffset is how many endpoints a list passes over at most.
const maxOffset = 10_000_000

// endpointOf reads an endpoint by its id or its numeric id.
func (o *Operations) endpointOf(ctx context.Context, tenant, id string) (endpoint.Endpoint, error) {
	if endpoint.IsNumericID(id) {
		return o.Store.EndpointByNumber(ctx, tenant, id)
	}
	return o.Store.EndpointByID(ctx, tenant, id)
}
