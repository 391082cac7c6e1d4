package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/actors/call"
	"patchbay/control"
)

func (r *remote) callTransfer() *cobra.Command {
	var in control.CallTransfer
	var headers []string
	cmd := &cobra.Command{Use: "transfer <id> [<to>]", Short: "Have the carrier of a live call call somebody else",
		Long: `Have the carrier of a live call call somebody else in our place, by REFER. A carrier that refuses that is joined with a call of ours to the target,
where there is a trunk for it. What comes of it are events; call get shows it, too.

  patchbay ctl call transfer 04hkaps9lf6uu sip:sales@pbx.example.com
  patchbay ctl call transfer 04hkaps9lf6uu +4930123456 --header X-Ticket=4711
  patchbay ctl call transfer 04hkaps9lf6uu +4930123456 --mode bridge --trunk <id>
  patchbay ctl call transfer 04hkaps9lf6uu --replaces 1q2m3n4o5p6q7   # to the other side of that call`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.ID = args[0]
			if len(args) == 2 {
				in.To = args[1]
			}
			for _, h := range headers {
				name, value, ok := strings.Cut(h, "=")
				if !ok {
					return fmt.Errorf("%w: --header wants name=value", errUsage)
				}
				in.Headers = append(in.Headers, call.Header{Name: name, Value: value})
			}
			return r.do(cmd, "call", "transfer", in, done("transferring"))
		}}
	f := cmd.Flags()
	f.StringVar(&in.Replaces, "replaces", "", "id of another live call, whose other side is the target")
	f.StringVar(&in.Mode, "mode", "", "auto, refer or bridge")
	f.StringVar(&in.Trunk, "trunk", "", "id of the trunk that a call of ours to the target goes through")
	f.StringVar(&in.From, "from", "", "as whom that call is placed")
	f.Int64Var(&in.RingTimeoutMs, "ring-timeout-ms", 0, "longest wait for the target's answer")
	f.StringArrayVar(&headers, "header", nil, "header field of the REFER or the INVITE, name=value; may be repeated")
	return cmd
}
