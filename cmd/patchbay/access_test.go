package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"patchbay/config"
	"patchbay/control"
	"patchbay/internal/keys"
)

// diary is a log that may be written and read at once.
type diary struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.b.Write(p)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.b.String()
}

// command runs one and returns what it printed.
func command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// workerOf is who the demo's echo agent is to NATS.
const workerOf = "worker." + demoAgentID

// keyFiles installs a cluster key, and one derived of it for each.
func keyFiles(t *testing.T, who ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	args := []string{"keys", "install", dir}
	for _, w := range who {
		args = append(args, "--derived", w+"="+filepath.Join(dir, w+".key"))
	}
	if out, err := command(t, args...); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// foreignNATS runs a NATS server as an operator would configure his own, with
// what keys nats prints.
func foreignNATS(t *testing.T, dir string) string {
	t.Helper()
	conf, err := command(t, "keys", "nats", "--key", filepath.Join(dir, clusterKeyFile), "--tenants", workerOf)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{clusterKeyFile, workerOf + ".key"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.Fields(string(text)) {
			if len(word) == 2*keys.Size && strings.Contains(conf, word) {
				t.Errorf("the configuration shows a secret of %s", name)
			}
		}
	}
	file := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("listen: \"127.0.0.1:-1\"\nserver_name: own\njetstream { store_dir: %q, sync_interval: always, limits { batch { max_msgs: 1200 } } }\ninclude ./patchbay.conf\n", t.TempDir())
	for name, body := range map[string]string{file: text, filepath.Join(dir, "patchbay.conf"): conf} {
		if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opts.NoLog, opts.NoSigs = true, true
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(patience) {
		t.Fatal("the NATS server is not ready")
	}
	return srv.ClientURL()
}

func TestProcessesOfOneRoleEachNeedNoMoreThanTheirPermissions(t *testing.T) {
	t.Parallel()
	dir := keyFiles(t, "edge", "actor", "media", "control", "operator", workerOf)
	url := foreignNATS(t, dir)
	var log diary
	var edge *node
	for _, role := range []string{"control", "actor", "media", "edge"} {
		cfg := settings(t, map[string]string{"node.name": role + "-1", "node.roles": role, "nats.url": url, "nats.auth": "roles", "nats.tenants": "true",
			"node.cluster_key_file": filepath.Join(dir, role+".key"), "media.allow_private_agents": "true"})
		n, err := startNode(t.Context(), cfg, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatalf("%s: %v\n%s", role, err, log.String())
		}
		t.Cleanup(func() { _ = n.stop() })
		edge = n
	}
	agent := make(chan error, 1)
	go func() {
		_, err := command(t, "echo-agent", "--nats", url, "--key", filepath.Join(dir, workerOf+".key"))
		agent <- err
	}()
	t.Cleanup(func() { <-agent })
	err := turnedAway(t, func() (string, error) { return command(t, "ctl", "node", "list", "--nats", url, "--key", "") })
	if err == nil || !strings.Contains(err.Error(), "--key names the cluster key") {
		t.Errorf("without a credential: %v", err)
	}
	operator := []string{"--nats", url, "--key", filepath.Join(dir, "operator.key"), "--timeout", patience.String()}
	at := edge.edge.Addrs().UDP.String()
	if out, err := command(t, append([]string{"demo", "provision", "--edge", at}, operator...)...); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// A worker may need a moment to be there.
	for end := time.Now().Add(patience); ; {
		out, err := command(t, append([]string{"demo", "call", at}, operator...)...)
		if err == nil && strings.Contains(out, "answered          200 OK") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no call: %v: %s\n%s", err, out, log.String())
		}
	}
	for _, ask := range [][]string{{"node", "list"}, {"call", "list"}, {"record", "list"}, {"endpoint", "list"}, {"backup", filepath.Join(t.TempDir(), "b")}} {
		if out, err := command(t, append(append([]string{"ctl"}, ask...), operator...)...); err != nil {
			t.Errorf("ctl %v: %v: %s", ask, err, out)
		}
	}
	opensByKey(t, url, operator)
	if text := log.String(); strings.Contains(strings.ToLower(text), "violation") {
		for line := range strings.Lines(text) {
			if strings.Contains(strings.ToLower(line), "violation") {
				t.Errorf("denied: %s", line)
			}
		}
	}
}

// letIn runs a command with a good API key until NATS has let it in: a server
// asks a control node, and on a busy machine the answer may come too late.
func letIn(t *testing.T, run func() (string, error)) (string, error) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		out, err := run()
		if err == nil || !strings.Contains(err.Error(), "reach NATS") || t.Context().Err() != nil || time.Now().After(end) {
			return out, err
		}
	}
}

// turnedAway runs a command without a good credential until NATS has answered it.
func turnedAway(t *testing.T, run func() (string, error)) error {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		_, err := run()
		if err == nil || errors.Is(err, control.ErrUnknown) || time.Now().After(end) {
			return err
		}
	}
}

