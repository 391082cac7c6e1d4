package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// demo runs a command of the demo against a node.
func (b *bench) demo(args ...string) (string, error) {
	var out bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetArgs(append([]string{"demo"}, args...))
	err := cmd.ExecuteContext(b.t.Context())
	return out.String(), err
}

func TestTheDemoOfAClusterIsMadeOnceAndCalledThroughItsEdges(t *testing.T) {
	t.Parallel()
	b := newBench(t, map[string]string{"media.agent_timeout": "20s"}) // a call without an agent is refused before its caller gives up
	nats := "--nats=nats://" + b.cfg.NATS.Listen
	first, err := b.demo("provision", nats, "--edge", "one.example:5060", "--edge", "two.example:5070")
	if err != nil || strings.Count(first, "\n  sip:demo-") != 2 || !strings.Contains(first, "@two.example:5070\n") {
		t.Fatalf("provision: %v\n%s", err, first)
	}
	if again, err := b.demo("provision", nats, "--edge", "one.example:5060", "--edge", "two.example:5070"); err != nil || again != first {
		t.Errorf("provisioned again: %v\n%s\nwant\n%s", err, again, first)
	}
	at := b.node.edge.Addrs().UDP.String()
	if out, err := b.demo("call", nats, "--talk", "300ms", at); !errors.Is(err, errSilent) || !strings.Contains(out, "refused") {
		t.Errorf("a call without an agent: %v\n%s", err, out)
	}
	stop, err := startDemoAgent(t.Context(), b.node, b.node.log)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	over := b.node.edge.Addrs().TCP.String() + ";transport=tcp"
	out, err := b.demo("call", nats, "--talk", "3s", at, over)
	if err != nil || strings.Count(out, "answered          200 OK") != 2 || !strings.Contains(out, "A call through "+over) {
		t.Errorf("calls through two listeners: %v\n%s", err, out)
	}
}

func TestTheDemoSaysThatNoClusterAnswers(t *testing.T) {
	t.Parallel()
	b := &bench{t: t}
	out, err := b.demo("provision", "--nats=nats://127.0.0.1:"+freePort(t), "--wait", "1ms")
	if err == nil || out != "" || !strings.Contains(err.Error(), "reach NATS") {
		t.Errorf("nobody is there: %q, %v", out, err)
	}
}
