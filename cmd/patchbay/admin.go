package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
	"patchbay/control"
	"patchbay/internal/keys"
	"patchbay/internal/pause"
)

// verify says what a key may do.
func (g *ground) verify(ctx context.Context, key string) (control.Credential, error) {
	return control.Verify(ctx, g.store, key, time.Now())
}

// firstAgain is the pause between two tries to make the first account while the
// store does not take it.
const firstAgain = 500 * time.Millisecond

// firstAccount makes the operator's account at first start, and sees that this
// node's admin key is one of its keys. A JetStream that is slow to take them is
// waited for until ctx ends.
func (g *ground) firstAccount(ctx context.Context) error {
	admin, made, err := keys.EnsureAdmin(filepath.Join(g.cfg.Node.DataDir, "admin.key"))
	if err != nil {
		return fmt.Errorf("admin key: %w", err)
	}
	return patiently(ctx, func() error {
		err := g.storeFirst(ctx, admin.Reveal(), made)
		if errors.Is(err, store.ErrUnavailable) {
			g.log.Info("waiting for the store to take the first account", "reason", err.Error())
		}
		return err
	})
}

// patiently does what may be done twice again while the store is not available,
// until ctx ends.
func patiently(ctx context.Context, do func() error) error {
	for {
		err := do()
		if !errors.Is(err, store.ErrUnavailable) || !pause.For(ctx, firstAgain) {
			return err
		}
	}
}

// storeFirst may be done again where its outcome is not known.
func (g *ground) storeFirst(ctx context.Context, admin string, made bool) error {
	now := time.Now()
	_, err := g.store.CreateAccount(ctx, endpoint.Account{V: 1, ID: control.NewUUID(), Tenant: endpoint.OperatorTenant, Name: "Default",
		Refusal: endpoint.RefuseUniform, CreatedAt: now, UpdatedAt: now}, endpoint.Terms{})
	if err != nil && !errors.Is(err, endpoint.ErrExists) {
		return fmt.Errorf("account %s: %w", endpoint.OperatorTenant, err)
	}
	k := endpoint.APIKey{V: 1, Tenant: endpoint.OperatorTenant, Name: "admin of " + g.cfg.Node.Name, CreatedAt: now,
		APIToken: endpoint.APIToken{ID: control.NewUUID(), Kind: endpoint.KindOfNative, Scopes: []string{endpoint.ScopeAll}}}
	k.SetSecret(admin)
	if made { // the file was lost: whoever owns the data directory is the operator
		if err := g.revokeAdmin(ctx, k, now); err != nil {
			return fmt.Errorf("revoke the lost admin key: %w", err)
		}
	}
	_, err = g.store.CreateKey(ctx, k, endpoint.Terms{})
	switch {
	case errors.Is(err, store.ErrLimit):
		g.log.Warn("admin key not stored: the account has as many keys as it may", "err", err)
		return nil
	case err != nil && !errors.Is(err, endpoint.ErrExists): // known already, revoked perhaps
		return fmt.Errorf("admin key: %w", err)
	}
	return nil
}

// revokeAdmin ends this node's admin keys of before mine.
func (g *ground) revokeAdmin(ctx context.Context, mine endpoint.APIKey, now time.Time) error {
	all, _, err := g.store.Keys(ctx, endpoint.OperatorTenant, "", store.MaxPage)
	if err != nil {
		return err
	}
	for _, k := range all {
		if k.Name != mine.Name || k.RevokedAt != nil || k.Digest() == mine.Digest() {
			continue
		}
		k.RevokedAt = &now
		if _, err := g.store.UpdateKey(ctx, k); err != nil {
			return err
		}
	}
	return nil
}
