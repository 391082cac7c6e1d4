package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"patchbay/control"
	"patchbay/internal/golden"
)

func shown(t *testing.T, all ...control.NodeView) string {
	t.Helper()
	raw, err := json.Marshal(control.Page[control.NodeView]{Items: all})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := showCluster(&out, raw); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAClusterIsShownWithWhatIsWrongInIt(t *testing.T) {
	t.Parallel()
	broker := func(name string, b control.BrokerView) control.NodeView {
		b.Of = 3
		return control.NodeView{Node: name, State: "ready", Roles: []string{"broker"}, Version: "0.3.0", UptimeS: 30, Broker: &b}
	}
	golden.Compare(t, "testdata/cluster.golden", []byte(shown(t,
		control.NodeView{Node: "actor-1", State: "ready", Roles: []string{"actor"}, Version: "0.3.0", UptimeS: 200_000, Partitions: 120},
		control.NodeView{Node: "actor-2", State: "draining", Roles: []string{"actor"}, Version: "0.3.0", UptimeS: 7300, Partitions: 100},
		broker("broker-1", control.BrokerView{Brokers: 3, Leads: []string{"EVENTS", "KV_calls"}, Behind: []string{"EVENTS on broker-3: offline"}}),
		broker("broker-2", control.BrokerView{Brokers: 2}),
		control.NodeView{Node: "edge-1", State: "unready", Reason: "cluster: not healthy: NATS is not connected", Roles: []string{"edge"}, Version: "0.2.0", UptimeS: 300},
		control.NodeView{Node: "media-1", State: "ready", Roles: []string{"media"}, Version: "0.3.0", UptimeS: 4000, Calls: 12, Capacity: 2000, Slot: 1},
		control.NodeView{Node: "media-2", State: "silent", Reason: "its beats have stopped", Roles: []string{"media"}, Calls: 9, Slot: 2, UptimeS: 4000})))
}

func TestAWholeClusterHasNothingWrongInIt(t *testing.T) {
	t.Parallel()
	out := shown(t, control.NodeView{Node: "pb", State: "ready", Roles: []string{"edge", "actor", "media", "control", "broker"}, Version: "0.3.0",
		Partitions: 256, Capacity: 2000, Slot: 1, Broker: &control.BrokerView{Brokers: 1, Of: 1}})
	if strings.Contains(out, "!") || !strings.Contains(out, "nodes: 1 ready; calls: 0 of 2000; partitions owned: 256 of 256") {
		t.Errorf("got\n%s", out)
	}
}

func TestANodeSaysHowItIs(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.until("it is ready", func() bool { return b.node.status().State == "ready" })
	s := b.node.status()
	if s.State != "ready" || s.Slot == 0 || s.Capacity == 0 || s.Broker == nil || s.Broker.Brokers != 1 || s.Partitions != 256 {
		t.Errorf("got %+v, broker %+v", s, s.Broker)
	}
	if len(s.Broker.Leads) < 5 || len(s.Broker.Behind) != 0 {
		t.Errorf("it leads %v; behind are %v", s.Broker.Leads, s.Broker.Behind)
	}
	b.node.act("drain")
	if s := b.node.status(); s.State != "draining" {
		t.Errorf("draining: %+v", s)
	}
	b.node.act("resume")
}

// A meanwhile is a log whose reader does something else when it reads a message.
type meanwhile struct {
	slog.Handler
	message string
	do      func()
}

func (m meanwhile) Enabled(context.Context, slog.Level) bool { return true }

func (m meanwhile) Handle(_ context.Context, r slog.Record) error {
	if r.Message == m.message {
		m.do()
	}
	return nil
}

func TestANodeThatIsToldToStopWhileADrainEndsTakesNoCallsAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	told := make(chan struct{})
	b.node.log = slog.New(meanwhile{slog.DiscardHandler, "the operator ends the drain", func() {
		go func() { b.node.leave(); close(told) }()
		time.Sleep(50 * time.Millisecond) // it may wait until the drain has ended, but not be undone
	}})
	b.node.act("drain")
	b.node.act("resume")
	<-told
	if s := b.node.status(); s.State != "draining" {
		t.Errorf("it takes calls: %+v", s)
	}
}
