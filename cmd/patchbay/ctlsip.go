package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// showSIP prints who answers calls that an account routes itself.
var showSIP = fields(func(v control.AccountView) [][2]string {
	s := v.SIP
	rows := [][2]string{{"tenant", v.Tenant}, {"domain label", s.DomainLabel}, {"own domains", strings.Join(s.CustomDomains, ", ")}, {"ingress", sourcesWord(s.Ingress)}}
	for i, r := range s.Rules {
		pattern := r.ToUserPattern
		if pattern == "" {
			pattern = "(agent_<id>)"
		}
		rows = append(rows, [2]string{fmt.Sprintf("rule %d", i+1), pattern + "  agent " + r.AgentID})
	}
	rows = append(rows, [2]string{"all agents", yesNo(s.AllowAllAgents)})
	if f := s.Fallback; f != nil {
		rows = append(rows, [2]string{"webhook", f.URL}, [2]string{"webhook secret", strings.Join(f.Secrets, ",")})
		if f.TimeoutMs > 0 {
			rows = append(rows, [2]string{"webhook timeout", (time.Duration(f.TimeoutMs) * time.Millisecond).String()})
		}
	}
	return append(rows, [2]string{"startCall agent", s.StartCallAgent})
})

// sipFlags are an account's rules, webhook and domain.
type sipFlags struct {
	label, webhook, secretFile, startCall string
	domains, ingress, rules               []string
	timeout                               time.Duration
	all, noWebhook                        bool
}

func (s *sipFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.label, "domain-label", "", "name of the account's domain under the base domain; once set it stays")
	f.StringSliceVar(&s.domains, "custom-domain", nil, "domain of the account's own that stands for it, replaces all; the operator adds them; none: no such domain")
	f.StringSliceVar(&s.ingress, "ingress", nil, "address or CIDR range that may call the domain; any: every source; none: nobody")
	f.StringArrayVar(&s.rules, "rule", nil, "<agent id> or <agent id>=<pattern>, in this order; may be repeated, replaces all rules")
	f.BoolVar(&s.all, "allow-all-agents", false, "whether agent_<id> as To user reaches that agent")
	f.StringVar(&s.webhook, "webhook", "", "URL that decides where no rule fits")
	f.StringVar(&s.secretFile, "webhook-secret-file", "", "file with the secrets that sign its requests, one a line; -: standard input; none: one is made and shown once")
	f.DurationVar(&s.timeout, "webhook-timeout", 0, "longest wait for its reply; 0: 5s")
	f.BoolVar(&s.noWebhook, "no-webhook", false, "remove the webhook")
	f.StringVar(&s.startCall, "start-call-agent", "", "id of the agent that gets the webhook's startCall")
}

// patch returns what was given, as a merge patch of the account.
func (s *sipFlags) patch(cmd *cobra.Command) (json.RawMessage, error) {
	sip, hook := map[string]any{}, map[string]any{}
	for flag, set := range map[string]func(){
		"domain-label":     func() { sip["domain_label"] = s.label },
		"custom-domain":    func() { sip["custom_domains"] = domainsOf(s.domains) },
		"ingress":          func() { sip["ingress"] = sourcesOf(s.ingress) },
		"rule":             func() { sip["rules"] = rulesOf(s.rules) },
		"allow-all-agents": func() { sip["allow_all_agents"] = s.all },
		"start-call-agent": func() { sip["start_call_agent"] = s.startCall },
		"webhook":          func() { hook["url"] = s.webhook },
		"webhook-timeout":  func() { hook["timeout_ms"] = s.timeout.Milliseconds() },
	} {
		if cmd.Flags().Changed(flag) {
			set()
		}
	}
	if s.secretFile != "" {
		text, err := readSecret(cmd.InOrStdin(), s.secretFile)
		if err != nil {
			return nil, err
		}
		hook["secrets"] = strings.Fields(text)
	}
	switch {
	case s.noWebhook && len(hook) > 0:
		return nil, fmt.Errorf("%w: --no-webhook stands alone", errUsage)
	case s.noWebhook:
		sip["fallback"] = nil
	case len(hook) > 0:
		sip["fallback"] = hook
	}
	if len(sip) == 0 {
		return nil, nil
	}
	return json.Marshal(map[string]any{"sip": sip})
}

// domainsOf reads a list of domains; none is an empty one.
func domainsOf(list []string) []string {
	if len(list) == 1 && list[0] == "none" {
		return []string{}
	}
	return list
}

func rulesOf(list []string) []endpoint.RouteRule {
	rules := make([]endpoint.RouteRule, len(list))
	for i, text := range list {
		rules[i].AgentID, rules[i].ToUserPattern, _ = strings.Cut(text, "=")
	}
	return rules
}

func (r *remote) accountSIP() *cobra.Command {
	var s sipFlags
	cmd := &cobra.Command{Use: "sip [tenant]", Short: "Show or change the account's rules, webhook and domain", Args: cobra.MaximumNArgs(1),
		Example: `  patchbay ctl account sip --domain-label acme --ingress 203.0.113.0/28 --rule '<agent id>=^sales$'
  patchbay ctl account sip --webhook https://route.acme.example/sip
  patchbay ctl account sip acme --custom-domain pbx.acme.example`,
		RunE: func(cmd *cobra.Command, args []string) error {
			patch, err := s.patch(cmd)
			if err != nil {
				return err
			}
			if patch == nil {
				return r.do(cmd, "account", "get", accountRef(args), showSIP)
			}
			return r.do(cmd, "account", "update", control.AccountChange{AccountRef: accountRef(args), Patch: patch}, showSIP)
		}}
	s.register(cmd)
	return cmd
}
