package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// testCall runs a test call and returns its report.
func testCall(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetArgs(append([]string{"call"}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestATestCallSendsItsMessagesToTheEdgesThatAreNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	stop, err := startDemoAgent(t.Context(), b.node, b.node.log)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	made, err := b.demo("provision", "--nats=nats://"+b.cfg.NATS.Listen, "--edge", "edges.invalid")
	if err != nil {
		t.Fatal(err)
	}
	_, uri, _ := strings.Cut(made, "\n  ")
	at := b.node.edge.Addrs().UDP.String()
	out, err := testCall(t, strings.TrimSpace(uri), "--edge", at+","+at, "--talk", "3s")
	if err != nil || !strings.Contains(out, "answered          200 OK") || strings.Contains(out, "BYE") {
		t.Errorf("a call by way of its edges: %v\n%s", err, out)
	}
	if out, err := testCall(t, strings.TrimSpace(uri), "--edge", "edges.invalid"); !errors.Is(err, errUsage) {
		t.Errorf("an edge that is no address: %v\n%s", err, out)
	}
}
