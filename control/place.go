package control

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"patchbay/actors/endpoint"
)

// place gives a new endpoint its project, its origin, and its address.
func place(ep *endpoint.Endpoint, in NewEndpoint, acct *endpoint.Account) error {
	if in.ProjectID != "" && acct.Project(in.ProjectID) == nil {
		return invalid("project_id", "unknown", "no such project")
	}
	if ep.Origin = in.Origin; in.Origin == "" {
		ep.Origin = endpoint.KindOfNative
	}
	if ep.ProjectID, ep.Kind = in.ProjectID, in.Kind; in.Kind == "" {
		if ep.Kind = endpoint.KindSlug; in.User != "" {
			ep.Kind = endpoint.KindAddress
		}
	}
	if in.SlugPrefix != "" && ep.Kind != endpoint.KindSlug {
		return invalid("slug_prefix", endpoint.CodeInvalid, fmt.Sprintf("an endpoint of kind %.20q has no slug", ep.Kind))
	}
	if in.Domain != "" && ep.Kind != endpoint.KindDomain {
		return invalid("domain", endpoint.CodeInvalid, "belongs to endpoints of kind domain")
	}
	return address(ep, in, acct)
}

// address gives a new endpoint what its kind is dialled by: a slug, a user at
// the account's domain, or a domain. One of kind register has neither.
func address(ep *endpoint.Endpoint, in NewEndpoint, acct *endpoint.Account) error {
	ep.User = in.User
	switch ep.Kind {
	case endpoint.KindSlug:
		return newSlug(ep, in.SlugPrefix)
	case endpoint.KindAddress:
		ep.Domain = acct.SIP.DomainIdentifier
	case endpoint.KindCredential:
		ep.Domain, ep.NumericID = acct.SIP.DomainIdentifier, newNumericID()
	case endpoint.KindDomain:
		if ep.Domain = in.Domain; in.User == "" {
			ep.User = "*"
		}
	}
	return nil
}

// defaultPrefix starts the slug of an endpoint whose owner named none.
const defaultPrefix = "ep"

func newSlug(ep *endpoint.Endpoint, prefix string) error {
	if ep.User != "" {
		return invalid("user", endpoint.CodeInvalid, "an endpoint of kind slug has no user")
	}
	if prefix == "" {
		prefix = defaultPrefix
	}
	var random [endpoint.SlugSecret]byte
	_, _ = rand.Read(random[:])
	slug, err := endpoint.NewSlug(prefix, random)
	if err != nil {
		return problemOf(err)
	}
	ep.Slug = slug
	return nil
}

// newNumericID returns a random id of digits.
func newNumericID() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return endpoint.NewNumericID(binary.BigEndian.Uint64(b[:]))
}

// newlyNamed refuses a handler that names an agent or application which the
// tenant does not have, unless it named it before: one that was deleted since
// must not stand in the way of other changes.
func (o *Operations) newlyNamed(ctx context.Context, tenant string, before, after endpoint.Handler) error {
	if id := after.Agent(); id != "" && id != before.Agent() {
		return o.agentExists(ctx, tenant, after)
	}
	return nil
}
