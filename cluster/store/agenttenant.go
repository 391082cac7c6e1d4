package store

import (
	"context"
	"fmt"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// AgentTenant returns the tenant whose agents the id has been of for longest, or
// endpoint.ErrNotFound. Tenants may choose their agents' ids, and the subjects of
// an agent's workers have nothing else: a later agent of the same id gets no
// workers.
func (s *Store) AgentTenant(ctx context.Context, id string) (string, error) {
	if id == "" || subject.Token(id) != id {
		return "", fmt.Errorf("agent %q: %w", id, endpoint.ErrNotFound)
	}
	entries, err := s.getMany(ctx, directQuery{Batch: MaxPage, MultiLast: []string{s.prefix + subject.IndexAnywhere(subject.NounAgent, id)}})
	if err != nil {
		return "", fmt.Errorf("agent %s: %w", id, err)
	}
	for _, e := range entries { // in the order of their creation
		if !e.gone() {
			return subject.TenantOfIndex(e.key), nil
		}
	}
	return "", fmt.Errorf("agent %s: %w", id, endpoint.ErrNotFound)
}
