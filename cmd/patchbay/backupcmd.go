package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"patchbay/cluster"
	"patchbay/cluster/backup"
	"patchbay/cluster/broker"
	"patchbay/config"
	"patchbay/internal/lifecycle"
)

func (r *remote) backupCommand() *cobra.Command {
	return &cobra.Command{Use: "backup <directory>", Short: "Copy the cluster's data into a new directory, while it runs",
		Long: `Copy the cluster's data into a new directory, while it runs: configuration, keys, slots, records and events, each stream as it
was at one moment. Slugs are in it in the clear, and agents' secrets sealed; cluster.key is not: keep it apart. "patchbay restore"
reads it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := r.dial()
			if err != nil {
				return err
			}
			defer client.Conn.Close()
			all, err := backup.Save(cmd.Context(), client.Conn, args[0])
			if err != nil {
				return err
			}
			return printStreams(cmd.OutOrStdout(), all)
		}}
}

func printStreams(w io.Writer, all []backup.Stream) error {
	for _, s := range all {
		if _, err := fmt.Fprintf(w, "%s: %d messages, %d bytes\n", s.Name, s.Messages, s.Bytes); err != nil {
			return err
		}
	}
	return nil
}

func restoreCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "restore <directory>", Short: "Make the data of a node that is stopped out of a backup",
		Long: `Make the data of a node out of what "patchbay ctl backup" wrote. The node must be stopped and have none of the streams yet:
node.data_dir is new, or was moved away. Put cluster.key of the old cluster into it before the node starts. A NATS of your own
restores the same files with "nats stream restore".`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			all, err := restoreInto(cmd.Context(), cfg, args[0])
			if err != nil {
				return err
			}
			return printStreams(cmd.OutOrStdout(), all)
		}}
	settingFlags(cmd.Flags())
	return cmd
}

// restoreInto runs a broker on the node's data, for nobody else, and restores a
// backup there.
func restoreInto(ctx context.Context, cfg config.Config, dir string) (all []backup.Stream, err error) {
	log := slog.New(slog.DiscardHandler)
	if err := backup.Check(dir); err != nil { // before anything is made in node.data_dir
		return nil, err
	}
	if err := os.MkdirAll(cfg.Node.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make node.data_dir: %w", err)
	}
	srv, err := broker.New(broker.Config{Name: "restore", StoreDir: filepath.Join(cfg.Node.DataDir, "jetstream"),
		MaxStore: cfg.NATS.MaxStore, SyncAlways: cfg.NATS.SyncAlways, StartWait: cfg.NATS.StartWait}, log)
	if err != nil {
		return nil, err
	}
	conn, err := cluster.Connect(cluster.Options{Name: "restore", Server: srv, Wait: cfg.NATS.StartWait}, log)
	if err != nil {
		return nil, err
	}
	app := fx.New(quiet(log), fx.StartTimeout(cfg.NATS.StartWait+5*time.Second), fx.StopTimeout(stopTimeout), fx.Supply(srv, conn, log),
		fx.Invoke(lifecycle.Attach[*broker.Server], lifecycle.Attach[*cluster.Conn]))
	if err := app.Start(ctx); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, app.Stop(stop))
	}()
	return backup.Restore(ctx, conn.Control(), dir)
}
