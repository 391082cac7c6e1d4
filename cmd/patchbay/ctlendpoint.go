package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

func (r *remote) endpoints() *cobra.Command {
	cmd := &cobra.Command{Use: "endpoint", Aliases: []string{"endpoints"}, Short: "Addresses that carriers dial"}
	cmd.AddCommand(r.endpointCreate(), r.get("endpoint", showEndpoint), r.endpointList(),
		r.endpointUpdate(), r.remove("endpoint"))
	return cmd
}

var listEndpoints = table("ID\tNAME\tACTIVE\tANSWERS\tSOURCES\tCALLS\tKEY", func(v control.EndpointView) []any {
	return []any{v.ID, v.Name, yesNo(v.IsActive), handlerWord(v.Handler), sourcesWord(v.IP), capWord(v.MaxConcurrentCalls), v.Key}
})

var showEndpoint = fields(func(v control.EndpointView) [][2]string {
	return [][2]string{{"id", v.ID}, {"name", v.Name}, {"sip uri", v.SIPURI}, {"key", string(v.Key)}, {"active", yesNo(v.IsActive)},
		{"answers", handlerWord(v.Handler)}, {"sources", sourcesWord(v.IP)}, {"concurrent calls", capWord(v.MaxConcurrentCalls)},
		{"calls per second", capWord(v.MaxCallsPerSecond)}, {"before the answer", earlyWord(v.EarlyPolicy)}, {"last call", lastCall(v)}, {"calls so far", totalsWord(v.Totals)},
		{"revision", strconv.FormatUint(uint64(v.Revision), 10)}}
})

func lastCall(v control.EndpointView) string {
	if v.LastCallAt == nil {
		return ""
	}
	return v.LastCallAt.Format(time.RFC3339)
}

func totalsWord(t *control.Totals) string {
	if t == nil {
		return ""
	}
	return fmt.Sprintf("%d, and %d rejected", t.Calls, t.Rejected)
}

func handlerWord(h endpoint.Handler) string {
	switch {
	case h.Active == "":
		return "nobody"
	case h.Active == endpoint.HandlerAgent && h.AgentID != nil:
		return "agent " + *h.AgentID
	}
	return h.Active
}

func sourcesWord(ip control.IPSpec) string {
	if ip.Mode != endpoint.IPList {
		return string(ip.Mode)
	}
	if len(ip.Entries) == 0 {
		return "list, empty"
	}
	raw := make([]string, len(ip.Entries))
	for i, e := range ip.Entries {
		if raw[i] = e.Raw; e.Disabled {
			raw[i] += " (disabled)"
		}
	}
	return strings.Join(raw, ",")
}

// earlyWord says what callers hear before the answer.
func earlyWord(p endpoint.EarlyPolicy) string {
	switch {
	case p.EarlyMedia == endpoint.EarlyRingback:
		return p.EarlyMedia + " " + p.Tone()
	case p.EarlyMedia == endpoint.EarlyAgent && p.EarlyMediaEnd == endpoint.EarlyReject:
		return fmt.Sprintf("%s, rejected after %v", p.EarlyMedia, p.Limit())
	case p.EarlyMedia == endpoint.EarlyAgent:
		return fmt.Sprintf("%s, answered after %v", p.EarlyMedia, p.Limit())
	}
	return ""
}

func capWord(n *int) string {
	if n == nil {
		return "no limit"
	}
	return strconv.Itoa(*n)
}

// endpointFlags are what can be set by flag; everything else goes by --spec.
type endpointFlags struct {
	name, agent, spec string
	sources           []string
	calls, cps        int
	active            bool
	early, tone       string
}

func (e *endpointFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&e.name, "name", "", "name for people")
	f.StringVar(&e.agent, "agent", "", "id of the agent that answers")
	f.StringSliceVar(&e.sources, "source", nil, "address or CIDR range that may call; any: every source; none: nobody")
	f.IntVar(&e.calls, "max-calls", 0, "calls at once; 0: no limit")
	f.IntVar(&e.cps, "max-cps", 0, "calls a second; 0: no limit")
	f.BoolVar(&e.active, "active", true, "whether calls are taken")
	f.StringVar(&e.early, "early-media", "", "what the caller hears before the answer: none, ringback or agent")
	f.StringVar(&e.tone, "ringback-tone", "", "of ringback: us, eu or uk")
	f.StringVar(&e.spec, "spec", "", "further fields as JSON, see docs/control-api.md")
}

