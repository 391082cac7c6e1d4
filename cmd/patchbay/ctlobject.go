package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// maxSpec is the longest file of fields that is read, bytes.
const maxSpec = 1 << 20

// objects are the kinds of objects that are set by their fields as JSON.
func (r *remote) objects() []*cobra.Command {
	trunks := table("ID\tNAME\tACTIVE\tADDRESSES", func(v control.TrunkView) []any {
		at := make([]string, len(v.Addresses))
		for i, a := range v.Addresses {
			at[i] = hopText(a)
		}
		return []any{v.ID, v.Name, yesNo(v.IsActive), strings.Join(at, " ")}
	})
	throttles := table("ID\tNAME\tRULES", func(v control.ThrottleView) []any {
		raw, _ := json.Marshal(v.Rules)
		return []any{v.ID, v.Name, string(raw)}
	})
	registrations := table("ID\tUSER\tAT\tSTATUS", func(v control.RegistrationView) []any { return []any{v.ID, v.Username, v.Server, v.Status} })
	applications := table("ID\tNAME\tENABLED", func(v control.ApplicationView) []any { return []any{v.ID, v.Name, yesNo(v.Enabled)} })
	return []*cobra.Command{
		r.webhooks(),
		r.object("trunk", "Where calls that we place go out", trunks),
		r.object("throttle", "How many calls may be placed in a time", throttles),
		r.object("registration", "Registrations at PBXs", registrations),
		r.object("application", "URLs that are asked about calls", applications),
	}
}

// hopText is an address of a trunk as people write it.
func hopText(a endpoint.TrunkAddress) string {
	text := a.Host
	if a.Port != 0 {
		text = net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
	}
	if a.Transport != "" {
		text += ";transport=" + a.Transport
	}
	return text
}

// object is a kind of object that is made, read, changed and deleted by its id.
func (r *remote) object(noun, short string, list func(io.Writer, json.RawMessage) error) *cobra.Command {
	cmd := &cobra.Command{Use: noun, Aliases: []string{noun + "s"}, Short: short, Long: short + `.

Fields are those of docs/control-api.md, as JSON: --spec '{"name":"main"}', or --file FILE, where - is standard input. A secret
belongs into a file: other users of the machine see command lines.`}
	cmd.AddCommand(r.objectCreate(noun), r.get(noun, printJSON), r.list(noun, list), r.objectUpdate(noun), r.remove(noun))
	return cmd
}

// A given is an object's fields as JSON, from the command line or a file.
type given struct{ spec, file string }

func (g *given) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&g.spec, "spec", "", "fields as JSON")
	cmd.Flags().StringVar(&g.file, "file", "", "file with the fields as JSON; -: standard input")
	cmd.MarkFlagsMutuallyExclusive("spec", "file")
	cmd.MarkFlagsOneRequired("spec", "file")
}

// read returns the fields.
func (g *given) read(stdin io.Reader) (json.RawMessage, error) {
	text := []byte(g.spec)
	if g.file != "" {
		in := stdin
		if g.file != "-" {
			f, err := os.Open(g.file)
			if err != nil {
				return nil, fmt.Errorf("read the fields: %w", err)
			}
			defer func() { _ = f.Close() }()
			in = f
		}
		var err error
		if text, err = io.ReadAll(io.LimitReader(in, maxSpec)); err != nil {
			return nil, fmt.Errorf("read the fields: %w", err)
		}
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, errSpec
	}
	return text, nil
}

func (r *remote) objectCreate(noun string) *cobra.Command {
	var g given
	cmd := &cobra.Command{Use: "create", Short: "Make one", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			spec, err := g.read(cmd.InOrStdin())
			if err != nil {
				return err
			}
			return r.do(cmd, noun, "create", struct {
				Spec json.RawMessage `json:"spec"`
			}{spec}, printJSON)
		}}
	g.register(cmd)
	return cmd
}

func (r *remote) objectUpdate(noun string) *cobra.Command {
	var g given
	var revision uint64
	cmd := &cobra.Command{Use: "update <id>", Short: "Change one: fields that are absent stay, null removes", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			patch, err := g.read(cmd.InOrStdin())
			if err != nil {
				return err
			}
			return r.do(cmd, noun, "update", control.Change{ID: args[0], Revision: endpoint.Revision(revision), Patch: patch}, printJSON)
		}}
	g.register(cmd)
	cmd.Flags().Uint64Var(&revision, "revision", 0, "only when it is still at this revision")
	return cmd
}
