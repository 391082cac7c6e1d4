package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/internal/caller"
)

// The demo's endpoint and agent are found again by these names.
const (
	demoEndpoint = "demo"
	demoAgent    = "demo echo agent"
	demoAgentID  = "dec0de00-0000-4000-8000-000000000001"
)

// demoLimit is the longest that making or finding the demo may take, once the
// control service answers.
const demoLimit = 10 * time.Second

// askAgain is the time between two questions to a control service that does not
// answer yet.
const askAgain = 250 * time.Millisecond

// A demoCluster is a running cluster that the demo is provisioned in.
type demoCluster struct {
	remote remote
	wait   time.Duration // for its control service
}

func (d *demoCluster) register(f *pflag.FlagSet) {
	d.remote.tenant = endpoint.OperatorTenant
	d.remote.reach(f)
	f.DurationVar(&d.wait, "wait", 30*time.Second, "longest wait for the control service")
}

// endpoint returns the demo's endpoint, made where there is none.
func (d *demoCluster) endpoint(ctx context.Context) (control.EndpointView, error) {
	ctx, cancel := context.WithTimeout(ctx, d.wait+demoLimit)
	defer cancel()
	for last := time.Now().Add(d.wait); ; {
		view, err := d.ask(ctx)
		var told *control.Error
		refused := errors.As(err, &told) && told.Code != control.CodeUnavailable
		if err == nil || refused || time.Now().After(last) {
			return view, err
		}
		select {
		case <-ctx.Done():
			return view, err
		case <-time.After(askAgain):
		}
	}
}

func (d *demoCluster) ask(ctx context.Context) (control.EndpointView, error) {
	client, err := d.remote.dial()
	if err != nil {
		return control.EndpointView{}, err
	}
	defer client.Conn.Close()
	return provisionDemo(ctx, client)
}

func demoProvisionCommand() *cobra.Command {
	var d demoCluster
	var edges []string
	cmd := &cobra.Command{
		Use:   "provision",
		Short: "Make the demo's endpoint in a running cluster, and print what to dial",
		Long: `Make an endpoint that is bound to the agent of "patchbay echo-agent" in a running cluster, or find it again, and
print its SIP URI at each edge. The URI is for a terminal: it holds the slug, which lets whoever has it call.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			view, err := d.endpoint(cmd.Context())
			if err != nil {
				return fmt.Errorf("provision the demo endpoint: %w", err)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "Endpoint %q is bound to the echo agent. Dial\n\n", view.Name)
			for _, at := range edges {
				fmt.Fprintf(out, "  sip:%s@%s\n", view.Slug, at)
			}
			return nil
		},
	}
	d.register(cmd.Flags())
	cmd.Flags().StringSliceVar(&edges, "edge", []string{"127.0.0.1"}, "host or host:port of an edge, as its callers know it; more than once for several")
	return cmd
}

func demoCallCommand() *cobra.Command {
	var d demoCluster
	var talk time.Duration
	cmd := &cobra.Command{
		Use:   "call [edge...]",
		Short: "Call the demo's endpoint through each edge of a running cluster; exit 0 if audio came back every time",
		Example: `  patchbay demo call edge-1 edge-2
  patchbay demo call '192.0.2.10:5070;transport=tcp'`,
		RunE: func(cmd *cobra.Command, edges []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			view, err := d.endpoint(ctx)
			if err != nil {
				return fmt.Errorf("find the demo endpoint: %w", err)
			}
			if len(edges) == 0 {
				edges = []string{"127.0.0.1"}
			}
			return callEach(ctx, cmd.OutOrStdout(), view.Slug, edges, talk)
		},
	}
	d.register(cmd.Flags())
	cmd.Flags().DurationVar(&talk, "talk", 3*time.Second, "how long to talk once answered")
	return cmd
}

// callEach places a call through each edge, whatever became of the one before.
func callEach(ctx context.Context, out io.Writer, slug string, edges []string, talk time.Duration) error {
	var failed error
	for _, at := range edges {
		fmt.Fprintf(out, "A call through %s:\n", at)
		rep, err := placeCall(ctx, out, caller.Options{URI: "sip:" + slug + "@" + at, Talk: talk}, "")
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			fmt.Fprintf(out, "  failed            %v\n", err)
			failed = errSilent
		case !rep.OK():
			failed = errSilent
		}
	}
	return failed
}

// provisionDemo returns the demo endpoint, made where there is none.
func provisionDemo(ctx context.Context, c control.Client) (control.EndpointView, error) {
	ctx, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	err := c.Do(ctx, "agent", "create", control.NewAgent{ID: demoAgentID,
		Spec: fmt.Appendf(nil, `{"name":%q,"webrtc":{"connector":"nats"}}`, demoAgent)}, nil)
	var told *control.Error
	if err != nil && (!errors.As(err, &told) || told.Code != control.CodeExists) {
		return control.EndpointView{}, err
	}
	for cursor := ""; ; {
		var page control.Page[control.EndpointView]
		if err := c.Do(ctx, "endpoint", "list", control.PageRequest{Cursor: cursor, Limit: 200}, &page); err != nil {
			return control.EndpointView{}, err
		}
		for _, v := range page.Items {
			if v.Name == demoEndpoint && v.IsActive {
				return v, nil
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	var made control.EndpointView
	err = c.Do(ctx, "endpoint", "create", control.NewEndpoint{SlugPrefix: "demo", AgentID: demoAgentID,
		Spec: fmt.Appendf(nil, `{"name":%q}`, demoEndpoint)}, &made)
	return made, err
}
