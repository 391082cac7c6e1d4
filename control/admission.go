package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"patchbay/actors/endpoint"
)

// An Admission is what a program that shows an API key may do on NATS.
type Admission struct {
	Tenant     string
	Key        string    // the key's id
	Whole      bool      // all that the tenant may
	Operations []string  // noun.verb, that the key's scopes allow
	Events     []string  // kinds of events that they allow: what the types begin with
	Agent      string    // whose worker the program is; "": nobody's
	Until      time.Time // when the key expires; zero: never
}

// Admissions decide who gets into NATS by an API key.
type Admissions struct {
	Operations *Operations
	Keys       Directory
	// AgentTenant returns the account whose agents an id has been of for longest:
	// ids are their owners' to choose, and a worker's subjects have nothing else.
	AgentTenant func(ctx context.Context, agent string) (tenant string, err error)
}

// workerName begins the name that the worker of an agent shows.
const workerName = "worker."

// eventScopes are what a key needs to hear a kind of events.
var eventScopes = map[string]string{"call": endpoint.ScopeCallsRead, "agent": endpoint.ScopeCallsRead, "dtmf": endpoint.ScopeCallsRead,
	"webhook": endpoint.ScopeWebhooksRead}

// Admit says what a program may do that shows a key, and a name: "", the key's
// id, or worker.<agent id>. It is refused with CodeDenied or CodeForbidden.
func (a *Admissions) Admit(ctx context.Context, name, secret string) (Admission, error) {
	cred, until, err := a.open(ctx, secret)
	if err != nil {
		return Admission{}, err
	}
	in := Admission{Tenant: cred.Tenant, Key: cred.KeyID, Whole: cred.whole(), Until: until,
		Operations: a.Operations.allowed(cred)}
	agent, worker := strings.CutPrefix(name, workerName)
	switch {
	case worker:
		in.Agent = agent
		err = a.mayWork(ctx, cred, agent)
	case name != "" && name != cred.KeyID:
		err = errKey
	}
	if err != nil {
		return Admission{}, err
	}
	for kind, scope := range eventScopes {
		if cred.Allows(scope) {
			in.Events = append(in.Events, kind)
		}
	}
	slices.Sort(in.Events)
	return in, nil
}

// open returns what a key of an account that is there may do, and when it
// expires; zero: never.
func (a *Admissions) open(ctx context.Context, secret string) (Credential, time.Time, error) {
	cred, err := Verify(ctx, a.Keys, secret, a.Operations.Now())
	if err != nil {
		return Credential{}, time.Time{}, err
	}
	if _, err := a.Operations.Known(ctx, cred.Tenant); err != nil {
		return Credential{}, time.Time{}, notKnown(err)
	}
	k, err := a.Keys.KeyByDigest(ctx, endpoint.SecretDigest(secret))
	if err != nil {
		return Credential{}, time.Time{}, notKnown(err)
	}
	if k.ExpiresAt == nil {
		return cred, time.Time{}, nil
	}
	return cred, *k.ExpiresAt, nil
}

// allowed lists the operations that a credential may ask, as noun.verb.
func (o *Operations) allowed(cred Credential) (all []string) {
	for _, op := range o.table() {
		lacks := slices.ContainsFunc(op.scopes, func(s string) bool { return !cred.Allows(s) })
		if !lacks && (!op.operator || cred.Tenant == endpoint.OperatorTenant) {
			all = append(all, op.noun+"."+op.verb)
		}
	}
	return all
}

// whole reports whether it makes no difference to a request by which credential
// of the account it was made.
func (c Credential) whole() bool {
	return c.ProjectID == "" && c.Kind == endpoint.KindOfNative && slices.Contains(c.Scopes, endpoint.ScopeAll)
}

// mayWork refuses who may not answer calls for an agent.
func (a *Admissions) mayWork(ctx context.Context, cred Credential, agent string) error {
	if !cred.Allows(endpoint.ScopeAgentsAnswer) {
		return &Error{Code: CodeForbidden, Message: "the key lacks the scope " + endpoint.ScopeAgentsAnswer}
	}
	if _, err := a.Operations.Store.AgentByID(ctx, cred.Tenant, agent); err != nil {
		return notKnown(err)
	}
	tenant, err := a.AgentTenant(ctx, agent)
	switch {
	case err != nil:
		return notKnown(err)
	case tenant != cred.Tenant:
		return &Error{Code: CodeForbidden, Message: "another account has an agent of this id for longer"}
	}
	return nil
}

// notKnown has what a key needs and is not there look like a wrong key.
func notKnown(err error) error {
	if errors.Is(err, endpoint.ErrNotFound) {
		return errKey
	}
	return fmt.Errorf("look up a key: %w", err)
}

// Good reports whether the key of a digest is still good.
func (a *Admissions) Good(ctx context.Context, digest endpoint.Key) (bool, error) {
	k, err := a.Keys.KeyByDigest(ctx, digest)
	switch {
	case errors.Is(err, endpoint.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look up a key: %w", err)
	}
	return k.Live(a.Operations.Now()), nil
}

// credentialOf is what the key of an id may do: the brokers let nobody name
// another's.
func (o *Operations) credentialOf(ctx context.Context, tenant, key string) (Credential, error) {
	k, err := o.Store.KeyByID(ctx, tenant, key)
	switch {
	case errors.Is(err, endpoint.ErrNotFound):
		return Credential{}, errKey
	case err != nil:
		return Credential{}, fmt.Errorf("look up a key: %w", err)
	case !k.Live(o.Now()):
		return Credential{}, errKey
	}
	return Credential{Tenant: k.Tenant, KeyID: k.ID, ProjectID: k.ProjectID, Kind: k.Kind, Scopes: k.Scopes}, nil
}
