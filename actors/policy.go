package actors

import (
	"context"
	"errors"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A Policy is all that is read to decide on a call. It may be shared: nobody
// writes to it.
type Policy struct {
	Endpoint *endpoint.Endpoint // nil: known not to exist
	Account  *endpoint.Account
	Agent    *endpoint.Agent // of Endpoint.Handler; nil: none bound, or known not to exist
}

// A Cache is a [Store] that can also answer from memory alone. Where the Store
// of [Endpoints] is one, warm endpoints are decided on without leaving their
// loop.
type Cache interface {
	Store
	// Cached returns a policy all of which is in memory; false: something
	// would have to be read. It never blocks.
	Cached(key endpoint.Key, partition uint8) (Policy, bool)
}

// A BeatCounter is a [Load] that counts the reports of each media node. Where
// the Load of [Endpoints] is one, a call too short to be seen in any report
// frees its place after the second; otherwise after the reservation's end.
type BeatCounter interface {
	Beats(node string) uint64
}

// readPolicy reads a policy, however long ctx allows. An endpoint that does
// not exist is no error.
func readPolicy(ctx context.Context, store Store, key endpoint.Key, partition uint8) (Policy, error) {
	ep, err := store.Endpoint(ctx, key, partition)
	if errors.Is(err, endpoint.ErrNotFound) {
		return Policy{}, nil
	}
	if err != nil {
		return Policy{}, err
	}
	acct, err := store.Account(ctx, ep.Tenant)
	if err != nil {
		return Policy{}, err
	}
	pol := Policy{Endpoint: &ep, Account: &acct}
	id := ep.Handler.Agent()
	if id == "" {
		return pol, nil
	}
	agent, err := store.Agent(ctx, ep.Tenant, id)
	if err != nil && !errors.Is(err, endpoint.ErrNotFound) {
		return Policy{}, err
	}
	if err == nil {
		pol.Agent = &agent
	}
	return pol, nil
}

// transactionOf returns what makes two copies of an INVITE the same.
func transactionOf(inv *endpoint.Invite) call.TransactionKey {
	return call.TransactionKey{CallID: inv.CallID, FromTag: inv.FromTag, CSeq: inv.CSeq}
}
