package store

import (
	"context"
	"fmt"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// AgentTenant returns the tenant whose agents the id has been of for longest, or
// endpoint.ErrNotFound. Tenants may choose their agents' ids, and the subjects of
// an agent's workers have nothing else: a later agent of the same id, as two
// creations at one moment could make, gets no workers.
func (s *Store) AgentTenant(ctx context.Context, id string) (string, error) {
	if id == "" || subject.Token(id) != id {
		return "", fmt.Errorf("agent %q: %w", id, endpoint.ErrNotFound)
	}
	entries, err := s.agentEntries(ctx, []string{id})
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

// newAgents refuses ids that agents of other tenants have, with
// endpoint.ErrExists: calls to such an agent would go to their workers.
func (s *Store) newAgents(ctx context.Context, agents ...endpoint.Agent) error {
	whose := map[string]string{}
	var ids []string
	for _, a := range agents {
		if a.Revision == 0 {
			whose[a.ID] = subject.Token(a.Tenant)
			ids = append(ids, a.ID)
		}
	}
	for len(ids) > 0 {
		part := ids[:min(len(ids), maxIDs)]
		ids = ids[len(part):]
		entries, err := s.agentEntries(ctx, part)
		if err != nil {
			return fmt.Errorf("write agents: %w", err)
		}
		for _, e := range entries {
			if id := subject.IDOfIndex(e.key); !e.gone() && subject.TenantOfIndex(e.key) != whose[id] {
				return fmt.Errorf("write agent %s: %w", id, endpoint.ErrExists)
			}
		}
	}
	return nil
}

// agentEntries are the entries of agents in the index, of all tenants, in the
// order of their creation.
func (s *Store) agentEntries(ctx context.Context, ids []string) ([]stored, error) {
	subjects := make([]string, len(ids))
	for i, id := range ids {
		subjects[i] = s.prefix + subject.IndexAnywhere(subject.NounAgent, id)
	}
	return s.getMany(ctx, directQuery{Batch: len(ids) * maxNamesakes, MultiLast: subjects})
}

// How many ids are asked about at once, and how many tenants' agents of each are
// looked at, those that were deleted within the last hour among them. A server
// answers about 1,024 at once.
const (
	maxIDs       = 50
	maxNamesakes = 20
)
