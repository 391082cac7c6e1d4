package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"patchbay/actors"
	"patchbay/cluster"
	"patchbay/config"
	"patchbay/internal/telemetry"
	"patchbay/sip/edge"
)

// byeTime is how long the BYEs of a node that ends at once may take.
const byeTime = 2 * time.Second

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Run a node. Settings come from a file (--config), over it the environment, over that the flags;
"patchbay config default" prints them all.

The first SIGTERM or Ctrl-C drains the node: new calls are refused, live ones go on until they end or
node.drain_period is over. The second ends it at once, with a BYE to every call. SIGHUP has it read its
certificate's files again; changed ones it notices by itself too.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			log, err := telemetry.Logger(cmd.ErrOrStderr(), cfg.Log)
			if err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			signals := make(chan os.Signal, 2)
			signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
			ctx, started := untilSignal(cmd.Context(), signals)
			n, err := startNode(ctx, cfg, log)
			started()
			if err != nil {
				return err
			}
			defer n.reloadOnHangup()()
			return errors.Join(n.serve(signals), n.stop())
		},
	}
	settingFlags(cmd.Flags())
	return cmd
}

// untilSignal returns a context that a signal ends, until started is called. The
// signal stays to be read: a node that is told to stop while it starts stops in
// order.
func untilSignal(ctx context.Context, signals chan os.Signal) (_ context.Context, started func()) {
	ctx, cancel := context.WithCancel(ctx)
	up := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			cancel() // first: further signals may have filled the channel
			signals <- s
		case <-up:
		}
	}()
	return ctx, func() { close(up) }
}

// A node is a running process of the cluster.
type node struct {
	ground *ground
	app    *fx.App
	log    *slog.Logger
	cfg    config.Config
	edge   *edge.Edge    // nil without the role
	calls  *actors.Calls // nil without the role

	unanswered *unanswered // of the edge; nil without the role

	onDrain func(calls int)   // hears that a drain begins; nil: nobody
	door    *cluster.NodeDoor // of the operator; nil until the roles serve

	turning  sync.Mutex // whether new calls are taken, by one at a time
	stopping bool       // the process is about to end; guarded by turning
}

// startNode opens the ground and starts the roles. When it returns, the node
// takes calls.
func startNode(ctx context.Context, cfg config.Config, log *slog.Logger) (*node, error) {
	obs := observers{log: log, metrics: telemetry.New()}
	g, err := openGround(ctx, cfg, log, obs)
	if err != nil {
		return nil, err
	}
	n := &node{ground: g, log: log, cfg: g.cfg}
	parts := []fx.Option{options(g, obs)}
	if g.has("edge") {
		parts = append(parts, fx.Populate(&n.edge, &n.unanswered))
	}
	if g.has("media") {
		parts = append(parts, fx.Populate(&n.calls))
	}
	n.app = fx.New(parts...)
	if err := n.app.Start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start: %w", err), n.stop())
	}
	if err := n.openDoor(obs); err != nil {
		return nil, errors.Join(fmt.Errorf("start: %w", err), n.stop())
	}
	g.up.Store(true)
	for _, line := range cfg.Unserved() {
		log.Info("not served", "setting", line)
	}
	log.Info("node is up", n.named()...)
	return n, nil
}

// named is what the log says of a node that is up. Other nodes know its edge by
// an id.
func (n *node) named() []any {
	attrs := []any{"node", n.cfg.Node.Name, "roles", n.cfg.Node.Roles, "version", version()}
	if n.edge != nil {
		attrs = append(attrs, "edge", n.ground.edgeID())
	}
	return attrs
}

// serve returns when the node should stop: after a signal and its drain, or
// when a part failed. fx hears signals too and tells them with exit code 0: no
// part has failed then, and the signal comes by its own way.
func (n *node) serve(signals <-chan os.Signal) error {
	parts, nats := n.app.Wait(), n.ground.base.Wait()
	for {
		select {
		case failed := <-parts:
			if failed.ExitCode != 0 {
				n.log.Error("a part of the node failed; it stops", "exit_code", failed.ExitCode)
				return errSilent
			}
		case failed := <-nats:
			if failed.ExitCode != 0 {
				n.log.Error("NATS failed; the node stops", "exit_code", failed.ExitCode)
				return errSilent
			}
		case <-signals:
			n.drain(signals)
			return nil
		}
	}
}

// reloadOnHangup reads the certificate again with each SIGHUP, until stop.
func (n *node) reloadOnHangup() (stop func()) {
	hangups, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-hangups:
				n.reload()
			case <-over:
				return
			}
		}
	}()
	return func() { signal.Stop(hangups); close(over) }
}

func (n *node) reload() {
	if n.edge == nil {
		return
	}
	if err := n.edge.ReloadCertificate(); err != nil {
		n.log.Error("certificate not read; the one before stays", "err", err)
	}
}

// stop ends the roles, the edge first, then what they stood on, NATS last.
func (n *node) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if n.door != nil {
		n.door.Close()
	}
	err := n.app.Stop(ctx)
	if err := errors.Join(err, n.ground.close(ctx)); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	n.log.Info("node is down", "node", n.cfg.Node.Name)
	return nil
}
