package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/control"
)

// A tenancy is a node whose NATS API keys open, and its operator.
type tenancy struct {
	t    *testing.T
	node *node
	log  diary
	url  string // of NATS, without a credential
	host string // of it
	key  string // file of the operator's
}

func newTenancy(t *testing.T) *tenancy {
	t.Helper()
	dir := keyFiles(t, "operator")
	y := &tenancy{t: t, key: filepath.Join(dir, "operator.key")}
	cfg := settings(t, map[string]string{"nats.auth": "roles", "nats.tenants": "true", "node.cluster_key_file": filepath.Join(dir, clusterKeyFile)})
	y.host = cfg.NATS.Listen
	y.url = "nats://" + y.host
	var err error
	if y.node, err = startNode(t.Context(), cfg, slog.New(slog.NewTextHandler(&y.log, nil))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = y.node.stop() })
	return y
}

// operator runs ctl as the operator.
func (y *tenancy) operator(args ...string) string {
	y.t.Helper()
	out, err := command(y.t, append([]string{"ctl", "--nats", y.url, "--key", y.key, "--timeout", patience.String()}, args...)...)
	if err != nil {
		y.t.Fatalf("ctl %v: %v: %s", args, err, out)
	}
	return out
}

// keyOf makes an API key of a tenant.
func (y *tenancy) keyOf(tenant string, scopes ...string) control.MadeKey {
	y.t.Helper()
	args := []string{"--tenant", tenant, "--json", "key", "create", "--name", "key"}
	for _, s := range scopes {
		args = append(args, "--scope", s)
	}
	var k control.MadeKey
	if err := json.Unmarshal([]byte(y.operator(args...)), &k); err != nil || k.Secret == "" {
		y.t.Fatalf("key: %v", err)
	}
	return k
}

// as is NATS's address with a name and a secret.
func (y *tenancy) as(name, secret string) string {
	return "nats://" + name + ":" + secret + "@" + y.host
}

func TestATenantsProgramsWorkOverNATSWithTheirAPIKeyUntilItIsRevoked(t *testing.T) {
	t.Parallel()
	y := newTenancy(t)
	y.operator("account", "create", "acme")
	y.operator("account", "create", "globex")
	whole, reads := y.keyOf("acme", "*"), y.keyOf("acme", "agents:read", "endpoints:read")
	within := func(limit string, k control.MadeKey, tenant string, args ...string) (string, error) {
		return command(t, append([]string{"ctl", "--nats", y.as(k.ID, k.Secret), "--tenant", tenant, "--timeout", limit}, args...)...)
	}
	ctl := func(k control.MadeKey, tenant string, args ...string) (string, error) {
		return letIn(t, func() (string, error) { return within("1m", k, tenant, args...) })
	}
	if out, err := ctl(whole, "acme", "agent", "create", "--name", "desk", "--nats-workers"); err != nil {
		t.Fatalf("the whole tenant's key: %v: %s", err, out)
	}
	if out, err := ctl(reads, "acme", "agent", "list"); err != nil || !strings.Contains(out, "desk") {
		t.Errorf("a key that reads: %v: %s", err, out)
	}
	// What NATS refuses is a request without an answer.
	if out, err := within("2s", reads, "acme", "agent", "create", "--name", "other", "--nats-workers"); err == nil {
		t.Errorf("a key that reads creates: %s", out)
	}
	if out, err := within("2s", whole, "globex", "agent", "list"); err == nil {
		t.Errorf("another tenant's agents: %s", out)
	}
	ended := make(chan struct{})
	var nc *nats.Conn
	if _, err := letIn(t, func() (_ string, err error) {
		nc, err = nats.Connect(y.as(whole.ID, whole.Secret), nats.Timeout(patience), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(ended) }))
		if err != nil {
			err = fmt.Errorf("reach NATS: %w", err)
		}
		return "", err
	}); err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	y.operator("--tenant", "acme", "key", "revoke", whole.ID)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("a revoked key stays connected")
	}
	if err := turnedAway(t, func() (string, error) { return within("1m", whole, "acme", "agent", "list") }); !errors.Is(err, control.ErrUnknown) {
		t.Errorf("a revoked key: %v", err)
	}
	if log := y.log.String(); strings.Contains(log, whole.Secret) || strings.Contains(log, reads.Secret) {
		t.Error("the log has a key")
	}
}

func TestAWorkerWithAnAPIKeyAnswersCallsOfItsTenantsAgent(t *testing.T) {
	t.Parallel()
	y := newTenancy(t)
	y.operator("account", "create", "acme")
	var agent control.AgentView
	if err := json.Unmarshal([]byte(y.operator("--tenant", "acme", "--json", "agent", "create", "--name", "desk", "--nats-workers")), &agent); err != nil {
		t.Fatal(err)
	}
	var ep control.EndpointView
	if err := json.Unmarshal([]byte(y.operator("--tenant", "acme", "--json", "endpoint", "create", "--name", "Desk", "--agent", agent.ID)), &ep); err != nil || ep.Slug == "" {
		t.Fatalf("endpoint: %v", err)
	}
	key := y.keyOf("acme", "agents:answer")
	if _, err := nats.Connect(y.as("worker.dec0de00-0000-4000-8000-000000000001", key.Secret)); err == nil {
		t.Error("a worker of an agent that the tenant does not have is let in")
	}
	done := make(chan error, 1)
	go func() {
		_, err := letIn(t, func() (string, error) {
			return command(t, "echo-agent", "--agent", agent.ID, "--nats", y.as("worker."+agent.ID, key.Secret), "--key", "")
		})
		done <- err
	}()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for end := time.Now().Add(patience); ; { // the worker may need a moment to be there
		out, err := testCall(t, "sip:"+ep.Slug+"@"+y.node.edge.Addrs().UDP.String())
		if err == nil && strings.Contains(out, "answered          200 OK") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no call: %v: %s\n%s", err, out, y.log.String())
		}
	}
}
