package actors

import (
	"context"
	"errors"

	"patchbay/actors/endpoint"
)

// A Cache is a [Store] that can also answer from memory alone. Where the Store
// of [Endpoints] is one, warm endpoints are decided on without leaving their
// loop. Its methods never block; false: it would have to be read; nil, or the
// empty tenant: known not to exist.
type Cache interface {
	Store
	CachedEndpoint(key endpoint.Key, partition uint8) (*endpoint.Endpoint, bool)
	CachedAccount(tenant string) (*endpoint.Account, bool)
	CachedAgent(tenant, id string) (*endpoint.Agent, bool)
	CachedDomain(key endpoint.Key, partition uint8) (tenant string, known bool)
	CachedHost(key endpoint.Key, partition uint8) (label string, known bool)
	CachedNumber(key endpoint.Key, partition uint8) (*endpoint.Claims, bool)
}

// A source is where a policy is read: memory, or the store. Nil and "" stand
// for what does not exist.
type source interface {
	endpoint(key endpoint.Key, partition uint8) (*endpoint.Endpoint, error)
	account(tenant string) (*endpoint.Account, error)
	agent(tenant, id string) (*endpoint.Agent, error)
	domain(key endpoint.Key, partition uint8) (string, error)
	host(key endpoint.Key, partition uint8) (string, error)
	number(key endpoint.Key, partition uint8) (*endpoint.Claims, error)
}

// errCold says that memory does not know.
var errCold = errors.New("actors: not in memory")

// memorySource reads from memory alone; what is not there is errCold.
type memorySource struct{ cache Cache }

func ifKnown[T any](v T, known bool) (T, error) {
	if !known {
		return v, errCold
	}
	return v, nil
}

func (m memorySource) endpoint(key endpoint.Key, partition uint8) (*endpoint.Endpoint, error) {
	return ifKnown(m.cache.CachedEndpoint(key, partition))
}

func (m memorySource) account(tenant string) (*endpoint.Account, error) {
	return ifKnown(m.cache.CachedAccount(tenant))
}

func (m memorySource) agent(tenant, id string) (*endpoint.Agent, error) {
	return ifKnown(m.cache.CachedAgent(tenant, id))
}

func (m memorySource) domain(key endpoint.Key, partition uint8) (string, error) {
	return ifKnown(m.cache.CachedDomain(key, partition))
}

func (m memorySource) host(key endpoint.Key, partition uint8) (string, error) {
	return ifKnown(m.cache.CachedHost(key, partition))
}

func (m memorySource) number(key endpoint.Key, partition uint8) (*endpoint.Claims, error) {
	return ifKnown(m.cache.CachedNumber(key, partition))
}

// storeSource reads from the store, however long ctx allows.
type storeSource struct {
	ctx   context.Context
	store Store
}

func orNil[T any](v T, err error) (*T, error) {
	switch {
	case errors.Is(err, endpoint.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &v, nil
}

func orEmpty(name string, err error) (string, error) {
	if errors.Is(err, endpoint.ErrNotFound) {
		return "", nil
	}
	return name, err
}

func (s storeSource) endpoint(key endpoint.Key, partition uint8) (*endpoint.Endpoint, error) {
	return orNil(s.store.Endpoint(s.ctx, key, partition))
}

func (s storeSource) account(tenant string) (*endpoint.Account, error) {
	return orNil(s.store.Account(s.ctx, tenant))
}

func (s storeSource) agent(tenant, id string) (*endpoint.Agent, error) {
	return orNil(s.store.Agent(s.ctx, tenant, id))
}

func (s storeSource) domain(key endpoint.Key, partition uint8) (string, error) {
	return orEmpty(s.store.Domain(s.ctx, key, partition))
}

func (s storeSource) host(key endpoint.Key, partition uint8) (string, error) {
	return orEmpty(s.store.Host(s.ctx, key, partition))
}

func (s storeSource) number(key endpoint.Key, partition uint8) (*endpoint.Claims, error) {
	return orNil(s.store.Number(s.ctx, key, partition))
}