// patch returns the fields whose flags were given, as a merge patch.
func (e *endpointFlags) patch(cmd *cobra.Command) (json.RawMessage, error) {
	doc, err := readSpec(e.spec)
	if err != nil {
		return nil, err
	}
	for flag, set := range map[string]func(){
		"name":      func() { doc["name"] = e.name },
		"agent":     func() { doc["handler"] = endpoint.Handler{Active: endpoint.HandlerAgent, AgentID: &e.agent} },
		"source":    func() { doc["ip"] = sourcesOf(e.sources) },
		"max-calls": func() { doc["max_concurrent_calls"] = orNull(e.calls) },
		"max-cps":   func() { doc["max_calls_per_second"] = orNull(e.cps) },
		"active":    func() { doc["is_active"] = e.active },

		"early-media":   func() { doc["early_media"] = e.early },
		"ringback-tone": func() { doc["ringback_tone"] = e.tone },
	} {
		if cmd.Flags().Changed(flag) {
			set()
		}
	}
	return json.Marshal(doc)
}

func orNull(n int) any {
	if n == 0 {
		return nil
	}
	return n
}

func sourcesOf(list []string) control.IPSpec {
	if len(list) == 1 && (list[0] == string(endpoint.IPAny) || list[0] == string(endpoint.IPNone)) {
		return control.IPSpec{Mode: endpoint.IPMode(list[0])}
	}
	spec := control.IPSpec{Mode: endpoint.IPList}
	for _, raw := range list {
		spec.Entries = append(spec.Entries, control.IPEntrySpec{Raw: raw})
	}
	return spec
}

func (r *remote) endpointCreate() *cobra.Command {
	var e endpointFlags
	var in control.NewEndpoint
	var kind string
	cmd := &cobra.Command{Use: "create", Short: "Make an endpoint; its slug is made by the server", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			patch, err := e.patch(cmd)
			if err != nil {
				return err
			}
			in.Kind, in.Spec = endpoint.Kind(kind), patch
			return r.do(cmd, "endpoint", "create", in, showEndpoint)
		}}
	e.register(cmd)
	cmd.Flags().StringVar(&in.SlugPrefix, "prefix", "", "readable start of the slug, 1 to 12 characters")
	cmd.Flags().StringVar(&in.User, "user", "", "user at the account's domain, instead of a slug")
	cmd.Flags().StringVar(&kind, "kind", "", "slug, address, credential, register or domain; empty: slug, or address where there is a user")
	cmd.Flags().StringVar(&in.Domain, "domain", "", "of kind domain: its label")
	cmd.Flags().StringVar(&in.ProjectID, "project", "", "project that it is of; empty: the account's first")
	return cmd
}

// endpointList narrows the list by what an owner looks for.
func (r *remote) endpointList() *cobra.Command {
	var in control.EndpointQuery
	var kinds []string
	var active bool
	cmd := &cobra.Command{Use: "list", Short: "List them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, kind := range kinds {
				in.Kinds = append(in.Kinds, endpoint.Kind(kind))
			}
			if cmd.Flags().Changed("active") {
				in.IsActive = &active
			}
			return r.do(cmd, "endpoint", "list", in, listEndpoints)
		}}
	f := cmd.Flags()
	f.IntVar(&in.Limit, "limit", 0, "how many at most")
	f.StringVar(&in.Cursor, "cursor", "", "where the page before ended")
	f.BoolVar(&in.Newest, "newest", false, "the newest first")
	f.StringSliceVar(&kinds, "kind", nil, "of these kinds: slug, address, credential, register, domain")
	f.StringVar(&in.ProjectID, "project", "", "of this project")
	f.StringVar(&in.AgentID, "agent", "", "that this agent answers")
	f.StringVar(&in.NameContains, "name", "", "whose name has this in it")
	f.StringVar(&in.UserPrefix, "user", "", "whose user begins so")
	f.BoolVar(&active, "active", false, "that take calls; --active=false: that do not")
	return cmd
}

func (r *remote) endpointUpdate() *cobra.Command {
	var e endpointFlags
	var revision uint64
	cmd := &cobra.Command{Use: "update <id>", Short: "Change an endpoint; its slug stays", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			patch, err := e.patch(cmd)
			if err != nil {
				return err
			}
			return r.do(cmd, "endpoint", "update",
				control.Change{ID: args[0], Revision: endpoint.Revision(revision), Patch: patch}, showEndpoint)
		}}
	e.register(cmd)
	cmd.Flags().Uint64Var(&revision, "revision", 0, "only when it is still at this revision")
	return cmd
}
