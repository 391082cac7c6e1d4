package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// CreateWebhook stores a new webhook, as CreateEndpoint does an endpoint.
func (s *Store) CreateWebhook(ctx context.Context, w endpoint.Webhook, terms endpoint.Terms) (endpoint.Revision, error) {
	it, err := webhookItem(&w)
	if err != nil {
		return 0, err
	}
	if err := s.hooked(ctx, w.Tenant); err != nil {
		return 0, fmt.Errorf("write %s: %w", it.key, err)
	}
	it.also = func() ([]op, error) {
		return s.relist(ctx, w.Tenant, func(ids []string) []string { return append(ids, w.ID) })
	}
	return s.create(ctx, it, endpoint.MaxWebhooks, endpoint.Terms{Once: terms.Once})
}

// UpdateWebhook replaces the version at w.Revision, as UpdateEndpoint does.
func (s *Store) UpdateWebhook(ctx context.Context, w endpoint.Webhook) (endpoint.Revision, error) {
	it, err := webhookItem(&w)
	if err != nil {
		return 0, err
	}
	return s.replace(ctx, it, w.Revision)
}

// DeleteWebhook removes the webhook with w's tenant and id if it is at
// w.Revision (0: at any).
func (s *Store) DeleteWebhook(ctx context.Context, w endpoint.Webhook) error {
	it := item{tenant: w.Tenant, noun: subject.NounWebhook, id: w.ID, key: subject.KeyWebhook(w.Tenant, w.ID)}
	indexKey, countKey := subject.KeyIndex(it.tenant, it.noun, it.id), subject.KeyCount(it.tenant, it.noun)
	var list []op
	rev, err := s.attempt(ctx, it, func() (uint64, error) {
		have, err := s.leader(ctx, it.key, indexKey, countKey)
		switch {
		case err != nil:
			return 0, err
		case have[0].gone():
			return 0, endpoint.ErrNotFound
		case w.Revision != 0 && uint64(w.Revision) != have[0].rev:
			return 0, endpoint.ErrConflict
		}
		list, err = s.relist(ctx, w.Tenant, func(ids []string) []string {
			return slices.DeleteFunc(ids, func(id string) bool { return id == w.ID })
		})
		if err != nil {
			return 0, err
		}
		return s.commit(ctx, append(list,
			op{key: indexKey, expect: have[1].rev},
			op{key: countKey, expect: have[2].rev, data: counted(count(have[2]) - 1)},
			op{key: it.key, expect: have[0].rev})...)
	})
	if err == nil {
		s.announce(ctx, list, uint64(rev)-ownOps)
	}
	return err
}

// relist returns the write that changes the list of a tenant's webhooks.
func (s *Store) relist(ctx context.Context, tenant string, change func(ids []string) []string) ([]op, error) {
	key := subject.KeyWebhooks(tenant)
	have, err := s.getLeader(ctx, key)
	if err != nil {
		return nil, err
	}
	list := endpoint.Webhooks{V: version}
	if !have.gone() {
		e, err := decode[endpoint.Webhooks](key, have)
		if err != nil {
			return nil, err
		}
		if list, err = of[endpoint.Webhooks](e); err != nil {
			return nil, err
		}
	}
	list.IDs = change(slices.Clone(list.IDs))
	o := op{key: key, expect: have.rev}
	if len(list.IDs) > 0 {
		o.data, err = encode(&list)
	}
	return []op{o}, err
}

// WebhookByID reads a webhook as the leader has it now.
func (s *Store) WebhookByID(ctx context.Context, tenant, id string) (endpoint.Webhook, error) {
	return current[endpoint.Webhook](ctx, s, subject.KeyWebhook(tenant, id))
}

// Webhooks is Endpoints for webhooks.
func (s *Store) Webhooks(ctx context.Context, tenant, cursor string, limit int) ([]endpoint.Webhook, string, error) {
	return page[endpoint.Webhook](ctx, s, tenant, subject.NounWebhook, cursor, limit)
}

// Webhook reads a webhook from memory where that is fresh.
func (s *Store) Webhook(ctx context.Context, tenant, id string) (endpoint.Webhook, error) {
	return read[endpoint.Webhook](ctx, s, subject.KeyWebhook(tenant, id))
}

// WebhooksOf reads all webhooks of a tenant, from memory where that is fresh.
// That there are none costs no more.
func (s *Store) WebhooksOf(ctx context.Context, tenant string) ([]endpoint.Webhook, error) {
	list, err := read[endpoint.Webhooks](ctx, s, subject.KeyWebhooks(tenant))
	if errors.Is(err, endpoint.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := make([]endpoint.Webhook, 0, len(list.IDs))
	for _, id := range list.IDs {
		w, err := s.Webhook(ctx, tenant, id)
		if errors.Is(err, endpoint.ErrNotFound) { // it has gone since
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

// A marked knows of which shards it is on record that somebody wants their
// events.
type marked [subject.EventShards]atomic.Bool

// hooked puts on record that somebody of a tenant's shard wants events, before
// anybody does: events of other shards are not even looked at.
func (s *Store) hooked(ctx context.Context, tenant string) error {
	shard := subject.EventShard(tenant)
	if s.marked[shard].Load() {
		return nil
	}
	key := subject.KeyHooked(shard)
	have, err := s.getLeader(ctx, key)
	if err == nil && have.gone() {
		if _, err = s.commit(ctx, op{key: key, expect: have.rev, data: counted(1)}); errors.Is(err, errRace) {
			err = nil // somebody else has
		}
	}
	if err == nil {
		s.marked[shard].Store(true)
	}
	return err
}

// hookedAgent does so for an agent that has a webhook of its own.
func (s *Store) hookedAgent(ctx context.Context, a *endpoint.Agent) error {
	if a.WebhookURL == nil {
		return nil
	}
	return s.hooked(ctx, a.Tenant)
}

// HookedShards returns the shards whose events somebody wants, or wanted once,
// as the leader has it.
func (s *Store) HookedShards(ctx context.Context) (shards [subject.EventShards]bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, leaderWait)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.stream)
	if err != nil {
		return shards, unavailable(err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(s.prefix+subject.HookedAll))
	if err != nil {
		return shards, unavailable(err)
	}
	for i := range shards {
		shards[i] = info.State.Subjects[s.prefix+subject.KeyHooked(uint8(i))] > 0
	}
	return shards, nil
}

func webhookItem(w *endpoint.Webhook) (item, error) {
	w.V = version
	return newItem(w.Tenant, subject.NounWebhook, w.ID, subject.KeyWebhook(w.Tenant, w.ID), indexLine{}, w)
}
