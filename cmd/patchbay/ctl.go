package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"patchbay/control"
)

// A remote is how ctl reaches a cluster, and how it prints.
type remote struct {
	entrance
	tenant string
	once   string // idempotency key
	json   bool
}

func ctlCommand() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{
		Use:   "ctl",
		Short: "Operate a cluster: endpoints, agents, accounts, keys, live calls, nodes",
		Long: `ctl asks the control service over NATS.

  patchbay ctl agent create --name bot --http https://bot.example.com/offer
  patchbay ctl endpoint create --name "Night desk" --prefix night --agent <id>
  patchbay ctl call find +15551230100
  patchbay ctl key create --name dashboard --scope calls:read
  patchbay ctl block 203.0.113.0/28 --reason scanner --for 24h`,
	}
	r.register(cmd.PersistentFlags())
	cmd.AddCommand(r.endpoints(), r.agents(), r.account(), r.calls(), r.records(), r.numbers(), r.keys())
	cmd.AddCommand(r.objects()...)
	cmd.AddCommand(r.operators()...)
	return cmd
}

// reach adds the flags that say how the cluster is reached.
func (r *remote) reach(f *pflag.FlagSet) {
	r.entrance.register(f)
	f.DurationVar(&r.timeout, "timeout", 5*time.Second, "longest wait for an answer")
}

// register adds reach's flags, and those of one question.
func (r *remote) register(f *pflag.FlagSet) {
	r.reach(f)
	f.StringVar(&r.tenant, "tenant", envOr("PBCTL_TENANT", "default"), "account to work on (PBCTL_TENANT)")
	f.StringVar(&r.once, "idempotency-key", "", "makes a creation happen once, however often the command is repeated within 24 h")
	f.BoolVar(&r.json, "json", false, "print JSON")
}

// dial connects to the cluster.
func (r *remote) dial() (control.Client, error) {
	return r.entrance.dial(operator, r.tenant)
}

func envOr(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}

// An asker carries out one operation: in is its request, out a pointer to its
// reply.
type asker func(noun, verb string, in, out any) error

// with lends an asker to do. Each of its questions has the timeout for itself,
// in which it waits where the account's requests are used up for now.
func (r *remote) with(cmd *cobra.Command, do func(asker) error) error {
	client, err := r.dial()
	if err != nil {
		return err
	}
	defer client.Conn.Close()
	client.IdempotencyKey = r.once
	return do(func(noun, verb string, in, out any) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), r.timeout)
		defer cancel()
		for {
			err := client.Do(ctx, noun, verb, in, out)
			if !rested(ctx, err) {
				return err
			}
		}
	})
}

// rested waits where err says that the account's requests are used up for now;
// false: it says something else, or ctx ends before.
func rested(ctx context.Context, err error) bool {
	var told *control.Error
	if !errors.As(err, &told) || told.Code != control.CodeRate {
		return false
	}
	wait := time.Duration(told.RetryAfterMs) * time.Millisecond
	if end, ok := ctx.Deadline(); ok && time.Until(end) < wait {
		return false
	}
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

// do carries out one operation and hands the reply to print, or prints it as
// it came with --json.
func (r *remote) do(cmd *cobra.Command, noun, verb string, in any, print func(io.Writer, json.RawMessage) error) error {
	var out json.RawMessage
	if err := r.with(cmd, func(ask asker) error { return ask(noun, verb, in, &out) }); err != nil {
		return explained(cmd, err)
	}
	if r.json {
		return printJSON(cmd.OutOrStdout(), out)
	}
	return print(cmd.OutOrStdout(), out)
}

// explained names the act that was refused, and prints each problem on a line of
// its own.
func explained(cmd *cobra.Command, err error) error {
	var told *control.Error
	if !errors.As(err, &told) {
		return err
	}
	act := strings.TrimPrefix(cmd.CommandPath(), "patchbay ")
	if len(told.Problems) == 0 {
		return fmt.Errorf("%s: %w", act, err)
	}
	w := cmd.ErrOrStderr()
	fmt.Fprintf(w, "patchbay: %s: %s: %s\n", act, told.Code, told.Message)
	for _, p := range told.Problems {
		fmt.Fprintf(w, "  %s\n", p.Error())
	}
	return errSilent
}

func printJSON(w io.Writer, raw json.RawMessage) error {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table prints the items of a page, one line each, and how to get the next.
func table[T any](header string, line func(T) []any) func(io.Writer, json.RawMessage) error {
	return func(w io.Writer, raw json.RawMessage) error {
		var page control.Page[T]
		if err := json.Unmarshal(raw, &page); err != nil {
			return fmt.Errorf("reply: %w", err)
		}
		tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintln(tw, header)
		for _, item := range page.Items {
			for i, cell := range line(item) {
				if i > 0 {
					fmt.Fprint(tw, "\t")
				}
				fmt.Fprint(tw, cell)
			}
			fmt.Fprintln(tw)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		if page.Next != "" {
			fmt.Fprintf(w, "more: --cursor %s\n", page.Next)
		}
		return nil
	}
}

// fields prints one object, a field a line.
func fields[T any](rows func(T) [][2]string) func(io.Writer, json.RawMessage) error {
	return func(w io.Writer, raw json.RawMessage) error {
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("reply: %w", err)
		}
		tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		for _, row := range rows(v) {
			if row[1] != "" {
				fmt.Fprintf(tw, "%s\t%s\n", row[0], row[1])
			}
		}
		return tw.Flush()
	}
}

func done(word string) func(io.Writer, json.RawMessage) error {
	return func(w io.Writer, _ json.RawMessage) error { fmt.Fprintln(w, word); return nil }
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
