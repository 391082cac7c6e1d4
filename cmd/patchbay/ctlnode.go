package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/control"
)

// operators are the commands about the cluster, and about a whole account.
func (r *remote) operators() []*cobra.Command {
	return []*cobra.Command{r.blockCommand(), r.unblockCommand(), r.nodes(), r.clusterCommand(), r.drainCommand(), r.exportCommand(), r.importCommand(), r.backupCommand()}
}

func (r *remote) blockCommand() *cobra.Command {
	var in control.NewBlock
	var life time.Duration
	cmd := &cobra.Command{Use: "block <address|range>", Short: "Turn a source away at every edge, unheard",
		Long: `Turn a source away at every edge: what it sends is dropped before it is read, without an answer, and its connections are
closed. Calls that are up hear nothing more from it either: hang them up first. For the operator.

  patchbay ctl block 203.0.113.0/28 --reason "scanner" --for 24h
  patchbay ctl block list
  patchbay ctl unblock 203.0.113.0/28`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Source = args[0]
			if life > 0 {
				end := time.Now().Add(life)
				in.ExpiresAt = &end
			}
			return r.do(cmd, "block", "create", in, fields(func(v control.BlockView) [][2]string {
				return [][2]string{{"source", v.Source}, {"reason", v.Reason}, {"until", untilWord(v.ExpiresAt)}}
			}))
		}}
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why, for whoever reads the list")
	cmd.Flags().DurationVar(&life, "for", 0, "how long, like 24h; 0: until it is unblocked")
	cmd.AddCommand(r.list("block", table("SOURCE\tSINCE\tUNTIL\tREASON", func(v control.BlockView) []any {
		return []any{v.Source, v.CreatedAt.Format(time.RFC3339), untilWord(v.ExpiresAt), v.Reason}
	})))
	return cmd
}

func untilWord(end *time.Time) string {
	if end == nil {
		return "unblocked"
	}
	return end.Format(time.RFC3339)
}

func (r *remote) unblockCommand() *cobra.Command {
	return &cobra.Command{Use: "unblock <address|range>", Short: "Let a blocked source in again, named as it was blocked", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, "block", "delete", control.BlockRef{Source: args[0]}, done("unblocked"))
		}}
}

var listNodes = table("NODE\tROLES\tVERSION\tSINCE\tSTATE\tCALLS", func(v control.NodeView) []any {
	return []any{v.Node, strings.Join(v.Roles, ","), v.Version, v.Since.Format(time.RFC3339), v.State, v.Calls}
})

func (r *remote) nodes() *cobra.Command {
	cmd := &cobra.Command{Use: "node", Aliases: []string{"nodes"}, Short: "Nodes of the cluster"}
	cmd.AddCommand(&cobra.Command{Use: "list", Short: "List them, those that do not answer among them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.do(cmd, "node", "list", struct{}{}, listNodes)
		}})
	return cmd
}

func (r *remote) drainCommand() *cobra.Command {
	var in control.Drain
	cmd := &cobra.Command{Use: "drain", Short: "Make a node refuse new calls, or take them again",
		Long: `Make a node refuse new calls; those it carries go on. The node stays up until it is stopped. --cancel makes it take calls
again. Without --node the cluster's only node is meant. For the operator.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in.Node == "" {
				var err error
				if in.Node, err = r.onlyNode(cmd); err != nil {
					return err
				}
			}
			return r.do(cmd, "node", "drain", in, func(w io.Writer, raw json.RawMessage) error {
				var v control.NodeView
				if err := json.Unmarshal(raw, &v); err != nil {
					return fmt.Errorf("reply: %w", err)
				}
				word := map[bool]string{true: "draining", false: "takes calls"}[v.Draining]
				fmt.Fprintf(w, "%s %s; it carries %d calls\n", v.Node, word, v.Calls)
				return nil
			})
		}}
	cmd.Flags().StringVar(&in.Node, "node", "", "name of the node")
	cmd.Flags().BoolVar(&in.Cancel, "cancel", false, "take new calls again")
	return cmd
}

// onlyNode is the node that is meant where none was named.
func (r *remote) onlyNode(cmd *cobra.Command) (string, error) {
	var page control.Page[control.NodeView]
	err := r.with(cmd, func(ask asker) error { return ask("node", "list", struct{}{}, &page) })
	if err != nil {
		return "", err
	}
	names := make([]string, len(page.Items))
	for i, v := range page.Items {
		names[i] = v.Node
	}
	switch len(names) {
	case 0:
		return "", errors.New("no node answers")
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf("%w: --node must name one of %s", errUsage, strings.Join(names, ", "))
}