// opensByKey has an API key open a NATS of the operator's own.
func opensByKey(t *testing.T, url string, operator []string) {
	t.Helper()
	out, err := command(t, append([]string{"ctl", "--json", "key", "create", "--name", "program", "--scope", "endpoints:read"}, operator...)...)
	var k control.MadeKey
	if err == nil {
		err = json.Unmarshal([]byte(out), &k)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for secret, want := range map[string]bool{k.Secret: true, "wrong": false} {
		at := strings.Replace(url, "://", "://"+k.ID+":"+secret+"@", 1)
		ask := func() (string, error) {
			return command(t, "ctl", "endpoint", "list", "--nats", at, "--key", "", "--timeout", patience.String())
		}
		if !want {
			if err := turnedAway(t, ask); err == nil {
				t.Error("a wrong secret opens NATS")
			}
			continue
		}
		if out, err := letIn(t, ask); err != nil {
			t.Errorf("an API key: %v: %s", err, out)
		}
	}
}

// patience is the longest wait for what should happen soon.
const patience = time.Minute

func TestADerivedKeyFileServesItsRoleAlone(t *testing.T) {
	t.Parallel()
	dir := keyFiles(t, "edge", "media+edge")
	c, err := keys.ReadCluster(filepath.Join(dir, "edge.key"))
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[keys.Purpose]bool{keys.Token: true, keys.Nonce: true, keys.Login("edge"): true,
		keys.Storage: false, keys.Snapshot: false, keys.Routes: false, keys.Login("actor"): false, keys.Login("operator"): false} {
		if got := c.Has(p); got != want {
			t.Errorf("an edge's file has %s: %v", p, got)
		}
	}
	whole, err := keys.ReadCluster(filepath.Join(dir, clusterKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if c.Derive(keys.Token).Secret.Reveal() != whole.Derive(keys.Token).Secret.Reveal() {
		t.Error("the edge's tokens are not the cluster's")
	}
	for _, c := range []struct {
		file, roles, want string
	}{
		{"edge.key", "media", "no key for snapshot"},
		{"edge.key", "broker", "a broker needs the cluster key"},
		{"media+edge.key", "media", "no NATS credential for media"},
	} {
		set := map[string]string{"node.roles": c.roles, "nats.auth": "roles", "node.cluster_key_file": filepath.Join(dir, c.file)}
		if c.roles != "broker" {
			set["nats.url"] = "nats://127.0.0.1:1"
		}
		_, err := startNode(t.Context(), settings(t, set), slog.New(slog.DiscardHandler))
		if !errors.Is(err, keys.ErrFormat) && err == nil || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s as %s: %v", c.file, c.roles, err)
		}
	}
	for _, who := range []string{"broker", "edge+broker", "nobody", "", "tenant.", "worker"} {
		if out, err := command(t, "keys", "derive", who, "--key", filepath.Join(dir, clusterKeyFile), "--out", filepath.Join(dir, "x")); err == nil {
			t.Errorf("derived for %q: %s", who, out)
		}
	}
	if _, err := command(t, "keys", "derive", "edge", "--key", filepath.Join(dir, "edge.key"), "--out", filepath.Join(dir, "x")); err == nil {
		t.Error("a derived key makes others")
	}
	if _, err := command(t, "keys", "derive", "tenant.acme", "--key", filepath.Join(dir, clusterKeyFile), "--out", filepath.Join(dir, "edge.key")); err == nil {
		t.Error("a key was written over")
	}
}

func TestAKeyFileForOthersSaysUserPasswordAndInbox(t *testing.T) {
	t.Parallel()
	dir := keyFiles(t, "tenant.acme")
	path := filepath.Join(dir, "tenant.acme.key")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# user tenant.acme\n", "# password ", "# inbox _INBOX_tenant.acme\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the file lacks %q", want)
		}
	}
	if at, err := os.Stat(path); err != nil || at.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v", at.Mode(), err)
	}
}

func TestCertificatesForBrokersAreMadeOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tls")
	if out, err := command(t, "tls", "broker-1,10.0.0.11", "broker-2", "--dir", dir); err != nil || !strings.Contains(out, "good for broker-1, 10.0.0.11") {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := command(t, "tls", "broker-1", "--dir", dir); err == nil {
		t.Error("a certificate was written over")
	}
	if out, err := command(t, "tls", "broker-1", "--dir", dir, "--renew"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := command(t, "tls", "../broker", "--dir", dir); !errors.Is(err, errUsage) {
		t.Errorf("a path: %v", err)
	}
	set := map[string]string{"nats.tls_cert_file": filepath.Join(dir, "broker-1.pem"), "nats.tls_key_file": filepath.Join(dir, "broker-1.key")}
	n, err := startNode(t.Context(), settings(t, set), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("a node by itself with TLS: %v", err)
	}
	if err := n.stop(); err != nil {
		t.Error(err)
	}
	set["nats.tls_key_file"] = filepath.Join(dir, "broker-2.key")
	if _, err := startNode(t.Context(), settings(t, set), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "nats.tls_cert_file") {
		t.Errorf("another's key: %v", err)
	}
}

func TestWhereNATSIsNotOnLoopbackItAsksWhoComes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		set  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"nats.listen": "0.0.0.0:4222"}, true},
		{map[string]string{"nats.listen": "0.0.0.0:4222", "nats.auth": "none"}, false},
		{map[string]string{"nats.auth": "roles"}, true},
		{map[string]string{"nats.cluster_listen": "10.0.0.1:6222", "nats.routes": "nats://a:1,nats://b:1"}, true},
		{map[string]string{"nats.url": "nats://127.0.0.1:1,nats://localhost:2,nats://[::1]:3"}, false},
		{map[string]string{"nats.url": "nats://127.0.0.1:1,nats://broker:2"}, true},
		{map[string]string{"nats.url": "nats://broker:2", "nats.credentials_file": "x"}, false},
	} {
		cfg, err := config.Load(config.Sources{Flags: c.set})
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.NATS.ByRoles(); got != c.want {
			t.Errorf("%v: %v", c.set, got)
		}
	}
}
