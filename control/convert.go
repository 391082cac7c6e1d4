package control

import (
	"fmt"
	"strings"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/internal/keys"
)

// specOf returns what an owner may set of an endpoint, as it is stored.
func specOf(ep endpoint.Endpoint) EndpointSpec {
	spec := EndpointSpec{
		Name: ep.Name, IsActive: ep.IsActive, Handler: ep.Handler,
		MaxConcurrentCalls: ep.MaxConcurrentCalls, MaxCallsPerSecond: ep.MaxCallsPerSecond, CapPolicy: ep.CapPolicy,
		Auth: AuthSpec{Mode: ep.Auth.Mode}, Media: ep.Media, CallerID: ep.CallerID, SendAs: ep.SendAs,
		CallerIDTrusted: ep.CallerIDTrusted, Perm: ep.Perm, Compat: ep.Compat,
		IP: ipSpecOf(ep.IP),
	}
	return spec
}

func ipSpecOf(p endpoint.IPPolicy) IPSpec {
	spec := IPSpec{Mode: p.Mode}
	for _, e := range p.Entries {
		spec.Entries = append(spec.Entries, IPEntrySpec{Raw: e.Raw, Name: e.Name, Description: e.Description, Disabled: !e.Enabled})
	}
	return spec
}

// put writes spec over ep; what an owner may not set stays.
func (spec EndpointSpec) put(ep *endpoint.Endpoint, now time.Time) []endpoint.Problem {
	ep.Name, ep.IsActive, ep.Handler = spec.Name, spec.IsActive, spec.Handler
	ep.MaxConcurrentCalls, ep.MaxCallsPerSecond, ep.CapPolicy = spec.MaxConcurrentCalls, spec.MaxCallsPerSecond, spec.CapPolicy
	ep.Auth.Mode, ep.Media, ep.CallerID, ep.SendAs = spec.Auth.Mode, spec.Media, spec.CallerID, spec.SendAs
	ep.CallerIDTrusted, ep.Perm, ep.Compat = spec.CallerIDTrusted, spec.Perm, spec.Compat
	ep.UpdatedAt = now
	var problems []endpoint.Problem
	ep.IP, problems = spec.IP.policy()
	return append(problems, ep.Validate()...)
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
		entry.Name, entry.Description, entry.Enabled = line.Name, line.Description, !line.Disabled
		p.Entries = append(p.Entries, entry)
	}
	return p, problems
}

// viewOf returns an endpoint as its owner reads it.
func (o *Operations) viewOf(ep endpoint.Endpoint) EndpointView {
	v := EndpointView{ID: ep.ID, Kind: ep.Kind, LastCallAt: ep.LastCallAt, Slug: ep.Slug.Reveal(), User: ep.User, ProjectID: ep.ProjectID,
		Origin: ep.Origin, CreatedAt: ep.CreatedAt, UpdatedAt: ep.UpdatedAt, Revision: ep.Revision, EndpointSpec: specOf(ep)}
	if addr, ok := ep.Address(); ok {
		v.Key = addr.Key()
	}
	v.SIPURI = "sip:" + ep.Slug.Reveal() + "@" + o.Host
	if ep.Kind == endpoint.KindAddress {
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

func agentSpecOf(a endpoint.Agent) AgentSpec {
	t := a.WebRTC
	return AgentSpec{
		Name: a.Name, IsActive: a.IsActive, MaxDurationMs: a.MaxDurationMs, JoinTimeoutMs: a.JoinTimeoutMs, Failover: a.Failover,
		DTMF: a.DTMF, TrustCallerID: a.TrustCallerID, ContextSchema: a.ContextSchema, CallTemplate: a.CallTemplate,
		WebhookURL: a.WebhookURL, WebhookEvents: a.WebhookEvents, Metadata: a.Metadata,
		WebRTC: TransportSpec{Connector: t.Connector, Dialect: t.Dialect, URL: t.URL, AuthType: t.AuthType,
			SecretSet: t.AuthSecret != "", Headers: t.Headers, Codecs: t.Codecs, TimeoutMs: t.TimeoutMs, Attempts: t.Attempts,
			Session: t.Session, DataChannel: t.DataChannel, OnClose: t.OnClose, CallTools: t.CallTools,
			NoSilence: t.NoSilence, NoMetadata: t.NoMetadata},
	}
}

// put writes spec over a. A new secret is sealed; without one the old stays,
// and auth_type "" removes it.
func (spec AgentSpec) put(a *endpoint.Agent, seal func(string) (endpoint.SecretRef, error), now time.Time) ([]endpoint.Problem, error) {
	secret := a.WebRTC.AuthSecret
	t := spec.WebRTC
	switch {
	case t.AuthType == "":
		secret = ""
	case len(t.AuthSecret) > keys.MaxSecret:
		return []endpoint.Problem{{Field: "webrtc.auth_secret", Code: endpoint.CodeTooLong,
			Message: fmt.Sprintf("want at most %d bytes", keys.MaxSecret)}}, nil
	case t.AuthSecret != "":
		sealed, err := seal(t.AuthSecret)
		if err != nil {
			return nil, fmt.Errorf("seal webrtc.auth_secret: %w", err)
		}
		secret = sealed
	}
	a.Failover = spec.Failover
	a.Name, a.IsActive, a.MaxDurationMs, a.JoinTimeoutMs = spec.Name, spec.IsActive, spec.MaxDurationMs, spec.JoinTimeoutMs
	a.DTMF, a.TrustCallerID, a.ContextSchema, a.CallTemplate = spec.DTMF, spec.TrustCallerID, spec.ContextSchema, spec.CallTemplate
	a.WebhookURL, a.WebhookEvents, a.Metadata = spec.WebhookURL, spec.WebhookEvents, spec.Metadata
	a.WebRTC = endpoint.AgentTransport{Connector: t.Connector, Dialect: t.Dialect, URL: t.URL, AuthType: t.AuthType,
		AuthSecret: secret, Headers: t.Headers, Codecs: t.Codecs, TimeoutMs: t.TimeoutMs, Attempts: t.Attempts,
		Session: t.Session, DataChannel: t.DataChannel, OnClose: t.OnClose, CallTools: t.CallTools,
		NoSilence: t.NoSilence, NoMetadata: t.NoMetadata}
	a.UpdatedAt = now
	problems := a.Validate()
	if t.AuthType == "" && t.AuthSecret != "" {
		problems = append(problems, endpoint.Problem{Field: "webrtc.auth_secret", Code: endpoint.CodeInvalid,
			Message: "want auth_type bearer with it"})
	}
	return problems, nil
}

func agentViewOf(a endpoint.Agent) AgentView {
	return AgentView{ID: a.ID, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, Revision: a.Revision, AgentSpec: agentSpecOf(a)}
}

func accountViewOf(a endpoint.Account) AccountView {
	v := AccountView{ID: a.ID, Tenant: a.Tenant, Name: a.Name, Refusal: a.Refusal, Revision: a.Revision, SIP: sipSpecOf(a.SIP)}
	if len(a.Projects) > 0 {
		v.Limits = a.Projects[0].Limits
	}
	return v
}
