package control

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"patchbay/actors/endpoint"
)

// Identities say whose a caller's identity is.
type Identities interface {
	// Owns reports whether the user, a number or one at the domain of the
	// account's label, is the tenant's.
	Owns(ctx context.Context, tenant, label, user string) (bool, error)
}

// undiallable says why no call may be sent to a host; "": it may, so far as its
// spelling tells. A name is looked at again when it has been resolved.
func (o *Operations) undiallable(host string) string {
	addr, err := netip.ParseAddr(host)
	if err != nil || o.Dialable == nil || o.Dialable(addr) == nil {
		return ""
	}
	return "calls may not be sent to this address: see sip.allow_private in the configuration"
}

// undiallableHosts are the hosts of a policy that no call may go to.
func (o *Operations) undiallableHosts(p *endpoint.ReferPolicy) (all []endpoint.Problem) {
	if p == nil {
		return nil
	}
	for i, host := range p.Hosts {
		if why := o.undiallable(host); why != "" {
			all = append(all, endpoint.Problem{Field: fmt.Sprintf("accept_refer.hosts[%d]", i), Code: endpoint.CodeInvalid, Message: why})
		}
	}
	return all
}

// A caller is as whom a call is to be placed.
type caller struct {
	tenant string
	acct   *endpoint.Account
	trunk  *endpoint.Trunk // nil: none
	login  string          // user name of the digest credentials; "": none
	hosts  []string        // where the call goes: of the callee and the trunk
}

// from returns the From URI of a call; "": anonymous. What an account claims to
// be must be its own: a number that leads to an endpoint of it, a user at its
// domain, an identity of the trunk, or the user name by which the callee knows
// it. A trunk with policy any, and an account of which the operator says so,
// may say anything.
func (o *Operations) from(ctx context.Context, c caller, said string) (uri string, problem *endpoint.Problem, err error) {
	user, host, ok := c.read(said)
	switch {
	case !ok:
		return "", wrongFrom(endpoint.CodeInvalid, "want sip:user@host, a number, or nothing"), nil
	case user == "":
		return "", nil, nil
	}
	if problem, err := o.owned(ctx, c, user, host); problem != nil || err != nil {
		return "", problem, err
	}
	return sipURI(user, c.host(o, host)), nil, nil
}

// owned says why an identity is not the caller's.
func (o *Operations) owned(ctx context.Context, c caller, user, host string) (*endpoint.Problem, error) {
	known := c.login != "" && user == c.login
	switch {
	case c.free():
		return nil, nil
	case host != "" && !c.ours(o, host) && !(known && slices.Contains(c.hosts, host)):
		return wrongFrom(endpoint.CodeNotOwned, "its host is neither the account's domain nor where the credentials are good"), nil
	case known, c.trunk != nil && c.trunk.From.Owns(user):
		return nil, nil
	}
	owned, err := o.Identities.Owns(ctx, c.tenant, c.acct.SIP.DomainIdentifier, user)
	switch {
	case err != nil:
		return nil, fmt.Errorf("look up the caller: %w", err)
	case !owned:
		return wrongFrom(endpoint.CodeNotOwned, "it is no number and no user of the account, and no identity of the trunk"), nil
	}
	return nil, nil
}

func wrongFrom(code, message string) *endpoint.Problem {
	return &endpoint.Problem{Field: "from", Code: code, Message: message}
}

func sipURI(user, host string) string { return "sip:" + user + "@" + host }

// read takes what was said apart; where nothing was said, the trunk's default
// counts, then the user name. No user: nobody is named.
func (c caller) read(said string) (user, host string, ok bool) {
	if said == "" {
		if c.trunk != nil && c.trunk.From.Default != "" {
			return c.trunk.From.Default, "", true
		}
		return c.login, "", c.login == "" || endpoint.IsUser(c.login)
	}
	if strings.HasPrefix(strings.ToLower(said), "sip:") {
		t, ok := endpoint.ParseTarget(said)
		return t.User, t.HostPort(), ok
	}
	number, ok := dialable(said)
	return number, "", ok
}

// free reports that the caller may say anything.
func (c caller) free() bool {
	if c.trunk != nil {
		return c.trunk.From.Policy == endpoint.FromAny
	}
	return c.acct.SIP.OutgoingFrom == endpoint.FromAny
}

// host is that of the From URI: as it was said, as the trunk wants it, where
// the credentials are good, else the account's domain, else ours.
func (c caller) host(o *Operations, said string) string {
	switch {
	case said != "":
		return said
	case c.trunk != nil && c.trunk.From.Host != "":
		return hostPort(c.trunk.From.Host, 0)
	case c.login != "" && len(c.hosts) > 0:
		return c.hosts[0]
	case c.acct.SIP.DomainIdentifier != "" && o.Domain != "":
		return c.acct.SIP.DomainIdentifier + "." + o.Domain
	}
	return o.Host
}

// ours reports hosts that stand for the account here.
func (c caller) ours(o *Operations, host string) bool {
	label := c.acct.SIP.DomainIdentifier
	return host == strings.ToLower(o.Host) || label != "" && host == label+"."+strings.ToLower(o.Domain) ||
		slices.Contains(c.acct.SIP.CustomDomains, host) || c.trunk != nil && c.trunk.From.Host != "" && host == c.trunk.From.Host
}

func hostPort(host string, port int) string {
	return endpoint.Target{Host: host, Port: uint16(port)}.HostPort()
}

// dialable reads a number as it is to be dialled: its digits, and the + where
// there was one.
func dialable(said string) (string, bool) {
	digits, ok := endpoint.ParseNumber(strings.ReplaceAll(strings.TrimPrefix(said, "tel:"), " ", ""))
	if strings.Contains(said, "+") {
		digits = "+" + digits
	}
	return digits, ok
}

// mayCallAs lets the operator alone say that an account may call as anybody:
// whom it calls then has this cluster's word for it.
func (o *Operations) mayCallAs(ctx context.Context, tenant, before, after string) error {
	if after == before || after != endpoint.FromAny || callOf(ctx, tenant).cred.Tenant == endpoint.OperatorTenant {
		return nil
	}
	return &Error{Code: CodeForbidden, Message: "sip.outgoing_from any is set by the operator, whose word it is that callers are who they say"}
}
