package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

func (r *remote) agents() *cobra.Command {
	cmd := &cobra.Command{Use: "agent", Aliases: []string{"agents"}, Short: "AI agents and how they are reached"}
	cmd.AddCommand(r.agentCreate(), r.get("agent", showAgent), r.list("agent", listAgents), r.agentUpdate(), r.remove("agent"),
		r.agentWorkers())
	return cmd
}

var listAgents = table("ID\tNAME\tACTIVE\tREACHED BY", func(v control.AgentView) []any {
	return []any{v.ID, v.Name, yesNo(v.IsActive), reachedBy(v.WebRTC)}
})

var showAgent = fields(func(v control.AgentView) [][2]string {
	return [][2]string{{"id", v.ID}, {"name", v.Name}, {"active", yesNo(v.IsActive)}, {"reached by", reachedBy(v.WebRTC)},
		{"secret", map[bool]string{true: "set"}[v.WebRTC.SecretSet]}, {"codecs", strings.Join(v.WebRTC.Codecs, ",")},
		{"revision", strconv.FormatUint(uint64(v.Revision), 10)}}
})

func (r *remote) agentWorkers() *cobra.Command {
	return &cobra.Command{Use: "workers <id>", Short: "Show who is there for an agent's next call", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, "agent", "workers", control.ID{ID: args[0]}, showWorkers)
		}}
}

// showWorkers prints a line for each worker, and how many sessions stand by.
func showWorkers(w io.Writer, raw json.RawMessage) error {
	var f control.Workforce
	if err := json.Unmarshal(raw, &f); err != nil {
		return fmt.Errorf("reply: %w", err)
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "WORKER\tSTATE\tCALLS\tMAX\tLOAD\tSEEN")
	for _, v := range f.Workers {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%.2f\t%s\n", v.ID, v.State, v.Calls, v.Max, v.Load, v.Seen.UTC().Format(time.TimeOnly))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if f.Standby > 0 {
		fmt.Fprintf(w, "%d sessions stand by\n", f.Standby)
	}
	return nil
}

func reachedBy(t control.TransportSpec) string {
	if t.Connector == endpoint.ConnectHTTP {
		return "http " + t.URL
	}
	return string(t.Connector)
}

// agentFlags are what can be set by flag; everything else goes by --spec.
type agentFlags struct {
	name, http, dialect, secretFile, spec string
	nats, dialin, active                  bool
	codecs                                []string
}

func (a *agentFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.name, "name", "", "name for people")
	f.StringVar(&a.http, "http", "", "URL that takes our SDP offer")
	f.StringVar(&a.dialect, "dialect", "", "of that URL: json, openai, pipecat, fastrtc or whip")
	f.BoolVar(&a.nats, "nats-workers", false, "workers in a NATS queue group answer")
	f.BoolVar(&a.dialin, "dial-in", false, "the agent posts its own offer to the call")
	f.StringVar(&a.secretFile, "secret-file", "", "file with the bearer secret sent to the URL; -: standard input")
	f.StringSliceVar(&a.codecs, "codec", nil, "codecs offered to the agent, in this order")
	f.BoolVar(&a.active, "active", true, "whether it takes calls")
	f.StringVar(&a.spec, "spec", "", "further fields as JSON, see docs/control-api.md")
	cmd.MarkFlagsMutuallyExclusive("http", "nats-workers", "dial-in")
}

// patch returns the fields whose flags were given, as a merge patch.
func (a *agentFlags) patch(cmd *cobra.Command) (json.RawMessage, error) {
	doc, err := readSpec(a.spec)
	if err != nil {
		return nil, err
	}
	webrtc, _ := doc["webrtc"].(map[string]any)
	if webrtc == nil {
		webrtc = map[string]any{}
	}
	if err := a.transport(cmd, webrtc); err != nil {
		return nil, err
	}
	if len(webrtc) > 0 {
		doc["webrtc"] = webrtc
	}
	if cmd.Flags().Changed("name") {
		doc["name"] = a.name
	}
	if cmd.Flags().Changed("active") {
		doc["is_active"] = a.active
	}
	return json.Marshal(doc)
}

func (a *agentFlags) transport(cmd *cobra.Command, webrtc map[string]any) error {
	switch {
	case a.http != "":
		webrtc["connector"], webrtc["url"] = endpoint.ConnectHTTP, a.http
	case a.nats:
		webrtc["connector"] = endpoint.ConnectNATS
	case a.dialin:
		webrtc["connector"] = endpoint.ConnectDialIn
	}
	if a.dialect != "" {
		webrtc["dialect"] = a.dialect
	}
	if cmd.Flags().Changed("codec") {
		webrtc["codecs"] = a.codecs
	}
	if a.secretFile == "" {
		return nil
	}
	secret, err := readSecret(cmd.InOrStdin(), a.secretFile)
	if err != nil {
		return err
	}
	webrtc["auth_type"], webrtc["auth_secret"] = "bearer", secret
	return nil
}

// readSecret takes a secret from a file: on a command line it would be seen by
// every process of the machine.
func readSecret(stdin io.Reader, path string) (string, error) {
	var raw []byte
	var err error
	if path == "-" {
		raw, err = io.ReadAll(io.LimitReader(stdin, 4096))
	} else {
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

func (r *remote) agentCreate() *cobra.Command {
	var a agentFlags
	var id string
	cmd := &cobra.Command{Use: "create", Short: "Make an agent known", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			patch, err := a.patch(cmd)
			if err != nil {
				return err
			}
			return r.do(cmd, "agent", "create", control.NewAgent{ID: id, Spec: patch}, showAgent)
		}}
	a.register(cmd)
	cmd.Flags().StringVar(&id, "id", "", "a UUID of your choice")
	return cmd
}

func (r *remote) agentUpdate() *cobra.Command {
	var a agentFlags
	cmd := &cobra.Command{Use: "update <id>", Short: "Change an agent, from the next call on", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			patch, err := a.patch(cmd)
			if err != nil {
				return err
			}
			return r.do(cmd, "agent", "update", control.Change{ID: args[0], Patch: patch}, showAgent)
		}}
	a.register(cmd)
	return cmd
}

func (r *remote) get(noun string, print func(io.Writer, json.RawMessage) error) *cobra.Command {
	return &cobra.Command{Use: "get <id>", Short: "Show one", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, noun, "get", control.ID{ID: args[0]}, print)
		}}
}

func (r *remote) list(noun string, print func(io.Writer, json.RawMessage) error) *cobra.Command {
	var page control.PageRequest
	cmd := &cobra.Command{Use: "list", Short: "List them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.do(cmd, noun, "list", page, print) }}
	cmd.Flags().IntVar(&page.Limit, "limit", 0, "how many at most")
	cmd.Flags().StringVar(&page.Cursor, "cursor", "", "where the page before ended")
	return cmd
}

func (r *remote) remove(noun string) *cobra.Command {
	var revision uint64
	cmd := &cobra.Command{Use: "delete <id>", Short: "Remove one", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, noun, "delete", control.Target{ID: args[0], Revision: endpoint.Revision(revision)}, done("deleted"))
		}}
	cmd.Flags().Uint64Var(&revision, "revision", 0, "only when it is still at this revision")
	return cmd
}
