package main

import (
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"patchbay/control"
)

// callCreate places a call.
func (r *remote) callCreate() *cobra.Command {
	var in control.NewCall
	var passwordFile, context, metadata string
	var longest, ring time.Duration
	cmd := &cobra.Command{Use: "create", Aliases: []string{"dial"}, Short: "Call somebody, and give the call to an agent",
		Long: `Call somebody, and give the call to an agent when it is answered.

  patchbay ctl call create --agent <id> --to +15551230100 --trunk <id>
  patchbay ctl call create --agent <id> --to sip:desk@pbx.example.com --from sip:bot@example.com`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if passwordFile != "" {
				secret, err := readSecret(cmd.InOrStdin(), passwordFile)
				if err != nil {
					return err
				}
				in.Password = secret
			}
			for text, into := range map[*string]*json.RawMessage{&context: &in.Context, &metadata: &in.Metadata} {
				if *text != "" && !json.Valid([]byte(*text)) {
					return errJSON
				}
				*into = json.RawMessage(*text)
			}
			in.MaxDurationMs, in.RingTimeoutMs = longest.Milliseconds(), ring.Milliseconds()
			return r.do(cmd, "call", "create", in, showCall)
		}}
	f := cmd.Flags()
	f.StringVar(&in.AgentID, "agent", "", "id of the agent that speaks")
	f.StringVar(&in.To, "to", "", "sip: URI, or a number where there is a trunk")
	f.StringVar(&in.From, "from", "", "sip: URI or number that is shown; empty: the trunk's, else anonymous")
	f.StringVar(&in.Trunk, "trunk", "", "id of the trunk that it goes out by; empty: to the host of --to")
	f.StringVar(&in.Throttle, "throttle", "", "id or name of a throttle that it counts under")
	f.StringVar(&in.Username, "username", "", "for a callee that asks for credentials")
	f.StringVar(&passwordFile, "password-file", "", "file with the password for --username; -: standard input")
	f.StringVar(&context, "context", "", "for the agent, as JSON")
	f.StringVar(&metadata, "metadata", "", "for the agent, as JSON")
	f.DurationVar(&longest, "max-duration", 0, "longest call, from the answer; 0: the agent's")
	f.DurationVar(&ring, "ring", 0, "longest wait for an answer; 0: 60s")
	f.BoolVar(&in.EarlyMedia, "early-media", false, "the agent hears what comes before the answer")
	return cmd
}
