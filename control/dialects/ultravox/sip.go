package ultravox

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// maxAllowances is how many entries allowedAgents may have.
const maxAllowances = endpoint.MaxRules

// anywhere is how a policy that admits every source is shown.
const anywhere = "0.0.0.0/0"

// A sipConfig is the SIP configuration of an account.
type sipConfig struct {
	AllowedCIDRRanges []string    `json:"allowedCidrRanges"`
	AllowAllAgents    bool        `json:"allowAllAgents"`
	AllowedAgents     []allowance `json:"allowedAgents"`
	Domain            string      `json:"domain"`
	FallbackHandler   *fallback   `json:"fallbackHandler"`
}

type allowance struct {
	AgentID       string `json:"agentId"`
	ToUserPattern string `json:"toUserPattern"`
}

type fallback struct {
	URL     string   `json:"url"`
	Secrets []string `json:"secrets,omitempty"` // absent: the key may not see them
}

// sipNames are the names of an account's fields.
var sipNames = names{
	"sip.ingress":                 "allowedCidrRanges",
	"sip.ingress.entries.#":       "allowedCidrRanges.#",
	"sip.allow_all_agents":        "allowAllAgents",
	"sip.rules":                   "allowedAgents",
	"sip.rules.#":                 "allowedAgents.#",
	"sip.rules.#.agent_id":        "allowedAgents.#.agentId",
	"sip.rules.#.to_user_pattern": "allowedAgents.#.toUserPattern",
	"sip.fallback":                "fallbackHandler",
	"sip.fallback.url":            "fallbackHandler.url",
	"sip.fallback.secrets":        "fallbackHandler.secrets",
	"sip.fallback.secrets.#":      "fallbackHandler.secrets.#",
}

func getSIP(a *ask) (answer, error) {
	acct, err := a.account()
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: a.config(acct.SIP)}, nil
}

// account reads the key's account, with the webhook's secrets where the key may
// see them. That they are read is noted.
func (a *ask) account() (control.AccountView, error) {
	q := control.AccountQuery{Secrets: a.cred.Allows(endpoint.ScopeAccountManage)}
	acct, err := do[control.AccountView](a, "account", "get", q, sipNames)
	if err == nil && acct.SIP.Fallback != nil && len(acct.SIP.Fallback.Secrets) > 0 {
		a.face.kit.Log.Info("secrets of a webhook were read", "tenant", a.cred.Tenant, "key", a.cred.KeyID,
			"request_id", control.AskedOf(a.http.Context()).RequestID)
	}
	return acct, err
}

// config shows the account's settings.
func (a *ask) config(s control.SIPSpec) sipConfig {
	c := sipConfig{AllowedCIDRRanges: rangesOf(s.Ingress), AllowAllAgents: s.AllowAllAgents, AllowedAgents: make([]allowance, len(s.Rules))}
	for i, rule := range s.Rules {
		c.AllowedAgents[i] = allowanceOf(rule)
	}
	if s.DomainLabel != "" {
		c.Domain = s.DomainLabel + "." + a.face.kit.Domain
	}
	if s.Fallback != nil {
		c.FallbackHandler = &fallback{s.Fallback.URL, s.Fallback.Secrets}
	}
	return c
}

func allowanceOf(r endpoint.RouteRule) allowance {
	if r.ToUserPattern == "" {
		r.ToUserPattern = "^agent_" + r.AgentID + "$"
	}
	return allowance{r.AgentID, r.ToUserPattern}
}

// rangesOf shows an allowlist: its IPv4 ranges. What this API cannot write it
// does not see: IPv6, and entries that are switched off.
func rangesOf(ip control.IPSpec) []string {
	ranges := []string{}
	switch ip.Mode {
	case endpoint.IPAny:
		return append(ranges, anywhere)
	case endpoint.IPList:
		for _, e := range ip.Entries {
			if text := rangeOf(e); text != "" {
				ranges = append(ranges, text)
			}
		}
	}
	return ranges
}

