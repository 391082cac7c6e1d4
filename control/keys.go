package control

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"patchbay/actors/endpoint"
)

// A NewKey is the request of key.create.
type NewKey struct {
	Name      string     `json:"name"`
	Kind      string     `json:"kind,omitempty"` // "": native
	Scopes    []string   `json:"scopes"`
	ProjectID string     `json:"project_id,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// A KeyView is an API key as its owner reads it: never with its secret.
type KeyView struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Kind      string            `json:"kind"`
	Prefix    string            `json:"prefix"` // how the secret starts
	Scopes    []string          `json:"scopes"`
	ProjectID string            `json:"project_id,omitempty"`
	CreatedAt time.Time         `json:"created_at"`
	ExpiresAt *time.Time        `json:"expires_at,omitempty"`
	RevokedAt *time.Time        `json:"revoked_at,omitempty"`
	Revision  endpoint.Revision `json:"revision"`
}

// A MadeKey answers key.create. Secret is shown here and nowhere else.
type MadeKey struct {
	KeyView
	Secret string `json:"secret"`
}

// CreateKey makes an API key. It can do no more than the key that asks for it.
func (o *Operations) CreateKey(ctx context.Context, tenant string, in NewKey) (MadeKey, error) {
	if before, err := o.repeated(ctx, tenant); err != nil || before.ID != "" {
		return o.keyAgain(ctx, tenant, before, err)
	}
	k, secret, err := o.newKey(ctx, tenant, in)
	if err != nil {
		return MadeKey{}, err
	}
	terms := o.terms(ctx, tenant, nil)
	if terms.Once.Key != "" {
		note, err := o.Sealer.Seal(secret)
		if err != nil {
			return MadeKey{}, fmt.Errorf("create key: %w", err)
		}
		terms.Once.Note = string(note)
	}
	if k.Revision, err = o.Store.CreateKey(ctx, k, terms); err != nil {
		if before, err := repeatOf(err); err == nil {
			return o.keyAgain(ctx, tenant, before, nil)
		}
		return MadeKey{}, fmt.Errorf("create key: %w", err)
	}
	return MadeKey{keyViewOf(k), secret}, nil
}

// newKey makes the key that in asks for, and its secret.
func (o *Operations) newKey(ctx context.Context, tenant string, in NewKey) (endpoint.APIKey, string, error) {
	cred := callOf(ctx, tenant).cred
	if in.ProjectID == "" {
		in.ProjectID = cred.ProjectID
	}
	if in.Kind == "" {
		in.Kind = cred.keyKind()
	}
	now := o.Now()
	k := endpoint.APIKey{V: 1, Tenant: tenant, Name: in.Name, CreatedAt: now, APIToken: endpoint.APIToken{ID: NewUUID(),
		ProjectID: in.ProjectID, Kind: in.Kind, Scopes: in.Scopes, ExpiresAt: in.ExpiresAt}}
	if problems := k.Validate(); len(problems) > 0 {
		return k, "", invalidAll(problems)
	}
	if err := cred.mayGive(&k); err != nil {
		return k, "", err
	}
	if in.ProjectID != "" {
		if err := o.projectExists(ctx, tenant, in.ProjectID); err != nil {
			return k, "", err
		}
	}
	var random [32]byte
	_, _ = rand.Read(random[:])
	secret := endpoint.NewKeySecret(k.Kind, random)
	k.SetSecret(secret)
	return k, secret, nil
}

// keyKind is the kind of the keys that a credential makes unless told otherwise.
func (c Credential) keyKind() string {
	if c.Kind == endpoint.KindOfYappr {
		return c.Kind
	}
	return endpoint.KindOfNative
}

// mayGive refuses a key that may more than the credential: a scope, another
// project's limits, or none of Yappr's.
func (c Credential) mayGive(k *endpoint.APIKey) error {
	for _, scope := range k.Scopes {
		if !c.Allows(scope) && !c.Allows(ourWord[scope]) {
			return &Error{Code: CodeForbidden, Message: "a key gives no scope that it lacks: " + scope}
		}
	}
	switch {
	case c.ProjectID != "" && k.ProjectID != c.ProjectID:
		return &Error{Code: CodeForbidden, Message: "the key of a project makes keys of that project"}
	case c.Kind == endpoint.KindOfYappr && k.Kind != c.Kind:
		return &Error{Code: CodeForbidden, Message: "a key of the kind yappr makes keys of that kind"}
	}
	return nil
}

// ourWord is what a vendor's scope grants.
var ourWord = map[string]string{endpoint.ScopeYapprRead: endpoint.ScopeEndpointsRead, endpoint.ScopeYapprManage: endpoint.ScopeEndpointsManage}

// keyAgain answers a creation that was made before as it was answered then.
func (o *Operations) keyAgain(ctx context.Context, tenant string, before endpoint.Repeat, err error) (MadeKey, error) {
	var k endpoint.APIKey
	if err == nil {
		k, err = o.Store.KeyByID(ctx, tenant, before.ID)
	}
	if err != nil {
		return MadeKey{}, again(err)
	}
	// Who repeats the request may not be who made it.
	if err := callOf(ctx, tenant).cred.mayGive(&k); err != nil {
		return MadeKey{}, err
	}
	secret, err := o.Sealer.Open(endpoint.SecretRef(before.Note))
	if err != nil {
		return MadeKey{}, fmt.Errorf("create key: %w", err)
	}
	return MadeKey{keyViewOf(k), secret}, nil
}

// GetKey returns one API key.
func (o *Operations) GetKey(ctx context.Context, tenant string, in ID) (KeyView, error) {
	return got(ctx, tenant, in, "key", o.Store.KeyByID, keyViewOf)
}

// ListKeys returns one page of the tenant's API keys, oldest first.
func (o *Operations) ListKeys(ctx context.Context, tenant string, in PageRequest) (Page[KeyView], error) {
	return listed(ctx, tenant, in, "keys", o.Store.Keys, keyViewOf)
}

// RevokeKey ends an API key for good. Every node refuses it within 2 s.
// Revoking it again changes nothing.
func (o *Operations) RevokeKey(ctx context.Context, tenant string, in Target) (KeyView, error) {
	if err := in.check(); err != nil {
		return KeyView{}, err
	}
	k, err := o.Store.KeyByID(ctx, tenant, in.ID)
	switch {
	case err != nil:
		return KeyView{}, fmt.Errorf("revoke key %s: %w", in.ID, err)
	case in.stale(k.Revision):
		return KeyView{}, fmt.Errorf("revoke key %s: %w", in.ID, endpoint.ErrConflict)
	case k.RevokedAt != nil:
		return keyViewOf(k), nil
	}
	now := o.Now()
	k.RevokedAt = &now
	if k.Revision, err = o.Store.UpdateKey(ctx, k); err != nil {
		return KeyView{}, fmt.Errorf("revoke key %s: %w", in.ID, err)
	}
	return keyViewOf(k), nil
}

// DeleteKey removes an API key that was revoked or has expired from the list.
func (o *Operations) DeleteKey(ctx context.Context, tenant string, in Target) (Deleted, error) {
	if err := in.check(); err != nil {
		return Deleted{}, err
	}
	k, err := o.Store.KeyByID(ctx, tenant, in.ID)
	switch {
	case err != nil:
		return Deleted{}, fmt.Errorf("delete key %s: %w", in.ID, err)
	case in.stale(k.Revision):
		return Deleted{}, fmt.Errorf("delete key %s: %w", in.ID, endpoint.ErrConflict)
	case k.Live(o.Now()):
		return Deleted{}, &Error{Code: CodeConflict, Message: "the key is good: revoke it first"}
	}
	if err := o.Store.DeleteKey(ctx, k); err != nil {
		return Deleted{}, fmt.Errorf("delete key %s: %w", in.ID, err)
	}
	return Deleted{in.ID}, nil
}

func keyViewOf(k endpoint.APIKey) KeyView {
	return KeyView{ID: k.ID, Name: k.Name, Kind: k.Kind, Prefix: k.Prefix, Scopes: k.Scopes, ProjectID: k.ProjectID,
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, Revision: k.Revision}
}
