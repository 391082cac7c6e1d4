package main

import (
	"encoding/json"
	"strconv"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

var showAccount = fields(func(v control.AccountView) [][2]string {
	return [][2]string{{"tenant", v.Tenant}, {"name", v.Name}, {"refusal", string(v.Refusal)},
		{"creates per day", capWord(orNil(v.Limits.EndpointCreatesPerDay))}, {"revision", strconv.FormatUint(uint64(v.Revision), 10)}}
})

var listAccounts = table("TENANT\tNAME\tREFUSAL\tCALLS\tCREATES A DAY", func(v control.AccountView) []any {
	return []any{v.Tenant, v.Name, v.Refusal, capWord(orNil(v.Limits.MaxConcurrentCalls)), capWord(orNil(v.Limits.EndpointCreatesPerDay))}
})

func orNil(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

func (r *remote) account() *cobra.Command {
	cmd := &cobra.Command{Use: "account", Aliases: []string{"accounts"}, Short: "The account itself; for the operator: all accounts"}
	get := &cobra.Command{Use: "get [tenant]", Short: "Show the account", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, "account", "get", accountRef(args), showAccount)
		}}
	cmd.AddCommand(get, r.accountCreate(), r.accountUpdate(), r.list("account", listAccounts), r.accountDelete(), r.accountSIP(), r.projects())
	return cmd
}

func accountRef(args []string) control.AccountRef {
	if len(args) == 0 {
		return control.AccountRef{}
	}
	return control.AccountRef{Tenant: args[0]}
}

// accountFlags are what can be set by flag.
type accountFlags struct {
	name, refusal                 string
	calls, cps, perDay, perMinute int
}

func (a *accountFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.name, "name", "", "name for people")
	f.StringVar(&a.refusal, "refusal", "", "what refused carriers learn: uniform, as a new account has it, or explicit")
	f.IntVar(&a.calls, "max-calls", 0, "calls at once of all its endpoints; 0: no limit")
	f.IntVar(&a.cps, "max-cps", 0, "calls a second of all its endpoints; 0: no limit")
	f.IntVar(&a.perDay, "creates-per-day", 0, "endpoints it may create in a UTC day; 0: no limit")
	f.IntVar(&a.perMinute, "api-per-minute", 0, "control requests it may make a minute, at each control node; 0: no limit")
}

// patch returns the fields whose flags were given, as a merge patch.
func (a *accountFlags) patch(cmd *cobra.Command) (json.RawMessage, error) {
	doc, limits := map[string]any{}, map[string]any{}
	for flag, set := range map[string]func(){
		"name":            func() { doc["name"] = a.name },
		"refusal":         func() { doc["refusal"] = a.refusal },
		"max-calls":       func() { limits["max_concurrent_calls"] = orNull(a.calls) },
		"max-cps":         func() { limits["cps"] = orNull(a.cps) },
		"creates-per-day": func() { limits["endpoint_creates_per_day"] = orNull(a.perDay) },
		"api-per-minute":  func() { limits["api_per_minute"] = orNull(a.perMinute) },
	} {
		if cmd.Flags().Changed(flag) {
			set()
		}
	}
	if len(limits) > 0 {
		doc["limits"] = limits
	}
	return json.Marshal(doc)
}

func (r *remote) accountCreate() *cobra.Command {
	var a accountFlags
	cmd := &cobra.Command{Use: "create <tenant>", Short: "Make an account; for the operator", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			patch, err := a.patch(cmd)
			if err != nil {
				return err
			}
			return r.do(cmd, "account", "create", control.NewAccount{Tenant: args[0], Spec: patch}, showAccount)
		}}
	a.register(cmd)
	return cmd
}

func (r *remote) accountUpdate() *cobra.Command {
	var a accountFlags
	var revision uint64
	cmd := &cobra.Command{Use: "update [tenant]", Short: "Change the account", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			patch, err := a.patch(cmd)
			if err != nil {
				return err
			}
			return r.do(cmd, "account", "update",
				control.AccountChange{AccountRef: accountRef(args), Revision: endpoint.Revision(revision), Patch: patch}, showAccount)
		}}
	a.register(cmd)
	cmd.Flags().Uint64Var(&revision, "revision", 0, "only when it is still at this revision")
	return cmd
}

func (r *remote) accountDelete() *cobra.Command {
	return &cobra.Command{Use: "delete <tenant>", Short: "Remove an account without endpoints and agents; for the operator", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, "account", "delete", control.AccountTarget{Tenant: args[0]}, done("deleted"))
		}}
}

var showProject = fields(func(v control.ProjectView) [][2]string {
	return [][2]string{{"id", v.ID}, {"name", v.Name}, {"concurrent calls", capWord(orNil(v.Limits.MaxConcurrentCalls))},
		{"calls per second", capWord(orNil(v.Limits.CPS))}, {"creates per day", capWord(orNil(v.Limits.EndpointCreatesPerDay))}}
})

func (r *remote) projects() *cobra.Command {
	cmd := &cobra.Command{Use: "project", Aliases: []string{"projects"}, Short: "Parts of the account with limits of their own"}
	var spec string
	create := &cobra.Command{Use: "create <name>", Short: "Add a project", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			patch, err := named(args[0], spec)
			if err != nil {
				return err
			}
			return r.do(cmd, "project", "create", control.NewProject{Spec: patch}, showProject)
		}}
	update := &cobra.Command{Use: "update <id>", Short: "Change a project", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			patch, err := named("", spec)
			if err != nil {
				return err
			}
			return r.do(cmd, "project", "update", control.Change{ID: args[0], Patch: patch}, showProject)
		}}
	for _, c := range []*cobra.Command{create, update} {
		c.Flags().StringVar(&spec, "spec", "", "further fields as JSON, see docs/control-api.md")
	}
	list := &cobra.Command{Use: "list", Short: "List them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.do(cmd, "project", "list", struct{}{}, table("ID\tNAME\tCALLS\tCREATES A DAY", func(v control.ProjectView) []any {
				return []any{v.ID, v.Name, capWord(orNil(v.Limits.MaxConcurrentCalls)), capWord(orNil(v.Limits.EndpointCreatesPerDay))}
			}))
		}}
	cmd.AddCommand(create, update, list, r.get("project", showProject), r.remove("project"))
	return cmd
}

// named puts a name, if there is one, into a JSON object.
func named(name, spec string) (json.RawMessage, error) {
	doc, err := readSpec(spec)
	if err != nil {
		return nil, err
	}
	if name != "" {
		doc["name"] = name
	}
	return json.Marshal(doc)
}

// readSpec reads the fields of --spec, which other flags are added to; "": none.
func readSpec(text string) (map[string]any, error) {
	doc := map[string]any{}
	if text == "" {
		return doc, nil
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil || doc == nil { // null makes no map
		return nil, errSpec
	}
	return doc, nil
}
