package control

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"patchbay/actors/endpoint"
)

// A SIPSpec is what decides about calls to an account's domain and to
// endpoints with handler route_rules: rules, all agents, the webhook.
type SIPSpec struct {
	DomainLabel    string               `json:"domain_label,omitempty"`   // of <label>.<base domain>; once set it stays
	CustomDomains  []string             `json:"custom_domains,omitempty"` // that stand for it; the operator adds them
	Ingress        IPSpec               `json:"ingress"`                  // who may call the domain; none unless said
	AllowAllAgents bool                 `json:"allow_all_agents"`
	Rules          []endpoint.RouteRule `json:"rules"`
	Fallback       *FallbackSpec        `json:"fallback,omitempty"` // null removes
	StartCallAgent string               `json:"start_call_agent,omitempty"`
	SIPDefaults
	OutgoingFrom string                   `json:"outgoing_from,omitempty"` // whom calls without a trunk may be from: account, or any, which the operator sets
	Transfer     *endpoint.TransferPolicy `json:"transfer,omitempty"`      // how calls are transferred where the carrier takes no REFER; null removes
}

// SIPDefaults are what endpoints have that say nothing of their own.
type SIPDefaults struct {
	DefaultCodecs     []string `json:"default_codecs,omitempty"`     // by name; absent: all that are served
	DefaultCiphers    []string `json:"default_ciphers,omitempty"`    // kept for devices
	DefaultEncryption string   `json:"default_encryption,omitempty"` // optional, forbidden, required
	DefaultSendAs     *string  `json:"default_send_as,omitempty"`    // kept for devices; absent: random
	OutboundPolicy    string   `json:"outbound_policy,omitempty"`    // passthrough, block-pstn; kept for devices
}

// A FallbackSpec is the owner's webhook. Secrets read back as SecretSet, unless
// account.get asks for them. Without any a secret is made, and told in the reply
// to the change that made it.
type FallbackSpec struct {
	URL       string   `json:"url"`
	Secrets   []string `json:"secrets,omitempty"`
	SecretSet bool     `json:"secret_set,omitempty"`
	TimeoutMs int      `json:"timeout_ms,omitempty"` // 0: 5000
}

func sipSpecOf(s endpoint.SipSettings) SIPSpec {
	spec := SIPSpec{DomainLabel: s.DomainIdentifier, CustomDomains: s.CustomDomains, Ingress: ipSpecOf(s.Ingress), AllowAllAgents: s.AllowAllAgents,
		Rules: s.Rules, StartCallAgent: s.StartCallAgent, OutgoingFrom: s.OutgoingFrom, Transfer: s.Transfer,
		SIPDefaults: SIPDefaults{DefaultCodecs: s.DefaultCodecs, DefaultCiphers: s.DefaultCiphers, DefaultEncryption: s.DefaultEncryption,
			DefaultSendAs: s.DefaultSendAs, OutboundPolicy: s.OutboundPolicy}}
	if spec.Ingress.Mode == "" {
		spec.Ingress.Mode = endpoint.IPNone
	}
	if spec.Rules == nil {
		spec.Rules = []endpoint.RouteRule{}
	}
	if f := s.Fallback; f != nil {
		spec.Fallback = &FallbackSpec{URL: f.URL, SecretSet: len(f.Secrets) > 0, TimeoutMs: f.TimeoutMs}
	}
	return spec
}

// putSIP writes spec over an account's settings and returns the secret that it
// had to make, if any. Label and domains are claimed in the same write as the
// account.
func (o *Operations) putSIP(ctx context.Context, a *endpoint.Account, spec SIPSpec) (made string, err error) {
	before := a.SIP
	var problems []endpoint.Problem
	a.SIP.Ingress, problems = spec.Ingress.policy()
	for i := range problems {
		problems[i].Field = "sip.ingress." + problems[i].Field[len("ip."):]
	}
	a.SIP.AllowAllAgents, a.SIP.Rules, a.SIP.StartCallAgent = spec.AllowAllAgents, spec.Rules, spec.StartCallAgent
	a.SIP.DomainIdentifier, a.SIP.CustomDomains = spec.DomainLabel, spec.CustomDomains
	a.SIP.OutgoingFrom, a.SIP.OutboundPolicy, a.SIP.DefaultSendAs, a.SIP.Transfer = spec.OutgoingFrom, spec.OutboundPolicy, spec.DefaultSendAs, spec.Transfer
	a.SIP.DefaultCodecs, a.SIP.DefaultCiphers, a.SIP.DefaultEncryption = spec.DefaultCodecs, spec.DefaultCiphers, spec.DefaultEncryption
	if before.DomainIdentifier != "" && spec.DomainLabel != before.DomainIdentifier {
		problems = append(problems, endpoint.Problem{Field: "sip.domain_label", Code: endpoint.CodeInvalid,
			Message: "it stays " + before.DomainIdentifier + ": what is dialled there must not become another's"})
	}
	if made, err = o.putFallback(a, spec.Fallback, &problems); err != nil {
		return "", err
	}
	problems = append(problems, a.Validate()...)
	problems = append(problems, o.ownDomains(spec.CustomDomains)...)
	if len(problems) == 0 {
		problems, err = o.namedAgents(ctx, a, before)
	}
	switch {
	case err != nil:
		return "", err
	case len(problems) > 0:
		return "", invalidAll(problems)
	}
	if err := o.mayCallAs(ctx, a.Tenant, before.OutgoingFrom, spec.OutgoingFrom); err != nil {
		return "", err
	}
	return made, o.mayAdd(ctx, a.Tenant, before.CustomDomains, spec.CustomDomains)
}

