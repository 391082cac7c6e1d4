package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

var listCalls = table("ID\tSTATE\tFOR\tFROM\tTO\tSOURCE\tCODEC\tENDPOINT\tNODE", func(v control.CallView) []any {
	return []any{v.ID, v.State, time.Since(v.Since).Round(time.Second), v.From.User, v.To.User, v.Source, v.Codec, v.Endpoint, v.Node}
})

var showCall = fields(func(v control.CallView) [][2]string {
	return [][2]string{{"id", v.ID.String()}, {"state", v.State}, {"since", v.Since.Format(time.RFC3339)}, {"direction", v.Direction}, {"from", v.From.URI}, {"to", v.To.URI}, {"trunk", v.Trunk},
		{"source", v.Source}, {"sip call-id", v.CallID}, {"endpoint", string(v.Endpoint)}, {"agent", v.Agent}, {"worker", v.Worker}, {"node", v.Node},
		{"codec", v.Codec}, {"lost", fmt.Sprintf("%.1f %%", v.Quality.LossPercent)}, {"jitter", fmt.Sprintf("%.1f ms", v.Quality.JitterMs)}}
})

func (r *remote) calls() *cobra.Command {
	cmd := &cobra.Command{Use: "call", Aliases: []string{"calls"}, Short: "Live calls"}
	cmd.AddCommand(r.callCreate(), r.list("call", listCalls), r.get("call", showCall), r.callFind(), r.callHangup(), r.callTransfer())
	return cmd
}

func (r *remote) callFind() *cobra.Command {
	var all bool
	cmd := &cobra.Command{Use: "find <Call-ID|number>", Short: "Find live calls by SIP Call-ID, number, id, or Key of the endpoint", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := control.CallQuery{Query: args[0]}
			if all {
				q.Account = "*"
			}
			return r.do(cmd, "call", "find", q, listCalls)
		}}
	cmd.Flags().BoolVar(&all, "all-accounts", false, "of every account; for the operator")
	return cmd
}

func (r *remote) callHangup() *cobra.Command {
	var in control.MassHangup
	var yes bool
	cmd := &cobra.Command{Use: "hangup [id]", Short: "End a live call, or many at once",
		Long: `End a live call by its id, or many at once: with --endpoint, --account or --node, all that fit every flag given.
Without --yes the calls are only counted.

  patchbay ctl call hangup 04hkaps9lf6uu
  patchbay ctl call hangup --endpoint 3d0f8a52-6c1e-4b7a-9f0e-5a2c1d7e4b90 --yes
  patchbay ctl call hangup --node pb-1 --yes          # the operator's: of every account`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			many := in.Endpoint+in.Account+in.Node != ""
			switch {
			case len(args) == 1 && many || len(args) == 0 && !many:
				return fmt.Errorf("%w: want the id of a call, or --endpoint, --account or --node", errUsage)
			case len(args) == 1:
				return r.do(cmd, "call", "hangup", control.ID{ID: args[0]}, done("hung up"))
			}
			return r.hangUpMany(cmd, in, yes)
		}}
	f := cmd.Flags()
	f.StringVar(&in.Endpoint, "endpoint", "", "all calls of this endpoint")
	f.StringVar(&in.Account, "account", "", "all calls of this account; for the operator also *")
	f.StringVar(&in.Node, "node", "", "all calls that this media node carries")
	f.BoolVar(&yes, "yes", false, "do it: without, the calls are only counted")
	return cmd
}

func (r *remote) hangUpMany(cmd *cobra.Command, in control.MassHangup, yes bool) error {
	if in.Account == "" && in.Endpoint == "" && r.tenant == endpoint.OperatorTenant {
		in.Account = "*" // a node's calls are every account's
	}
	in.DryRun = !yes
	return r.do(cmd, "call", "hangup-all", in, func(w io.Writer, raw json.RawMessage) error {
		var got control.MassHungUp
		if err := json.Unmarshal(raw, &got); err != nil {
			return fmt.Errorf("reply: %w", err)
		}
		if got.DryRun {
			fmt.Fprintf(w, "%d calls would be hung up; --yes does it\n", got.Calls)
			return nil
		}
		fmt.Fprintf(w, "%d calls hung up\n", got.Calls)
		return nil
	})
}
