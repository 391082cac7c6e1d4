package control

import (
	"context"
	"fmt"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// maxListed is how many live calls one list returns.
const maxListed = 1000

// ListCalls returns the tenant's live calls, oldest first. They change while
// one reads, so there is one page and no cursor.
func (o *Operations) ListCalls(ctx context.Context, tenant string, in PageRequest) (Page[CallView], error) {
	limit := in.Limit
	switch {
	case in.Cursor != "":
		return Page[CallView]{}, invalid("cursor", endpoint.CodeInvalid, "live calls come as one page")
	case limit == 0:
		limit = maxListed
	case limit < 0 || limit > maxListed:
		return Page[CallView]{}, invalid("limit", endpoint.CodeOutOfRange, fmt.Sprintf("want 1 to %d", maxListed))
	}
	calls, err := o.Calls.List(ctx, tenant, limit)
	if err != nil {
		return Page[CallView]{}, fmt.Errorf("list calls: %w", err)
	}
	if calls == nil {
		calls = []CallView{}
	}
	return Page[CallView]{Items: calls}, nil
}

// GetCall returns one live call.
func (o *Operations) GetCall(ctx context.Context, tenant string, in ID) (CallView, error) {
	id, err := callID(in)
	if err != nil {
		return CallView{}, err
	}
	v, err := o.Calls.Get(ctx, tenant, id)
	if err != nil {
		return CallView{}, fmt.Errorf("get call %s: %w", id, err)
	}
	return v, nil
}

// A HungUp answers a hangup.
type HungUp struct {
	HungUp call.ID `json:"hung_up"`
}

// HangupCall ends one live call.
func (o *Operations) HangupCall(ctx context.Context, tenant string, in ID) (HungUp, error) {
	id, err := callID(in)
	if err != nil {
		return HungUp{}, err
	}
	if err := o.Calls.Hangup(ctx, tenant, id); err != nil {
		return HungUp{}, fmt.Errorf("hang up call %s: %w", id, err)
	}
	return HungUp{id}, nil
}

func callID(in ID) (call.ID, error) {
	if err := in.check(); err != nil {
		return 0, err
	}
	id, err := call.ParseID(in.ID)
	if err != nil {
		return 0, invalid("id", endpoint.CodeInvalid, "want 13 base32hex characters")
	}
	return id, nil
}
