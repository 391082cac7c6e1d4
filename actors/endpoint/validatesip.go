package endpoint

import (
	"fmt"
	"slices"
)

// Limits of an account's webhook.
const (
	MaxWebhookSecrets = 10
	MaxWebhookSecret  = 120 // bytes of one, before it is sealed
	MaxLabel          = 63  // of a domain (RFC 1035 2.3.1)
	MaxDomain         = 253 // characters of a domain
	MaxDomains        = 20  // of an account's own
	minWebhookMs      = 100
)

// validate checks an account's SIP settings.
func (s *SipSettings) validate(ps *problems) {
	if s.DomainIdentifier != "" && (len(s.DomainIdentifier) > MaxLabel || !isLabel(s.DomainIdentifier)) {
		ps.add("sip.domain_label", CodeInvalid, "want at most %d lower-case letters, digits and hyphens", MaxLabel)
	}
	s.validateDomains(ps)
	if s.Ingress.Mode != "" || len(s.Ingress.Entries) > 0 {
		s.Ingress.validate(ps, "sip.ingress")
	}
	if len(s.Rules) > MaxRules {
		ps.add("sip.rules", CodeTooMany, "%d rules, want at most %d", len(s.Rules), MaxRules)
		return
	}
	for i := range s.Rules {
		field := fmt.Sprintf("sip.rules[%d]", i)
		ps.uuid(field+".agent_id", s.Rules[i].AgentID)
		s.Rules[i].validate(ps, field+".to_user_pattern")
	}
	if s.StartCallAgent != "" {
		ps.uuid("sip.start_call_agent", s.StartCallAgent)
	}
	if s.Fallback != nil {
		s.Fallback.validate(ps)
	}
	ps.names("sip.default_codecs", s.DefaultCodecs)
	ps.names("sip.default_ciphers", s.DefaultCiphers)
	ps.word("sip.default_encryption", s.DefaultEncryption, "", EncryptionOptional, EncryptionForbidden, EncryptionRequired)
	ps.optional("sip.default_send_as", s.DefaultSendAs, MaxName)
	ps.word("sip.outbound_policy", s.OutboundPolicy, "", "passthrough", "block-pstn")
}

func (s *SipSettings) validateDomains(ps *problems) {
	if n := len(s.CustomDomains); n > MaxDomains {
		ps.add("sip.custom_domains", CodeTooMany, "%d domains, want at most %d", n, MaxDomains)
		return
	}
	if len(s.CustomDomains) > 0 && s.DomainIdentifier == "" {
		ps.add("sip.domain_label", CodeRequired, "a domain of the account's own stands for the one of its label")
	}
	for i, domain := range s.CustomDomains {
		switch field := fmt.Sprintf("sip.custom_domains[%d]", i); {
		case !IsDomain(domain):
			ps.add(field, CodeInvalid, "want the name of a domain, in lower case, with at least two labels")
		case slices.Contains(s.CustomDomains[:i], domain):
			ps.add(field, CodeDuplicate, "it is there twice")
		}
	}
}

func (r *RouteRule) validate(ps *problems, field string) {
	if n := len([]rune(r.ToUserPattern)); n > MaxPattern {
		ps.add(field, CodeTooLong, "%d characters, want at most %d", n, MaxPattern)
		return
	}
	if _, ok := compile(r.pattern()); !ok {
		ps.add(field, CodeInvalid, "want an RE2 pattern of moderate size, without look-around and back-references")
	}
}

func (f *FallbackHandler) validate(ps *problems) {
	switch {
	case f.URL == "":
		ps.add("sip.fallback.url", CodeRequired, "want the URL of the webhook")
	case len(f.URL) > MaxText:
		ps.add("sip.fallback.url", CodeTooLong, "%d bytes, want at most %d", len(f.URL), MaxText)
	case !isHTTP(f.URL):
		ps.add("sip.fallback.url", CodeInvalid, "want http:// or https:// with a host and without credentials")
	}
	switch n := len(f.Secrets); {
	case n == 0:
		ps.add("sip.fallback.secrets", CodeRequired, "want 1 to %d secrets", MaxWebhookSecrets)
	case n > MaxWebhookSecrets:
		ps.add("sip.fallback.secrets", CodeTooMany, "%d secrets, want at most %d", n, MaxWebhookSecrets)
	}
	if f.TimeoutMs != 0 {
		ps.between("sip.fallback.timeout_ms", int64(f.TimeoutMs), minWebhookMs, MaxWebhookMs)
	}
}

// Timeout is the longest wait for the webhook's reply, in milliseconds.
func (f *FallbackHandler) Timeout() int64 {
	if f.TimeoutMs <= 0 {
		return DefaultWebhookMs
	}
	return int64(min(f.TimeoutMs, MaxWebhookMs))
}
