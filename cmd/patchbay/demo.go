package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/control"
	"patchbay/internal/caller"
	"patchbay/internal/echoagent"
	"patchbay/internal/telemetry"
)

func demoCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a node with an echo agent, and place a first call to it",
		Long: `Run a node with every role, an endpoint bound to a built-in echo agent, and place one real call to it:
SIP over UDP, RTP, WebRTC. The node stays up for your softphone until Ctrl-C.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			return runDemo(cmd.Context(), cmd.OutOrStdout(), cfg, once)
		},
	}
	settingFlags(cmd.Flags())
	cmd.Flags().BoolVar(&once, "once", false, "end after the call: exit 0 if audio came back")
	cmd.AddCommand(demoProvisionCommand(), demoCallCommand())
	return cmd
}

// runDemo shows its progress on out; the node's log goes to a file beside its
// data.
func runDemo(ctx context.Context, out io.Writer, cfg config.Config, once bool) error {
	if err := os.MkdirAll(cfg.Node.DataDir, 0o700); err != nil {
		return fmt.Errorf("make node.data_dir: %w", err)
	}
	logName := filepath.Join(cfg.Node.DataDir, "node.log")
	logFile, err := os.OpenFile(logName, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = logFile.Close() }()
	log, err := telemetry.Logger(logFile, cfg.Log)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	fmt.Fprintf(out, "Starting a node: %s. Its log is %s.\n", strings.Join(cfg.Node.Roles, ", "), logName)
	n, err := startNode(ctx, cfg, log)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	stopAgent, err := startDemoAgent(ctx, n, log)
	if err != nil {
		return errors.Join(err, n.stop())
	}
	callErr := firstCall(ctx, out, n)
	if callErr == nil && !once {
		fmt.Fprintf(out, "\nThe node stays up; call the URI above from a softphone. Ctrl-C ends it.\n")
		n.onDrain = func(calls int) {
			if calls > 0 {
				fmt.Fprintf(out, "\nWaiting for calls to end (%d). Ctrl-C hangs them up.\n", calls)
			}
		}
		callErr = n.serve(signals)
	}
	stopAgent() // while it can still say goodbye
	return errors.Join(callErr, n.stop())
}

// firstCall provisions the demo and places its call.
func firstCall(ctx context.Context, out io.Writer, n *node) error {
	view, err := provisionDemo(ctx, control.Client{Conn: n.ground.conn.Control(), Tenant: endpoint.OperatorTenant})
	if err != nil {
		return fmt.Errorf("provision the demo endpoint: %w", err)
	}
	uri := "sip:" + view.Slug + "@" + dialable(n)
	fmt.Fprintf(out, "Endpoint %q is bound to the echo agent. Dial\n\n  %s%s\n\nFirst call, SIP over UDP on loopback:\n",
		view.Name, uri, elsewhere(n, view.Slug))
	rep, err := placeCall(ctx, out, caller.Options{URI: uri, Talk: 3 * time.Second}, filepath.Join(n.cfg.Node.DataDir, "first-call.wav"))
	if err != nil {
		return fmt.Errorf("the first call: %w", err)
	}
	switch {
	case rep.Status/100 != 2:
		return fmt.Errorf("the first call was refused: %d %s", rep.Status, rep.Phrase)
	case !rep.OK():
		return errors.New("the first call was answered, and no audio came back")
	}
	return nil
}

// dialable is where this machine reaches the node's UDP listener.
func dialable(n *node) string {
	at := n.edge.Addrs().UDP
	addr := at.Addr()
	if addr.IsUnspecified() {
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return hostPort(addr, at.Port())
}

// elsewhere says how other machines dial the demo, if they can.
func elsewhere(n *node, slug string) string {
	if own := ownAddress(); n.edge.Addrs().UDP.Addr().IsUnspecified() && !own.IsLoopback() {
		return "\n  sip:" + slug + "@" + hostPort(own, n.edge.Addrs().UDP.Port()) + "   (from other machines)"
	}
	return ""
}

// startDemoAgent runs the echo agent over the node's NATS, as any worker would.
func startDemoAgent(ctx context.Context, n *node, log *slog.Logger) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- echoagent.Run(ctx, n.ground.conn.Control(), demoAgentID, echoagent.Options{Log: log}, ready)
	}()
	select {
	case <-ready:
		return func() { cancel(); <-done }, nil
	case err := <-done:
		cancel()
		return nil, fmt.Errorf("start the echo agent: %w", err)
	}
}
