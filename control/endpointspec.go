package control

import (
	"fmt"
	"strings"

	"patchbay/actors/endpoint"
)

// specOf returns what an owner may set of an endpoint, as it is stored.
func specOf(ep endpoint.Endpoint) EndpointSpec {
	spec := EndpointSpec{
		Name: ep.Name, IsActive: ep.IsActive, Handler: ep.Handler,
		MaxConcurrentCalls: ep.MaxConcurrentCalls, MaxCallsPerSecond: ep.MaxCallsPerSecond, CapPolicy: ep.CapPolicy, EarlyPolicy: ep.EarlyPolicy,
		Auth:  AuthSpec{Mode: ep.Auth.Mode, Username: ep.Auth.Username, PasswordSetAt: ep.Auth.PasswordSetAt},
		Media: ep.Media, CallerID: ep.CallerID, SendAs: ep.SendAs,
		AcceptRefer: ep.AcceptRefer, CallerIDTrusted: ep.CallerIDTrusted, Transfer: ep.Transfer, Perm: ep.Perm, SubAccount: ep.SubAccount, Compat: ep.Compat,
		IP: ipSpecOf(ep.IP),
	}
	if ep.Register != nil {
		register := registerSpecOf(ep.Register)
		spec.Register = &register
	}
	return spec
}

func ipSpecOf(p endpoint.IPPolicy) IPSpec {
	spec := IPSpec{Mode: p.Mode}
	for _, e := range p.Entries {
		spec.Entries = append(spec.Entries, IPEntrySpec{Raw: e.Raw, Name: e.Name, Description: e.Description, Disabled: !e.Enabled, ACLID: e.ACLID})
	}
	return spec
}

// putEndpoint writes spec over ep; what an owner may not set stays.
func (o *Operations) putEndpoint(spec EndpointSpec, ep *endpoint.Endpoint) ([]endpoint.Problem, error) {
	now := o.Now()
	ep.Name, ep.IsActive, ep.Handler = spec.Name, spec.IsActive, spec.Handler
	ep.MaxConcurrentCalls, ep.MaxCallsPerSecond, ep.CapPolicy = spec.MaxConcurrentCalls, spec.MaxCallsPerSecond, spec.CapPolicy
	ep.EarlyPolicy = spec.EarlyPolicy
	ep.Media, ep.CallerID, ep.SendAs, ep.SubAccount = spec.Media, spec.CallerID, spec.SendAs, spec.SubAccount
	ep.AcceptRefer, ep.CallerIDTrusted, ep.Perm, ep.Compat, ep.UpdatedAt = spec.AcceptRefer, spec.CallerIDTrusted, spec.Perm, spec.Compat, now
	ep.Transfer = spec.Transfer
	var problems []endpoint.Problem
	ep.IP, problems = spec.IP.policy()
	more, err := o.putAuth(spec.Auth, ep)
	if err != nil {
		return nil, err
	}
	problems = append(problems, more...)
	if ep.Register, more, err = o.putRegister(spec.Register, ep, "register."); err != nil {
		return nil, err
	}
	problems = append(problems, more...)
	if len(problems) > 0 && (spec.Auth.Password != "" || spec.Register != nil && spec.Register.Password != "") {
		return problems, nil // of which a password that was not taken would be another
	}
	problems = append(problems, o.undiallableHosts(ep.AcceptRefer)...)
	return append(problems, ep.Validate()...), nil
}

// putAuth writes how callers prove themselves. A password becomes its digests,
// sealed, and is forgotten; without one, those that are there stay.
func (o *Operations) putAuth(spec AuthSpec, ep *endpoint.Endpoint) ([]endpoint.Problem, error) {
	if spec.Mode != endpoint.AuthDigest {
		ep.Auth = endpoint.Auth{Mode: spec.Mode}
		if spec.Password+spec.Username != "" {
			return []endpoint.Problem{{Field: "auth", Code: endpoint.CodeInvalid, Message: "want mode digest with a username or a password"}}, nil
		}
		return nil, nil
	}
	ep.Auth.Mode = spec.Mode
	if ep.Auth.Username = spec.Username; spec.Username == "" {
		ep.Auth.Username = ep.User
	}
	if spec.Password == "" || o.provesSame(ep, spec.Password) {
		return nil, nil
	}
	if problems := endpoint.ValidatePassword("auth.password", spec.Password); len(problems) > 0 {
		return problems, nil
	}
	weak, strong := endpoint.HA1(ep.Auth.Username, o.realm(ep), spec.Password)
	for _, d := range []struct {
		into *endpoint.SecretRef
		ha1  string
	}{{&ep.Auth.HA1MD5, weak}, {&ep.Auth.HA1SHA256, strong}} {
		sealed, err := o.Sealer.Seal(d.ha1)
		if err != nil {
			return nil, fmt.Errorf("seal auth.password: %w", err)
		}
		*d.into = sealed
	}
	now := o.Now()
	ep.Auth.PasswordSetAt = &now
	return nil, nil
}

// realm is what an endpoint's password is for: its domain.
func (o *Operations) realm(ep *endpoint.Endpoint) string { return ep.Domain + "." + o.Domain }

// provesSame reports that the endpoint has that password already: a seal is
// never the same twice, and writing what is there must change nothing.
func (o *Operations) provesSame(ep *endpoint.Endpoint, password string) bool {
	_, strong := endpoint.HA1(ep.Auth.Username, o.realm(ep), password)
	return o.seals(ep.Auth.HA1SHA256, strong)
}

func (s IPSpec) policy() (endpoint.IPPolicy, []endpoint.Problem) {
	p := endpoint.IPPolicy{Mode: s.Mode}
	var problems []endpoint.Problem
	for i, line := range s.Entries {
		entry, err := endpoint.ParseIPEntry(line.Raw)
		if err != nil {
			problems = append(problems, endpoint.Problem{Field: fmt.Sprintf("ip.entries[%d].raw", i), Code: endpoint.CodeInvalid,
				Message: "want an IP address or a CIDR range, without a zone"})
			continue
		}
		entry.Name, entry.Description, entry.Enabled, entry.ACLID = line.Name, line.Description, !line.Disabled, line.ACLID
		p.Entries = append(p.Entries, entry)
	}
	return p, problems
}

// viewOf returns an endpoint as its owner reads it.
func (o *Operations) viewOf(ep endpoint.Endpoint) EndpointView {
	v := EndpointView{ID: ep.ID, NumericID: ep.NumericID, Kind: ep.Kind, LastCallAt: ep.LastCallAt, Slug: ep.Slug.Reveal(),
		User: ep.User, Domain: ep.Domain, ProjectID: ep.ProjectID,
		Origin: ep.Origin, CreatedAt: ep.CreatedAt, UpdatedAt: ep.UpdatedAt, Revision: ep.Revision, EndpointSpec: specOf(ep)}
	if addr, ok := ep.Address(); ok {
		v.Key = addr.Key()
	}
	switch ep.Kind {
	case endpoint.KindSlug:
		v.SIPURI = "sip:" + ep.Slug.Reveal() + "@" + o.Host
	case endpoint.KindAddress, endpoint.KindCredential:
		v.SIPURI = "sip:" + escapeUser(ep.User) + "@" + ep.Domain + "." + o.Domain
	}
	return v
}

// escapeUser writes a user as it stands in a URI (RFC 3261 25.1).
func escapeUser(user string) string {
	var b strings.Builder
	for i := range len(user) {
		c := user[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.!~*'()&=+$,?", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
