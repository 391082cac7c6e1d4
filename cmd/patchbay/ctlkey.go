package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/control"
)

// errSpec and errJSON say that --spec, or another flag, cannot be read.
var (
	errSpec = fmt.Errorf("%w: --spec is no JSON object", errUsage)
	errJSON = fmt.Errorf("%w: --context and --metadata want JSON", errUsage)
)

func (r *remote) keys() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Aliases: []string{"keys"}, Short: "API keys of the account"}
	list := table("ID\tNAME\tKIND\tSTARTS\tSCOPES\tSTATE", func(v control.KeyView) []any {
		return []any{v.ID, v.Name, v.Kind, v.Prefix, strings.Join(v.Scopes, ","), keyState(v)}
	})
	revoke := &cobra.Command{Use: "revoke <id>", Short: "End a key for good", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, "key", "revoke", control.Target{ID: args[0]}, done("revoked"))
		}}
	cmd.AddCommand(r.keyCreate(), r.list("key", list), r.get("key", fields(keyRows)), revoke, r.remove("key"))
	return cmd
}

func keyRows(v control.KeyView) [][2]string {
	return [][2]string{{"id", v.ID}, {"name", v.Name}, {"kind", v.Kind}, {"starts", v.Prefix}, {"scopes", strings.Join(v.Scopes, ",")},
		{"project", v.ProjectID}, {"state", keyState(v)}}
}

func keyState(v control.KeyView) string {
	switch {
	case v.RevokedAt != nil:
		return "revoked " + v.RevokedAt.Format(time.RFC3339)
	case v.ExpiresAt != nil && v.ExpiresAt.Before(time.Now()):
		return "expired " + v.ExpiresAt.Format(time.RFC3339)
	case v.ExpiresAt != nil:
		return "until " + v.ExpiresAt.Format(time.RFC3339)
	}
	return "good"
}

func (r *remote) keyCreate() *cobra.Command {
	var in control.NewKey
	var life time.Duration
	cmd := &cobra.Command{Use: "create", Short: "Make a key; its secret is shown once", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if life > 0 {
				end := time.Now().Add(life)
				in.ExpiresAt = &end
			}
			return r.do(cmd, "key", "create", in, fields(func(v control.MadeKey) [][2]string {
				return append([][2]string{{"secret", v.Secret}}, keyRows(v.KeyView)...)
			}))
		}}
	f := cmd.Flags()
	f.StringVar(&in.Name, "name", "", "name for people")
	f.StringVar(&in.Kind, "kind", "", "which API it is for: native, yappr, ultravox, signalwire, vobiz")
	f.StringSliceVar(&in.Scopes, "scope", nil, "what it may do, like endpoints:read; *: everything of the account")
	f.StringVar(&in.ProjectID, "project", "", "project whose limits it is under; empty: the account's first")
	f.DurationVar(&life, "for", 0, "how long it is good, like 720h; 0: until it is revoked")
	return cmd
}
