package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/control"
	"patchbay/internal/echoagent"
	"patchbay/internal/telemetry"
)

func echoCommand() *cobra.Command {
	var url, creds, agent, worker string
	var calls int
	cmd := &cobra.Command{
		Use:   "echo-agent",
		Short: "Run an agent that says back what it hears, as a worker on NATS",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := telemetry.Logger(cmd.ErrOrStderr(), config.Log{Level: "info", Format: "json"})
			if err != nil {
				return err
			}
			client, err := control.Dial(url, creds, endpoint.OperatorTenant, 5*time.Second)
			if err != nil {
				return fmt.Errorf("%w (--nats %s)", err, url)
			}
			defer client.Conn.Close()
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			log.Info("echo agent is up", "agent", agent)
			return echoagent.Run(ctx, client.Conn, agent, echoagent.Options{WorkerID: worker, MaxCalls: calls, Log: log}, nil)
		},
	}
	f := cmd.Flags()
	f.StringVar(&url, "nats", envOr("PBCTL_NATS", "nats://127.0.0.1:4222"), "NATS server (PBCTL_NATS)")
	f.StringVar(&creds, "creds", "", "NATS credentials file")
	f.StringVar(&agent, "agent", demoAgentID, "id of the agent whose calls to take")
	f.StringVar(&worker, "worker", "", "name of this worker; empty: made up")
	f.IntVar(&calls, "max-calls", echoagent.DefaultMaxCalls, "calls at once; beyond it busy")
	return cmd
}
