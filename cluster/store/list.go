package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// MaxPage is how many objects one page of a list holds at most.
const MaxPage = 200

// ErrCursor says that a cursor is none that a list has returned.
var ErrCursor = errors.New("store: not a cursor of this list")

// Endpoints returns up to limit endpoints of a tenant in the order of their
// creation, from cursor on, and the cursor of the next page: "" at the end.
// What is created meanwhile comes last; nothing is skipped or shown twice.
//
// The server counts, for each page, all that follows; so a list of more than
// one page has the tenant's listing read ahead, by which the next ones go.
func (s *Store) Endpoints(ctx context.Context, tenant, cursor string, limit int) ([]endpoint.Endpoint, string, error) {
	if s.catalogue.whole(tenant) {
		listed, err := s.FindEndpoints(ctx, tenant, endpoint.Filter{}, endpoint.Window{Cursor: cursor, Limit: limit})
		return listed.Items, listed.Next, err
	}
	all, next, err := page[endpoint.Endpoint](ctx, s, tenant, subject.NounEndpoint, cursor, limit)
	if next != "" {
		s.warm(tenant)
	}
	return all, next, err
}

// Agents is Endpoints for agents.
func (s *Store) Agents(ctx context.Context, tenant, cursor string, limit int) ([]endpoint.Agent, string, error) {
	return page[endpoint.Agent](ctx, s, tenant, subject.NounAgent, cursor, limit)
}

// page returns the objects of one page of the tenant's index.
func page[T object](ctx context.Context, s *Store, tenant string, noun subject.Noun, cursor string, limit int) (out []T, next string, err error) {
	next, err = s.walk(ctx, tenant, noun, cursor, limit, func(index []stored) (int, error) {
		got, err := objects[T](ctx, s, tenant, noun, index)
		out = append(out, got...)
		return len(got), err
	})
	return out, next, err
}

// walk reads the tenant's part of the index in the order of its sequences,
// without touching other tenants', until take has found limit objects; take
// says how many each part of the index has brought.
func (s *Store) walk(ctx context.Context, tenant string, noun subject.Noun, cursor string, limit int, take func(index []stored) (int, error)) (string, error) {
	from, err := parseCursor(cursor)
	if err != nil {
		return "", err
	}
	limit = min(max(limit, 1), MaxPage)
	for have := 0; have < limit; {
		want := limit - have
		// One more than wanted says whether there is a next page.
		index, err := s.getMany(ctx, directQuery{
			Seq: from, Batch: want + 1, Next: s.prefix + subject.IndexOf(tenant, noun),
		})
		if err != nil {
			return "", fmt.Errorf("list %s of %s: %w", noun, tenant, err)
		}
		more := len(index) > want
		if more {
			from = index[want].rev
			index = index[:want]
		}
		n, err := take(index)
		if err != nil {
			return "", fmt.Errorf("list %s of %s: %w", noun, tenant, err)
		}
		have += n
		if !more {
			return "", nil
		}
	}
	return strconv.FormatUint(from, 36), nil
}

// objects reads what index entries stand for, in their order; what has gone
// meanwhile is left out.
func objects[T object](ctx context.Context, s *Store, tenant string, noun subject.Noun, index []stored) ([]T, error) {
	var keys []string
	for _, raw := range index {
		if raw.gone() {
			continue
		}
		key, err := target(raw, tenant, noun)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	var out []T
	err := each(ctx, s, keys, func(v T) { out = append(out, v) })
	return out, err
}

// ByIDs returns those of a tenant's agents and endpoints that any replica has
// under the ids, which may be behind what was written a moment ago.
func (s *Store) ByIDs(ctx context.Context, tenant string, agents, eps []string) (map[string]endpoint.Agent, map[string]endpoint.Endpoint, error) {
	foundAgents := make(map[string]endpoint.Agent, len(agents))
	keys := make([]string, len(agents))
	for i, id := range agents {
		keys[i] = subject.KeyAgent(tenant, id)
	}
	if err := each(ctx, s, keys, func(a endpoint.Agent) { foundAgents[a.ID] = a }); err != nil {
		return nil, nil, fmt.Errorf("read agents of %s: %w", tenant, err)
	}
	foundEps := make(map[string]endpoint.Endpoint, len(eps))
	keys = make([]string, len(eps))
	for i, id := range eps {
		keys[i] = subject.KeyIndex(tenant, subject.NounEndpoint, id)
	}
	index, err := s.newest(ctx, keys)
	if err != nil {
		return nil, nil, fmt.Errorf("find endpoints of %s: %w", tenant, err)
	}
	keys = keys[:0]
	for _, raw := range index {
		if raw.gone() {
			continue
		}
		key, err := target(raw, tenant, subject.NounEndpoint)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, key)
	}
	if err := each(ctx, s, keys, func(ep endpoint.Endpoint) { foundEps[ep.ID] = ep }); err != nil {
		return nil, nil, fmt.Errorf("read endpoints of %s: %w", tenant, err)
	}
	return foundAgents, foundEps, nil
}

// each gives what any replica has at the keys to take; what is gone is left out.
func each[T object](ctx context.Context, s *Store, keys []string, take func(T)) error {
	if len(keys) == 0 {
		return nil
	}
	have, err := s.newest(ctx, keys)
	if err != nil {
		return err
	}
	for _, key := range keys {
		raw := have[key]
		if raw.gone() {
			continue
		}
		e, err := decode[T](key, raw)
		if err != nil {
			return err
		}
		v, err := of[T](e)
		if err != nil {
			return err
		}
		take(v)
	}
	return nil
}

func parseCursor(cursor string) (uint64, error) {
	if cursor == "" {
		return 1, nil
	}
	seq, err := strconv.ParseUint(cursor, 36, 64)
	if err != nil || seq == 0 {
		return 0, fmt.Errorf("%w: %.40q", ErrCursor, cursor)
	}
	return seq, nil
}