// rangeOf is one entry as a range, as its owner wrote it where that is one; "":
// it cannot be seen.
func rangeOf(e control.IPEntrySpec) string {
	entry, err := endpoint.ParseIPEntry(e.Raw)
	switch {
	case err != nil || e.Disabled || !entry.Prefix.Addr().Is4():
		return ""
	case isRange(e.Raw):
		return e.Raw
	}
	return entry.Prefix.String()
}

// isRange reports an IPv4 address with the length of its mask.
func isRange(text string) bool {
	p, err := netip.ParsePrefix(text)
	return err == nil && p.Addr().Is4()
}

// maxTries is how often a change is made anew where somebody else changed the
// account meanwhile, or has its name.
const maxTries = 5

// patchSIP changes what the body names, and nothing else. What is as it was is
// not touched, so that what other faces wrote in their own way stays.
func patchSIP(a *ask) (answer, error) {
	f, err := a.form()
	if err != nil {
		return answer{}, err
	}
	wish := readSIP(f)
	if err := f.done(); err != nil {
		return answer{}, err
	}
	for try := 0; ; try++ {
		acct, err := a.account()
		if err != nil {
			return answer{}, err
		}
		changed, err := a.change(acct, wish, try)
		if fault, ok := err.(*fault); ok && try < maxTries && (fault.code == control.CodeConflict || fault.code == control.CodeExists) {
			continue
		}
		if err != nil {
			return answer{}, err
		}
		return answer{status: http.StatusOK, body: a.config(changed)}, nil
	}
}

// A sipWish is what a body asks for; nil: nothing of that.
type sipWish struct {
	ranges      *[]string
	allAgents   *bool
	agents      *[]endpoint.RouteRule
	noFallback  bool
	fallback    *fallback
	keepSecrets bool // the webhook's, for none were named
}

func readSIP(f *form) sipWish {
	var w sipWish
	f.ignore("domain")
	if list, ok := f.texts("allowedCidrRanges", 0); ok {
		for i, text := range list {
			if !isRange(text) {
				f.below("allowedCidrRanges").wrong(fmt.Sprint(i), "Enter a valid IPv4 CIDR.")
			}
		}
		w.ranges = &list
	}
	if all, ok := f.flag("allowAllAgents"); ok {
		w.allAgents = &all
	}
	w.agents = readAllowances(f)
	if w.noFallback = f.null("fallbackHandler"); !w.noFallback {
		w.readFallback(f)
	}
	return w
}

func readAllowances(f *form) *[]endpoint.RouteRule {
	items, ok := f.items("allowedAgents")
	if !ok {
		return nil
	}
	if len(items) > maxAllowances {
		f.wrong("allowedAgents", fmt.Sprintf("Ensure this field has no more than %d elements.", maxAllowances))
		return nil
	}
	rules := make([]endpoint.RouteRule, len(items))
	for i, v := range items {
		item, ok := f.inner(v, "allowedAgents", fmt.Sprint(i))
		if !ok {
			continue
		}
		item.need("agentId")
		if id, ok := item.text("agentId", 0); ok {
			if !isUUID(id) {
				item.wrong("agentId", "Must be a valid UUID.")
			}
			rules[i].AgentID = strings.ToLower(id)
		}
		rules[i].ToUserPattern, _ = item.text("toUserPattern", endpoint.MaxPattern)
		item.close()
	}
	return &rules
}

func (w *sipWish) readFallback(f *form) {
	o, ok := f.object("fallbackHandler")
	if !ok {
		return
	}
	o.need("url")
	w.fallback = &fallback{}
	w.fallback.URL, _ = o.text("url", endpoint.MaxText)
	w.keepSecrets = !o.has("secrets")
	if secrets, ok := o.texts("secrets", endpoint.MaxWebhookSecret); ok {
		w.fallback.Secrets = secrets
		switch n := len(secrets); {
		case n == 0:
			o.wrong("secrets", "Ensure this field has at least 1 elements.")
		case n > endpoint.MaxWebhookSecrets:
			o.wrong("secrets", fmt.Sprintf("Ensure this field has no more than %d elements.", endpoint.MaxWebhookSecrets))
		}
	}
	o.close()
}