// ownDomains refuses domains that are this cluster's.
func (o *Operations) ownDomains(domains []string) (problems []endpoint.Problem) {
	base, host := strings.ToLower(o.Domain), strings.ToLower(o.Host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	for i, domain := range domains {
		if domain == host || domain == base || strings.HasSuffix(domain, "."+base) {
			problems = append(problems, endpoint.Problem{Field: fmt.Sprintf("sip.custom_domains[%d]", i), Code: endpoint.CodeInvalid,
				Message: "it is this cluster's own"})
		}
	}
	return problems
}

// mayAdd lets the operator alone add domains: calls to a name follow it, and
// nothing here knows whose a name is. An account may leave one behind.
func (o *Operations) mayAdd(ctx context.Context, tenant string, before, after []string) error {
	if callOf(ctx, tenant).cred.Tenant == endpoint.OperatorTenant {
		return nil
	}
	for _, domain := range after {
		if !slices.Contains(before, domain) {
			return &Error{Code: CodeForbidden, Message: "sip.custom_domains are added by the operator, who has to know whose they are"}
		}
	}
	return nil
}

// putFallback writes the webhook. New secrets are sealed; without any the old
// ones stay, and where there is none, one is made.
func (o *Operations) putFallback(a *endpoint.Account, spec *FallbackSpec, problems *[]endpoint.Problem) (made string, err error) {
	if spec == nil {
		a.SIP.Fallback = nil
		return "", nil
	}
	f := &endpoint.FallbackHandler{URL: spec.URL, TimeoutMs: spec.TimeoutMs}
	if a.SIP.Fallback != nil {
		f.Secrets = a.SIP.Fallback.Secrets
	}
	a.SIP.Fallback = f
	secrets := spec.Secrets
	if secrets == nil && len(f.Secrets) == 0 {
		made = newSecret()
		secrets = []string{made}
	}
	if secrets == nil {
		return "", nil
	}
	f.Secrets = make([]endpoint.SecretRef, len(secrets))
	for i, secret := range secrets {
		if secret == "" || len(secret) > endpoint.MaxWebhookSecret {
			*problems = append(*problems, endpoint.Problem{Field: fmt.Sprintf("sip.fallback.secrets[%d]", i), Code: endpoint.CodeInvalid,
				Message: fmt.Sprintf("want 1 to %d bytes", endpoint.MaxWebhookSecret)})
			continue
		}
		if f.Secrets[i], err = o.Sealer.Seal(secret); err != nil {
			return "", fmt.Errorf("seal sip.fallback.secrets: %w", err)
		}
	}
	return made, nil
}

// fallbackSecrets opens what the webhook's requests are signed with, for its
// owner to verify them.
func (o *Operations) fallbackSecrets(f *endpoint.FallbackHandler) ([]string, error) {
	secrets := make([]string, len(f.Secrets))
	for i, sealed := range f.Secrets {
		var err error
		if secrets[i], err = o.Sealer.Open(sealed); err != nil {
			return nil, fmt.Errorf("open sip.fallback.secrets: %w", err)
		}
	}
	return secrets, nil
}

// newSecret returns 256 random bits.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return "whsec_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// namedAgents refuses rules for agents that the tenant does not have. Those
// that were named before are not asked about again: one that has been deleted
// since must not stand in the way of other changes.
func (o *Operations) namedAgents(ctx context.Context, a *endpoint.Account, before endpoint.SipSettings) (problems []endpoint.Problem, err error) {
	known := map[string]bool{"": true, before.StartCallAgent: true}
	for _, r := range before.Rules {
		known[r.AgentID] = true
	}
	check := func(field, id string) {
		if err != nil || known[id] {
			return
		}
		_, lookup := o.Store.AgentByID(ctx, a.Tenant, id)
		switch {
		case lookup == nil:
			known[id] = true
		case errors.Is(lookup, endpoint.ErrNotFound):
			problems = append(problems, endpoint.Problem{Field: field, Code: "unknown", Message: "no such agent"})
		default:
			err = fmt.Errorf("look up agent %s: %w", id, lookup)
		}
	}
	for i, r := range a.SIP.Rules {
		check(fmt.Sprintf("sip.rules[%d].agent_id", i), r.AgentID)
	}
	check("sip.start_call_agent", a.SIP.StartCallAgent)
	return problems, err
}
