package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
	"patchbay/cluster/subject"
)

func newWebhook(tenant string, n int) endpoint.Webhook {
	return endpoint.Webhook{ID: fmt.Sprintf("hook-%s-%d", tenant, n), Tenant: tenant, URL: "https://hook.example/", Kind: endpoint.WebhookNative, Events: []string{"*"}}
}

func hookIDs(t *testing.T, s *store.Store, tenant string) (ids []string) {
	t.Helper()
	all, err := s.WebhooksOf(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		ids = append(ids, w.ID)
	}
	return ids
}

// TestWhoHasAnEventFindsEveryWebhookOfItsAccount makes, changes and deletes
// webhooks at one node, and wants another to find them as they are then.
func TestWhoHasAnEventFindsEveryWebhookOfItsAccount(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	s := open(t, srv, store.Config{Node: "n1", Decider: true}, store.Observer{})
	far := open(t, srv, store.Config{Node: "n2", Decider: true}, store.Observer{})
	run(t, s)
	run(t, far)
	ctx := t.Context()
	if ids := hookIDs(t, far, "acme"); len(ids) != 0 {
		t.Fatalf("before the first: %v", ids)
	}
	var made []endpoint.Webhook
	for i := range 3 {
		w := newWebhook("acme", i)
		rev, err := s.CreateWebhook(ctx, w, endpoint.Terms{})
		if err != nil {
			t.Fatal(err)
		}
		w.Revision = rev
		made = append(made, w)
	}
	eventually(t, patience, "the far node finds them", func() bool {
		return slices.Equal(hookIDs(t, far, "acme"), []string{"hook-acme-0", "hook-acme-1", "hook-acme-2"})
	})
	if _, err := s.CreateWebhook(ctx, made[0], endpoint.Terms{}); !errors.Is(err, endpoint.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	changed := made[1]
	changed.URL = "https://other.example/"
	if _, err := s.UpdateWebhook(ctx, changed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateWebhook(ctx, changed); !errors.Is(err, endpoint.ErrConflict) {
		t.Errorf("at an old revision: %v", err)
	}
	eventually(t, patience, "the far node has the new URL", func() bool {
		w, err := far.Webhook(ctx, "acme", made[1].ID)
		return err == nil && w.URL == changed.URL
	})
	if err := s.DeleteWebhook(ctx, endpoint.Webhook{Tenant: "acme", ID: made[0].ID, Revision: 1}); !errors.Is(err, endpoint.ErrConflict) {
		t.Errorf("deleted at another revision: %v", err)
	}
	if err := s.DeleteWebhook(ctx, made[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteWebhook(ctx, made[0]); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	eventually(t, patience, "two are left", func() bool { return len(hookIDs(t, far, "acme")) == 2 })
	page, _, err := s.Webhooks(ctx, "acme", "", 10)
	if err != nil || len(page) != 2 || page[0].ID != made[1].ID {
		t.Errorf("listed %+v, %v", page, err)
	}
	if _, err := s.WebhookByID(ctx, "other", made[1].ID); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("another account finds it: %v", err)
	}
	if err := s.DeleteAccount(ctx, endpoint.Account{ID: "x", Tenant: "acme"}); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("an account with webhooks: %v", err)
	}
}

// TestAShardIsMarkedBeforeAnybodyWantsItsEvents is about webhooks and about
// agents that have their own.
func TestAShardIsMarkedBeforeAnybodyWantsItsEvents(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	account(t, s, "globex")
	marked := func() (shards []uint8) {
		all, err := s.HookedShards(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for n, m := range all {
			if m {
				shards = append(shards, uint8(n))
			}
		}
		return shards
	}
	if got := marked(); len(got) != 0 {
		t.Fatalf("at first: %v", got)
	}
	plain := newAgent("globex", 1)
	if _, err := s.CreateAgent(ctx, plain, endpoint.Terms{}); err != nil || len(marked()) != 0 {
		t.Fatalf("an agent without: %v", err)
	}
	url := "https://hook.example/"
	hooked := newAgent("globex", 2)
	hooked.WebhookURL = &url
	if _, err := s.CreateAgent(ctx, hooked, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	want := []uint8{subject.EventShard("globex")}
	if got := marked(); !slices.Equal(got, want) {
		t.Errorf("an agent's own: %v, want %v", got, want)
	}
	if _, err := s.CreateWebhook(ctx, newWebhook("acme", 1), endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	want = append(want, subject.EventShard("acme"))
	slices.Sort(want)
	if got := marked(); !slices.Equal(got, slices.Compact(want)) {
		t.Errorf("a webhook: %v, want %v", got, want)
	}
}

func TestAnAccountHasAHundredWebhooks(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for i := range endpoint.MaxWebhooks {
		if _, err := s.CreateWebhook(t.Context(), newWebhook("acme", i), endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.CreateWebhook(t.Context(), newWebhook("acme", 999), endpoint.Terms{}); !errors.Is(err, store.ErrLimit) {
		t.Errorf("one more: %v", err)
	}
	if n := len(hookIDs(t, s, "acme")); n != endpoint.MaxWebhooks {
		t.Errorf("%d are found", n)
	}
}
