package endpoint

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Limits of what an object is made of. One that makes use of many of them may
// be larger than the bucket takes, 64 KiB, and is refused there.
const (
	MaxName           = 200   // bytes
	MaxText           = 2048  // bytes of a URL or another parameter
	MaxIPEntries      = 256   // lines of an allowlist
	MaxCompat         = 64    // vendors' fields kept verbatim
	MaxDocument       = 16384 // bytes of one JSON document kept verbatim
	MaxConcurrent     = 100_000
	MaxCallsPerSecond = 10_000
	maxIPEntryText    = 64
	maxStoredCompat   = 2 * MaxDocument
	currentVersion    = 1
)

// handlerWords are all vendors' words for who answers. Those that are not
// served are stored, and their calls refused with handler_not_supported.
var handlerWords = []string{"", HandlerAgent, HandlerAIAgent, "route_rules", "application", "relay_topic",
	"relay_context", "relay_application", "relay_connector", "relay_script", "laml_webhooks", "laml_application",
	"dialogflow", "video_room", "call_flow", "default", "passthrough", "block-pstn", "resource"}

// Validate returns every mistake that keeps the endpoint from being stored.
func (e *Endpoint) Validate() []Problem {
	var ps problems
	ps.between("v", int64(e.V), currentVersion, currentVersion)
	ps.uuid("id", e.ID)
	ps.tenant("tenant", e.Tenant)
	ps.text("name", e.Name, 1, MaxName)
	e.validateAddress(&ps)
	e.IP.validate(&ps, "ip")
	e.Handler.validate(&ps)
	if e.MaxConcurrentCalls != nil {
		ps.between("max_concurrent_calls", int64(*e.MaxConcurrentCalls), 1, MaxConcurrent)
	}
	if e.MaxCallsPerSecond != nil {
		ps.between("max_calls_per_second", int64(*e.MaxCallsPerSecond), 1, MaxCallsPerSecond)
	}
	e.AcceptRefer.validate(&ps, false)
	ps.word("cap_policy", string(e.CapPolicy), "", string(CapShare), string(CapStrict), string(CapOpen))
	ps.text("caller_id", e.CallerID, 0, MaxName)
	ps.optional("send_as", e.SendAs, MaxName)
	if e.SubAccount != nil {
		ps.text("sub_account", *e.SubAccount, 1, MaxName)
	}
	e.validateAuth(&ps)
	e.Media.validate(&ps)
	e.Transfer.validate(&ps, "transfer")
	e.EarlyPolicy.validate(&ps)
	ps.word("origin", e.Origin, origins...)
	ps.compat("compat", e.Compat)
	return ps
}

func (e *Endpoint) validateAddress(ps *problems) {
	switch e.Kind {
	case KindSlug:
		if _, err := ParseSlug(e.Slug.Reveal()); err != nil {
			p := err.(Problem) // ParseSlug returns nothing else
			ps.add("slug", p.Code, "%s", p.Message)
		}
	case KindAddress, KindCredential:
		e.validateUser(ps)
	case KindRegister:
		e.validateRegister(ps)
	case KindDomain:
		e.validateDomain(ps)
	default:
		ps.word("kind", string(e.Kind), string(KindSlug), string(KindAddress), string(KindCredential), string(KindRegister), string(KindDomain))
		return
	}
	if e.Kind != KindSlug && e.Slug != "" {
		ps.add("slug", CodeInvalid, "an address of kind %q has none", e.Kind)
	}
	if e.Kind != KindRegister && e.Register != nil {
		ps.add("register", CodeInvalid, "belongs to endpoints of kind %q", KindRegister)
	}
	if e.NumericID != "" && !IsNumericID(e.NumericID) {
		ps.add("numeric_id", CodeInvalid, "want %d digits", NumericDigits)
	}
	ps.text("user", e.User, 0, MaxName)
	ps.text("domain", e.Domain, 0, MaxName)
	ps.text("auth.username", e.Auth.Username, 0, MaxName)
}

func (e *Endpoint) validateRegister(ps *problems) {
	if e.Register == nil {
		ps.add("register", CodeRequired, "want the server and the username to register with")
		return
	}
	e.Register.validate(ps, "register.")
}

