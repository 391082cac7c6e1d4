package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/fx"

	"patchbay/config"
	"patchbay/internal/telemetry"
)

// settings returns a configuration on free ports of 127.0.0.1, over which the
// given settings go.
func settings(t *testing.T, set map[string]string) config.Config {
	t.Helper()
	flags := map[string]string{
		"node.name": "test", "node.data_dir": t.TempDir(), "sip.udp": "127.0.0.1:0", "sip.tcp": "127.0.0.1:0", "sip.ws": "127.0.0.1:0",
		"nats.listen": "127.0.0.1:" + freePort(t), "http.listen": "127.0.0.1:" + freePort(t), "http.tls_listen": "127.0.0.1:0", "log.level": "debug",
		"nats.start_wait": "2m", "sip.owner_timeout": "20s", "actor.store_timeout": "20s", "actor.intake_timeout": "5s",
		"control.request_timeout": "1m",  // a busy machine takes longer than an operator would wait
		"media.agent_timeout":     "10m", // and calls that ring are to be up for as long as a test asks about them
	}
	for k, v := range set {
		flags[k] = v
	}
	cfg, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// nextPort counts up below the range from which the kernel takes ports of its
// own: one that is free now stays so until the node has it.
var nextPort atomic.Uint32

func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := fmt.Sprint(14_000 + (uint32(os.Getpid())*64+nextPort.Add(1))%6_000)
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		_ = l.Close()
		return port
	}
	t.Fatal("no port is free from 14000 to 19999")
	return ""
}

func TestEveryRoleIsWired(t *testing.T) {
	t.Parallel()
	for _, roles := range [][]string{{"edge"}, {"actor"}, {"media"}, {"control"}, {"broker"}, config.Roles} {
		set := map[string]string{"node.roles": strings.Join(roles, ",")}
		if !slices.Contains(roles, "broker") {
			set["nats.url"] = "nats://127.0.0.1:1"
		}
		cfg := settings(t, set)
		g := &ground{cfg: cfg, log: slog.New(slog.DiscardHandler)}
		err := fx.ValidateApp(options(g, observers{log: g.log, metrics: telemetry.New()}))
		if err != nil {
			t.Errorf("roles %v: %v", roles, err)
		}
	}
}

func TestTheFirstCallHearsItselfAndASecondStartFindsItsEndpoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var uris []string
	for range 2 {
		var out bytes.Buffer
		cfg := settings(t, map[string]string{"node.data_dir": dir})
		if err := runDemo(t.Context(), &out, cfg, true); err != nil {
			log, _ := os.ReadFile(filepath.Join(dir, "node.log"))
			t.Fatalf("demo: %v\n%s\n%s", err, out.String(), log)
		}
		for _, want := range []string{"answered          200 OK, codec PCMU", "audio round trip", "0 lost", "first-call.wav"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the report lacks %q:\n%s", want, out.String())
			}
		}
		_, uri, _ := strings.Cut(out.String(), "\n  sip:")
		slug, _, _ := strings.Cut(uri, "@")
		uris = append(uris, slug)
	}
	if uris[0] == "" || uris[0] != uris[1] {
		t.Errorf("the second start has another endpoint")
	}
	for _, name := range []string{"cluster.key", "admin.key"} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", name, st, err)
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, "node.log"))
	if err != nil || bytes.Contains(log, []byte(strings.TrimPrefix(uris[0], "demo-"))) {
		t.Errorf("the log holds the slug's secret (%v)", err)
	}
}

func TestATakenPortStopsTheStartAndNamesItsSetting(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, key := range []string{"sip.tcp", "http.listen", "http.tls_listen", "nats.listen"} {
		cfg := settings(t, map[string]string{key: taken.Addr().String()})
		n, err := startNode(context.Background(), cfg, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Errorf("%s: the node started on a taken port", key)
			_ = n.stop()
			continue
		}
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%s: the error does not name it: %v", key, err)
		}
	}
}
