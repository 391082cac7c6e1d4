package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"patchbay/actors/endpoint"
	"patchbay/cluster/permit"
	"patchbay/config"
	"patchbay/internal/echoagent"
	"patchbay/internal/telemetry"
)

func echoCommand() *cobra.Command {
	in := entrance{timeout: 5 * time.Second}
	var agent, worker string
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
			client, err := in.dial(permit.Principal{Roles: []permit.Role{permit.Worker}, Name: agent}, endpoint.OperatorTenant)
			if err != nil {
				return err
			}
			defer client.Conn.Close()
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			log.Info("echo agent is up", "agent", agent)
			return echoagent.Run(ctx, client.Conn, agent, echoagent.Options{WorkerID: worker, MaxCalls: calls, Log: log}, nil)
		},
	}
	f := cmd.Flags()
	in.register(f)
	f.StringVar(&agent, "agent", demoAgentID, "id of the agent whose calls to take")
	f.StringVar(&worker, "worker", "", "name of this worker; empty: made up")
	f.IntVar(&calls, "max-calls", echoagent.DefaultMaxCalls, "calls at once; beyond it busy")
	return cmd
}
