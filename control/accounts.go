package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"patchbay/actors/endpoint"
)

// A NewAccount is the request of account.create.
type NewAccount struct {
	Tenant string          `json:"tenant"`         // its name in subjects
	Spec   json.RawMessage `json:"spec,omitempty"` // an AccountSpec over the defaults
}

// An AccountRef names an account. Only the operator may name another than its
// own.
type AccountRef struct {
	Tenant string `json:"tenant,omitempty"` // "": the credential's own
}

// of returns the account that a request is about. Whoever may not name another
// hears the same whether it exists or not.
func (r AccountRef) of(tenant string) (string, error) {
	if r.Tenant == "" || r.Tenant == tenant {
		return tenant, nil
	}
	if tenant != endpoint.OperatorTenant {
		return "", errOperator
	}
	return r.Tenant, nil
}

// CreateAccount makes an account. It has no key yet: key.create on its subject
// makes one.
func (o *Operations) CreateAccount(ctx context.Context, tenant string, in NewAccount) (AccountView, error) {
	if before, err := o.repeated(ctx, tenant); err != nil || before.ID != "" {
		return o.accountAgain(ctx, before, err)
	}
	spec, err := merge(AccountSpec{Name: in.Tenant, Refusal: endpoint.RefuseUniform, SIP: sipSpecOf(endpoint.SipSettings{})}, in.Spec)
	if err != nil {
		return AccountView{}, err
	}
	now := o.Now()
	a := endpoint.Account{V: 1, ID: NewUUID(), Tenant: in.Tenant, CreatedAt: now}
	made, err := o.putAccount(ctx, &a, spec)
	if err != nil {
		return AccountView{}, fmt.Errorf("create account: %w", err)
	}
	if a.Revision, err = o.Store.CreateAccount(ctx, a, o.terms(ctx, tenant, nil)); err != nil {
		if before, err := repeatOf(err); err == nil {
			return o.accountAgain(ctx, before, nil)
		}
		return AccountView{}, fmt.Errorf("create account: %w", err)
	}
	return accountViewOf(a).telling(made), nil
}

func (o *Operations) accountAgain(ctx context.Context, before endpoint.Repeat, err error) (AccountView, error) {
	var a endpoint.Account
	if err == nil {
		a, err = o.Store.Account(ctx, before.ID)
	}
	if err != nil {
		return AccountView{}, again(err)
	}
	return accountViewOf(a), nil
}

// An AccountQuery is the request of account.get.
type AccountQuery struct {
	AccountRef
	Secrets bool `json:"secrets,omitempty"` // those of sip.fallback too, for whoever may change them
}

// GetAccount returns the tenant's account, or another one to the operator.
func (o *Operations) GetAccount(ctx context.Context, tenant string, in AccountQuery) (AccountView, error) {
	name, err := in.of(tenant)
	if err != nil {
		return AccountView{}, err
	}
	if in.Secrets && !callOf(ctx, tenant).cred.Allows(endpoint.ScopeAccountManage) {
		return AccountView{}, &Error{Code: CodeForbidden, Message: "the key lacks the scope " + endpoint.ScopeAccountManage + ", which secrets want"}
	}
	a, err := o.Store.Account(ctx, name)
	if err != nil {
		return AccountView{}, fmt.Errorf("get account: %w", err)
	}
	v := accountViewOf(a)
	if in.Secrets && v.SIP.Fallback != nil {
		v.SIP.Fallback.Secrets, err = o.fallbackSecrets(a.SIP.Fallback)
	}
	return v, err
}

// ListAccounts returns one page of all accounts, oldest first.
func (o *Operations) ListAccounts(ctx context.Context, _ string, in PageRequest) (Page[AccountView], error) {
	limit, err := in.limit()
	if err != nil {
		return Page[AccountView]{}, err
	}
	all, next, err := o.Store.Accounts(ctx, in.Cursor, limit)
	if err != nil {
		return Page[AccountView]{}, fmt.Errorf("list accounts: %w", err)
	}
	page := Page[AccountView]{Items: make([]AccountView, len(all)), Next: next}
	for i, a := range all {
		page.Items[i] = accountViewOf(a)
	}
	return page, nil
}

