package rig

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/cluster/subject"
	"patchbay/internal/echoagent"
)

// An Echo is an agent of a node and the worker in the test process that
// answers its offers over NATS and sends back what it hears.
type Echo struct {
	Agent string // id
	conn  *nats.Conn
	seen  atomic.Int64
}

// Echo creates an agent behind the NATS connector and runs its worker until
// the test ends.
func (o *Operator) Echo(t testing.TB) *Echo {
	t.Helper()
	e := &Echo{Agent: o.Agent(t, "nats", nil).ID, conn: o.node.Connect(t)}
	if _, err := e.conn.Subscribe(subject.Offer(e.Agent), func(*nats.Msg) { e.seen.Add(1) }); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- echoagent.Run(ctx, e.conn, e.Agent, echoagent.Options{}, ready) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	case <-time.After(controlLimit):
		t.Fatal("the echo agent is not ready")
	}
	t.Cleanup(func() {
		stop()
		select {
		case <-ended:
		case <-time.After(stopLimit):
			t.Error("the echo agent did not leave its calls")
		}
	})
	e.Wait(t)
	return e
}

// Offers is how many offers the agent had.
func (e *Echo) Offers() int { return int(e.seen.Load()) }

// Wait waits until the worker is subscribed, again after a restart of its node.
func (e *Echo) Wait(t testing.TB) {
	t.Helper()
	WaitFor(t, controlLimit, "the worker subscribed", func() bool { return e.conn.IsConnected() && e.conn.Flush() == nil })
}

// A Worker is an echo agent in a process of its own: it can crash.
type Worker struct{ proc *process }

// Worker starts a worker of an agent that answers on NATS, and waits for its
// first heartbeat.
func (o *Operator) Worker(t testing.TB, agent, name string) *Worker {
	t.Helper()
	beats, err := o.Inside.SubscribeSync(subject.Heartbeat(agent))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = beats.Unsubscribe() }()
	args := []string{"echo-agent", "--nats", "nats://" + strings.ReplaceAll(o.node.NATS, ",", ",nats://"), "--agent", agent, "--worker", name}
	if o.node.key != "" {
		args = append(args, "--key", o.node.key)
	}
	w := &Worker{spawn(t, "", args)}
	t.Cleanup(func() {
		w.Crash()
		w.proc.examine(t)
	})
	for end := time.Now().Add(startLimit); time.Now().Before(end); {
		m, err := beats.NextMsg(controlLimit)
		if err == nil && strings.Contains(string(m.Data), `"`+name+`"`) {
			return w
		}
	}
	t.Fatalf("worker %s has no heartbeat:\n%s", name, w.proc.log())
	return nil
}

// Crash kills the worker: nobody is told.
func (w *Worker) Crash() {
	_ = w.proc.cmd.Process.Kill() // it may have ended
	<-w.proc.done
}
