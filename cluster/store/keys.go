package store

import (
	"context"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// CreateKey stores a new API key, as CreateEndpoint does an endpoint; ErrLimit
// where the tenant has endpoint.MaxKeys.
func (s *Store) CreateKey(ctx context.Context, k endpoint.APIKey, terms endpoint.Terms) (endpoint.Revision, error) {
	it, err := keyItem(&k)
	if err != nil {
		return 0, err
	}
	return s.create(ctx, it, endpoint.MaxKeys, endpoint.Terms{Once: terms.Once}) // endpoints are counted
}

// KeyByDigest looks a credential up: from memory, as long as the feed of
// changes is fresh, else with one read. There is endpoint.ErrNotFound; whether
// the key is good is its reader's to say.
func (s *Store) KeyByDigest(ctx context.Context, digest endpoint.Key) (endpoint.APIKey, error) {
	return read[endpoint.APIKey](ctx, s, subject.KeyAPIKey(digest))
}

// KeyByID reads an API key by its id, as the leader has it now.
func (s *Store) KeyByID(ctx context.Context, tenant, id string) (endpoint.APIKey, error) {
	key, err := s.lookUp(ctx, tenant, subject.NounKey, id)
	if err != nil {
		return endpoint.APIKey{}, err
	}
	return current[endpoint.APIKey](ctx, s, key)
}

// UpdateKey replaces the version at k.Revision, as UpdateEndpoint does. The
// secret cannot change.
func (s *Store) UpdateKey(ctx context.Context, k endpoint.APIKey) (endpoint.Revision, error) {
	it, err := keyItem(&k)
	if err != nil {
		return 0, err
	}
	return s.replace(ctx, it, k.Revision)
}

// DeleteKey removes the API key if it is at k.Revision (0: at any).
func (s *Store) DeleteKey(ctx context.Context, k endpoint.APIKey) error {
	key, err := s.lookUp(ctx, k.Tenant, subject.NounKey, k.ID)
	if err != nil {
		return err
	}
	_, err = s.remove(ctx, item{tenant: k.Tenant, noun: subject.NounKey, id: k.ID, key: key}, k.Revision)
	return err
}

// Keys is Endpoints for API keys.
func (s *Store) Keys(ctx context.Context, tenant, cursor string, limit int) ([]endpoint.APIKey, string, error) {
	return page[endpoint.APIKey](ctx, s, tenant, subject.NounKey, cursor, limit)
}

func keyItem(k *endpoint.APIKey) (item, error) {
	k.V = version
	return newItem(k.Tenant, subject.NounKey, k.ID, subject.KeyAPIKey(k.Digest()), indexLine{Key: k.Digest()}, k)
}
