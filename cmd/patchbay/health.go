package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// maxHealth is the most of a node's answer that health shows, bytes.
const maxHealth = 4096

func healthCommand() *cobra.Command {
	var live bool
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the node on this machine whether it is ready; exit 0 when it is",
		Long: `Ask the node on this machine, where http.listen says that it listens, whether it can serve: it is GET /readyz
for containers, which have no other program to ask with. Settings are read as "patchbay serve" reads them.
--live asks only whether the process runs. Restart nothing because it is not ready: a node without NATS still carries
its calls.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			path := "/readyz"
			if live {
				path = "/livez"
			}
			at, err := healthAddress(cfg.HTTP.Listen)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), limit)
			defer cancel()
			return askHealth(ctx, cmd.OutOrStdout(), "http://"+at+path)
		},
	}
	settingFlags(cmd.Flags())
	cmd.Flags().BoolVar(&live, "live", false, "ask only whether the process runs")
	cmd.Flags().DurationVar(&limit, "limit", 3*time.Second, "longest wait for the answer")
	return cmd
}

// healthAddress is where a node that listens at listen is reached from its own
// machine.
func healthAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("%w: http.listen %q: a node without a web listener cannot be asked", errUsage, listen)
	}
	if port == "0" {
		return "", fmt.Errorf("%w: http.listen %q: the port is any free one, so it cannot be known here", errUsage, listen)
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && addr.IsUnspecified() && addr.Is4():
		host = "127.0.0.1"
	case err == nil && addr.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

// askHealth prints what the node says. Whatever is not 200 is no health.
func askHealth(ctx context.Context, out io.Writer, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	// A proxy of the environment is for the outside.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the node: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHealth))
	if err != nil {
		return fmt.Errorf("ask the node: %w", err)
	}
	fmt.Fprintln(out, strings.TrimSpace(string(body)))
	if resp.StatusCode != http.StatusOK {
		return errSilent
	}
	return nil
}