// change writes what is wished and is not so already, and returns the settings
// as they then are.
func (a *ask) change(acct control.AccountView, w sipWish, try int) (control.SIPSpec, error) {
	patch := map[string]any{}
	now := a.config(acct.SIP)
	if w.ranges != nil && !slices.Equal(*w.ranges, now.AllowedCIDRRanges) {
		next := ingressOf(acct.SIP.Ingress, *w.ranges)
		patch["ingress"] = map[string]any{"mode": next.Mode, "entries": next.Entries} // an empty list, too
	}
	if w.allAgents != nil && *w.allAgents != now.AllowAllAgents {
		patch["allow_all_agents"] = *w.allAgents
	}
	if w.agents != nil {
		if rules, same := rulesOf(acct.SIP.Rules, *w.agents); !same {
			patch["rules"] = rules
		}
	}
	secrets := w.patchFallback(patch, now.FallbackHandler)
	if acct.SIP.DomainLabel == "" {
		patch["domain_label"] = labelFor(acct.Tenant, try)
	}
	if len(patch) == 0 {
		return acct.SIP, nil
	}
	changed, err := do[control.AccountView](a, "account", "update", control.AccountChange{Revision: acct.Revision,
		Patch: raw(map[string]any{"sip": patch})}, sipNames)
	if f := changed.SIP.Fallback; f != nil && f.Secrets == nil {
		f.Secrets = secrets
	}
	return changed.SIP, err
}

// patchFallback adds what is wished of the webhook to a patch, and returns the
// secrets that it then has; nil: one is made.
func (w sipWish) patchFallback(patch map[string]any, now *fallback) (secrets []string) {
	if now != nil {
		secrets = now.Secrets
	}
	switch {
	case w.noFallback && now != nil:
		patch["fallback"] = nil
	case w.fallback == nil:
	case w.keepSecrets:
		if now == nil || now.URL != w.fallback.URL {
			patch["fallback"] = map[string]any{"url": w.fallback.URL}
		}
	default:
		secrets = w.fallback.Secrets
		if now == nil || now.URL != w.fallback.URL || !slices.Equal(now.Secrets, secrets) {
			patch["fallback"] = map[string]any{"url": w.fallback.URL, "secrets": secrets}
		}
	}
	return secrets
}

// ingressOf is the allowlist with other ranges. An entry that is still there
// keeps its name and its spelling; entries that this API does not see stay, but
// for an empty list, which admits nobody.
func ingressOf(now control.IPSpec, ranges []string) control.IPSpec {
	next := control.IPSpec{Mode: endpoint.IPList, Entries: []control.IPEntrySpec{}}
	for _, text := range ranges {
		entry := control.IPEntrySpec{Raw: text}
		if i := slices.IndexFunc(now.Entries, func(e control.IPEntrySpec) bool { return rangeOf(e) == text }); i >= 0 {
			entry = now.Entries[i]
		}
		next.Entries = append(next.Entries, entry)
	}
	if len(ranges) == 0 || now.Mode != endpoint.IPList {
		return next
	}
	for _, e := range now.Entries {
		if rangeOf(e) == "" {
			next.Entries = append(next.Entries, e)
		}
	}
	return next
}

// rulesOf are the rules that are wished; one that shows as it did keeps its
// spelling.
func rulesOf(now, wished []endpoint.RouteRule) (rules []endpoint.RouteRule, same bool) {
	rules = slices.Clone(wished)
	for i, w := range rules {
		if at := slices.IndexFunc(now, func(r endpoint.RouteRule) bool { return allowanceOf(r) == allowanceOf(w) }); at >= 0 {
			rules[i] = now[at]
		}
	}
	return rules, slices.Equal(rules, now)
}

// labelFor is the name that an account without a domain gets: its own, or
// where that is another's, one like it.
func labelFor(tenant string, try int) string {
	if try == 0 {
		return tenant
	}
	return fmt.Sprintf("%.50s-%s", tenant, control.NewUUID()[:8])
}