// An AccountChange is an update of an account.
type AccountChange struct {
	AccountRef
	Revision endpoint.Revision `json:"revision,omitempty"`
	Patch    json.RawMessage   `json:"patch"`
}

// UpdateAccount changes the tenant's account, or another one for the operator.
func (o *Operations) UpdateAccount(ctx context.Context, tenant string, in AccountChange) (AccountView, error) {
	name, err := in.of(tenant)
	if err != nil {
		return AccountView{}, err
	}
	a, err := o.Store.Account(ctx, name)
	if err != nil {
		return AccountView{}, fmt.Errorf("update account: %w", err)
	}
	if in.Revision != 0 && in.Revision != a.Revision {
		return AccountView{}, fmt.Errorf("update account: %w", endpoint.ErrConflict)
	}
	spec, err := merge(accountSpecOf(a), in.Patch)
	if err != nil {
		return AccountView{}, err
	}
	made, err := o.putAccount(ctx, &a, spec)
	if err != nil {
		return AccountView{}, fmt.Errorf("update account: %w", err)
	}
	if a.Revision, err = o.Store.UpdateAccount(ctx, a, endpoint.Terms{}); err != nil {
		return AccountView{}, fmt.Errorf("update account: %w", err)
	}
	return accountViewOf(a).telling(made), nil
}

func accountSpecOf(a endpoint.Account) AccountSpec {
	view := accountViewOf(a)
	return AccountSpec{Name: view.Name, SpaceName: view.SpaceName, Refusal: view.Refusal, Limits: view.Limits, SIP: view.SIP}
}

// putAccount writes spec over a. The limits are those of its first project. It
// returns a secret that had to be made, if any.
func (o *Operations) putAccount(ctx context.Context, a *endpoint.Account, spec AccountSpec) (made string, err error) {
	if len(a.Projects) == 0 {
		a.Projects = []endpoint.Project{{ID: a.ID, Name: spec.Name}}
	}
	a.Name, a.SpaceName, a.Refusal, a.Projects[0].Limits, a.UpdatedAt = spec.Name, spec.SpaceName, spec.Refusal, spec.Limits, o.Now()
	return o.putSIP(ctx, a, spec.SIP)
}

// telling adds a secret that was made just now: nothing tells it again.
func (v AccountView) telling(made string) AccountView {
	if made != "" {
		v.SIP.Fallback.Secrets = []string{made}
	}
	return v
}

// An AccountTarget names an account to delete.
type AccountTarget struct {
	Tenant   string            `json:"tenant"`
	Revision endpoint.Revision `json:"revision,omitempty"`
}

// DeleteAccount removes an account that has neither endpoints nor agents, with
// its keys. The operator's own stays.
func (o *Operations) DeleteAccount(ctx context.Context, _ string, in AccountTarget) (Deleted, error) {
	switch in.Tenant {
	case "":
		return Deleted{}, invalid("tenant", endpoint.CodeRequired, "want the account's name")
	case endpoint.OperatorTenant:
		return Deleted{}, &Error{Code: CodeConflict, Message: "the operator's own account stays"}
	}
	a, err := o.Store.Account(ctx, in.Tenant)
	switch {
	case err != nil:
		return Deleted{}, fmt.Errorf("delete account %s: %w", in.Tenant, err)
	case in.Revision != 0 && in.Revision != a.Revision:
		return Deleted{}, fmt.Errorf("delete account %s: %w", in.Tenant, endpoint.ErrConflict)
	}
	if err := o.Store.DeleteAccount(ctx, a); err != nil {
		return Deleted{}, fmt.Errorf("delete account %s: %w", in.Tenant, err)
	}
	return Deleted{in.Tenant}, nil
}

// account reads the tenant's account for a creation in it.
func (o *Operations) account(ctx context.Context, tenant string) (*endpoint.Account, error) {
	a, err := o.Store.Account(ctx, tenant)
	if errors.Is(err, endpoint.ErrNotFound) {
		return nil, &Error{Code: CodeNotFound, Message: "no such object"}
	}
	if err != nil {
		return nil, fmt.Errorf("read account: %w", err)
	}
	return &a, nil
}