// validateDomain checks a domain of its own: its label, and the user at it, or
// "*" for all.
func (e *Endpoint) validateDomain(ps *problems) {
	if !isLabel(e.Domain) || len(e.Domain) > MaxLabel {
		ps.add("domain", CodeInvalid, "want a label of 1 to %d lower-case letters, digits and hyphens", MaxLabel)
	}
	if e.User == "" || strings.ContainsAny(e.User, " @/") {
		ps.add("user", CodeInvalid, "want * or 1 to %d bytes without space, / and @", MaxName)
	}
}

// validateUser checks the address of a user at an account's domain. Domain is
// the account's label.
func (e *Endpoint) validateUser(ps *problems) {
	if e.User == "" || strings.ContainsAny(e.User, " @/") {
		ps.add("user", CodeInvalid, "want 1 to %d bytes without space, / and @", MaxName)
	}
	if !isLabel(e.Domain) || len(e.Domain) > MaxLabel {
		ps.add("domain", CodeRequired, "want the account's sip.domain_label to be set first")
	}
}

func (p IPPolicy) validate(ps *problems, at string) {
	switch p.Mode {
	case IPAny, IPList, IPNone:
	case "":
		ps.add(at+".mode", CodeRequired, "want any, list or none")
	default:
		ps.add(at+".mode", CodeInvalid, "want any, list or none")
	}
	if len(p.Entries) > MaxIPEntries {
		ps.add(at+".entries", CodeTooMany, "%d entries, want at most %d", len(p.Entries), MaxIPEntries)
		return
	}
	for i, entry := range p.Entries {
		field := fmt.Sprintf("%s.entries[%d]", at, i)
		ps.text(field+".name", entry.Name, 0, MaxName)
		ps.text(field+".description", entry.Description, 0, MaxName)
		ps.optional(field+".acl_id", entry.ACLID, MaxName)
		if len(entry.Raw) > maxIPEntryText {
			ps.add(field+".raw", CodeTooLong, "want at most %d bytes", maxIPEntryText)
			continue
		}
		prefix, ok := parsePrefix(entry.Raw)
		switch {
		case !ok:
			ps.add(field+".raw", CodeInvalid, "want an IP address or a CIDR range, without a zone")
		case prefix != entry.Prefix:
			ps.add(field+".prefix", CodeInvalid, "want %s, as raw says", prefix)
		}
	}
}

func (h *Handler) validate(ps *problems) {
	if !ps.word("handler.active", h.Active, handlerWords...) {
		return
	}
	switch h.Active {
	case HandlerAgent:
		ps.boundAgent("handler.agent_id", h.AgentID)
	case HandlerAIAgent:
		ps.boundAgent("handler.ai_agent_id", h.AIAgentID)
	}
	for _, f := range []struct {
		name  string
		value *string
	}{
		{"application_id", h.ApplicationID}, {"resource_id", h.ResourceID},
		{"request_url", h.RequestURL}, {"request_method", h.RequestMethod},
		{"fallback_url", h.FallbackURL}, {"fallback_method", h.FallbackMethod},
		{"status_url", h.StatusURL}, {"status_method", h.StatusMethod},
		{"laml_app_id", h.LamlAppID}, {"dialogflow_agent_id", h.DialogflowAgentID},
		{"relay_topic", h.RelayTopic}, {"relay_topic_status_url", h.RelayTopicStatusURL},
		{"relay_context", h.RelayContext}, {"relay_context_status_url", h.RelayContextStatus},
		{"relay_application", h.RelayApplication}, {"video_room_id", h.VideoRoomID},
		{"flow_id", h.FlowID}, {"flow_version", h.FlowVersion}, {"script_url", h.ScriptURL},
	} {
		ps.optional("handler."+f.name, f.value, MaxText)
	}
}

func (ps *problems) boundAgent(field string, id *string) {
	if id == nil {
		ps.add(field, CodeRequired, "want the UUID of an agent")
		return
	}
	ps.uuid(field, *id)
}

func (ps *problems) compat(field string, fields map[string]json.RawMessage) {
	if len(fields) > MaxCompat {
		ps.add(field, CodeTooMany, "%d fields, want at most %d", len(fields), MaxCompat)
	}
	total := 0
	for name, raw := range fields {
		total += len(name) + len(raw)
		if strings.TrimSpace(name) == "" || !json.Valid(raw) {
			ps.add(field, CodeInvalid, "want names and JSON values")
			return
		}
	}
	if total > maxStoredCompat {
		ps.add(field, CodeTooLong, "%d bytes, want at most %d", total, maxStoredCompat)
	}
}
