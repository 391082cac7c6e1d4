package control

import (
	"context"
	"fmt"
	"strings"

	"patchbay/actors/endpoint"
)

// minQuery is how much of a number call.find wants, so that it finds calls and
// does not list them.
const minQuery = 3

// maxQuery is how long a query may be, bytes: that of a long Call-ID.
const maxQuery = 256

// everyAccount is how the operator says that an operation is about the calls of
// all accounts.
const everyAccount = "*"

// A CallQuery is the request of call.find.
type CallQuery struct {
	Query   string `json:"query"`             // SIP Call-ID, caller's or called number, Key of an endpoint, or id of a call
	Account string `json:"account,omitempty"` // of the operator only: another account, or "*"
	Limit   int    `json:"limit,omitempty"`   // 1 to 1000; 0: 1000
}

// FindCalls returns the live calls that a query names, oldest first: by SIP
// Call-ID, Key or id as they are, by number with or without its + and
// separators.
func (o *Operations) FindCalls(ctx context.Context, tenant string, in CallQuery) (Page[CallView], error) {
	query := strings.TrimSpace(in.Query)
	switch {
	case len(query) < minQuery:
		return Page[CallView]{}, invalid("query", endpoint.CodeRequired, fmt.Sprintf("want a Call-ID or a number, at least %d characters", minQuery))
	case len(query) > maxQuery:
		return Page[CallView]{}, invalid("query", endpoint.CodeTooLong, fmt.Sprintf("want at most %d bytes", maxQuery))
	case in.Limit < 0 || in.Limit > maxListed:
		return Page[CallView]{}, invalid("limit", endpoint.CodeOutOfRange, fmt.Sprintf("want 1 to %d", maxListed))
	case in.Limit == 0:
		in.Limit = maxListed
	}
	whose, err := callsOf(tenant, in.Account)
	if err != nil {
		return Page[CallView]{}, err
	}
	calls, err := o.Calls.Find(ctx, whose, query, in.Limit)
	if err != nil {
		return Page[CallView]{}, fmt.Errorf("find calls: %w", err)
	}
	if calls == nil {
		calls = []CallView{}
	}
	return Page[CallView]{Items: calls}, nil
}

// callsOf returns the account whose calls are meant: "" is every account's.
func callsOf(tenant, account string) (string, error) {
	if account == everyAccount && tenant == endpoint.OperatorTenant {
		return "", nil
	}
	if account == everyAccount {
		return "", errOperator
	}
	return AccountRef{account}.of(tenant)
}

// A Selection says which live calls are meant: those for which all that is set
// is true.
type Selection struct {
	Tenant   string // "": every account's
	Endpoint endpoint.Key
	Node     string
}

// A MassHangup is the request of call.hangup-all. At least one of its fields
// says which calls are meant.
type MassHangup struct {
	Endpoint string `json:"endpoint_id,omitempty"`
	Account  string `json:"account,omitempty"` // the tenant's own; of the operator: any, or "*"
	Node     string `json:"node,omitempty"`
	DryRun   bool   `json:"dry_run,omitempty"` // count only
}

// A MassHungUp answers it.
type MassHungUp struct {
	Calls  int  `json:"calls"` // that were meant
	DryRun bool `json:"dry_run,omitempty"`
}

// HangupCalls ends many live calls: of an endpoint, of an account, of a node.
// The count is of the calls that were told; each ends on its own.
func (o *Operations) HangupCalls(ctx context.Context, tenant string, in MassHangup) (MassHungUp, error) {
	if in.Endpoint == "" && in.Account == "" && in.Node == "" {
		return MassHungUp{}, invalid("endpoint_id", endpoint.CodeRequired, "want endpoint_id, account or node")
	}
	whose, err := callsOf(tenant, in.Account)
	if err != nil {
		return MassHungUp{}, err
	}
	sel := Selection{Tenant: whose, Node: in.Node}
	if in.Endpoint != "" {
		owner := whose
		if owner == "" {
			owner = tenant
		}
		ep, err := o.Store.EndpointByID(ctx, owner, in.Endpoint)
		if err != nil {
			return MassHungUp{}, fmt.Errorf("find endpoint %s: %w", in.Endpoint, err)
		}
		address, ok := ep.Address()
		if !ok {
			return MassHungUp{}, fmt.Errorf("find endpoint %s: %w", in.Endpoint, endpoint.ErrNotFound)
		}
		sel.Endpoint = address.Key()
	}
	n, err := o.Calls.HangupAll(ctx, sel, in.DryRun)
	if err != nil {
		return MassHungUp{}, fmt.Errorf("hang up calls: %w", err)
	}
	return MassHungUp{Calls: n, DryRun: in.DryRun}, nil
}
