package cluster_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/broker"
	"patchbay/cluster/stream"
	"patchbay/cluster/subject"
)

func TestAConnectionIsHealthyWhileJetStreamAnswers(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	c := connect(t, srv)
	if err := c.Healthy(); err != nil {
		t.Fatal(err)
	}
	srv.Close()
	eventually(t, "the connection is unhealthy", func() bool { return c.Healthy() != nil })
	if err := c.Healthy(); !errors.Is(err, cluster.ErrUnhealthy) {
		t.Errorf("got %v", err)
	}
}

func TestANodeWithoutNATSSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	if _, err := cluster.Connect(cluster.Options{Name: "n"}, log); err == nil || !strings.Contains(err.Error(), "broker") {
		t.Errorf("no broker and no url: %v", err)
	}
	c, err := cluster.Connect(cluster.Options{Name: "n", URL: "nats://127.0.0.1:1", Wait: time.Millisecond}, log)
	if err != nil {
		t.Fatalf("a server that is away must be waited for: %v", err)
	}
	if err := c.Healthy(); err == nil {
		t.Error("healthy without a server")
	}
	if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "nats.start_wait") {
		t.Errorf("run: %v", err)
	}
}

func TestADoorReportsWhatItCannotReadAndGoesOn(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	bad := make(chan string, 4)
	got := make(chan call.Transmission, 4)
	first := true
	door, err := cluster.OpenEdgeDoor(c, "e", nil, func(tx call.Transmission, _ func(bool)) {
		if first {
			first = false
			panic("ouch")
		}
		got <- tx
	}, cluster.DoorObserver{
		Malformed: func(subject string, _ error) { bad <- subject },
		Panic:     func(v any) { bad <- fmt.Sprint(v) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.Close)
	flush(t, c)
	if err := c.Hot().Publish(subject.Send("e"), []byte("rubbish")); err != nil {
		t.Fatal(err)
	}
	w := newWire(t, c, nobodyGone)
	for range 2 {
		w.Transmit(call.Transmission{Flow: call.Flow{Edge: "e"}, Raw: ok200})
	}
	await(t, got)
	if s := await(t, bad); s != subject.Send("e") {
		t.Errorf("got %s", s)
	}
	if s := await(t, bad); s != "ouch" {
		t.Errorf("got %s", s)
	}
}

func TestSlotsStayWithTheirNode(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	now := time.Unix(1_700_000_000, 0)
	open := func(node string) *cluster.Slots {
		s, err := cluster.OpenSlots(t.Context(), c, stream.Terms{}, node, func() time.Time { return now }, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	claim := func(node string) call.Slot {
		t.Helper()
		n, err := open(node).Claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, want := range []struct {
		after time.Duration
		node  string
		slot  call.Slot
	}{
		{0, "m1", 1}, {0, "m2", 2}, {0, "m1", 1}, // a restart
		{20 * time.Hour, "m2", 2}, {3 * time.Hour, "m3", 3}, // m1 is 23 h silent
		{2 * time.Hour, "m4", 1}, {0, "m1", 4}, // m1 has lost its own
	} {
		now = now.Add(want.after)
		if got := claim(want.node); got != want.slot {
			t.Errorf("%s got slot %d, want %d", want.node, got, want.slot)
		}
	}
}

func TestNodesThatStartTogetherGetDifferentSlots(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	const nodes = 8
	got := make(chan call.Slot, nodes)
	for i := range nodes {
		s, err := cluster.OpenSlots(t.Context(), c, stream.Terms{}, fmt.Sprintf("m%d", i), time.Now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			n, err := s.Claim(t.Context())
			if err != nil {
				t.Error(err)
			}
			got <- n
		}()
	}
	seen := map[call.Slot]bool{}
	for range nodes {
		n := await(t, got)
		if seen[n] || n < 1 || n > nodes {
			t.Errorf("slot %d was given twice, or is none of 1 to %d", n, nodes)
		}
		seen[n] = true
	}
}

func TestALeaseThatIsRenewedIsKept(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	now := time.Unix(1_700_000_000, 0)
	clock := func() time.Time { return now }
	log := slog.New(slog.DiscardHandler)
	m1, err := cluster.OpenSlots(t.Context(), c, stream.Terms{}, "m1", clock, log)
	if err != nil {
		t.Fatal(err)
	}
	m2, err := cluster.OpenSlots(t.Context(), c, stream.Terms{}, "m2", clock, log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m1.Claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		now = now.Add(time.Hour)
		if err := m1.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := m2.Claim(t.Context()); n != 2 || err != nil {
		t.Errorf("m2 got slot %d, %v; want 2", n, err)
	}
	now = now.Add(25 * time.Hour)
	m3, err := cluster.OpenSlots(t.Context(), c, stream.Terms{}, "m3", clock, log)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := m3.Claim(t.Context()); n != 1 || err != nil {
		t.Fatalf("m3 got slot %d, %v; want 1", n, err)
	}
	if err := m1.Renew(t.Context()); err == nil {
		t.Error("m1 renewed a slot that is m3's")
	}
}

func TestWorkersGetOffersAndAgentsGiveCommands(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	w, err := cluster.OpenWorkers(c, cluster.DoorObserver{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	flush(t, c)
	if _, err := w.Offer(t.Context(), "a1", []byte("offer")); !errors.Is(err, cluster.ErrNoWorker) {
		t.Errorf("nobody there: %v", err)
	}
	cancelled := make(chan string, 1)
	for subj, take := range map[string]nats.MsgHandler{
		subject.Offer("a1"):                  func(m *nats.Msg) { _ = m.Respond(append([]byte("answer to "), m.Data...)) },
		subject.Worker("a1", "w7", "cancel"): func(m *nats.Msg) { cancelled <- string(m.Data) },
	} {
		sub, err := c.Hot().QueueSubscribe(subj, subject.Workers, take)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sub.Unsubscribe() })
	}
	flush(t, c)
	if got, err := w.Offer(t.Context(), "a1", []byte("offer")); err != nil || string(got) != "answer to offer" {
		t.Errorf("got %s, %v", got, err)
	}
	if err := w.Cancel("a1", "w7", []byte("bye")); err != nil || await(t, cancelled) != "bye" {
		t.Error(err)
	}
	stop := w.SubscribeCommands("a1", 5, func(cmd []byte) []byte { return append([]byte("did "), cmd...) })
	if m, err := c.Hot().Request(subject.CallDo(5), []byte("hangup"), patience); err != nil || string(m.Data) != "did hangup" {
		t.Errorf("got %v, %v", m, err)
	}
	if m, err := c.Hot().Request(subject.AgentDo("a1", 5), []byte("hangup"), patience); err != nil || string(m.Data) != "did hangup" {
		t.Errorf("got %v, %v", m, err)
	}
	if _, err := c.Hot().Request(subject.AgentDo("a2", 5), []byte("hangup"), 50*time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("the agent of another call commands it: %v", err)
	}
	told := make(chan string, 1)
	sub, err := c.Hot().Subscribe(subject.AgentEvents("a1", 5), func(m *nats.Msg) { told <- string(m.Data) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	flush(t, c)
	w.PublishEvent("a1", 5, []byte("ringing"))
	if got := await(t, told); got != "ringing" {
		t.Errorf("heard %q", got)
	}
	stop()
	stop()
	if _, err := c.Hot().Request(subject.CallDo(5), []byte("hangup"), 50*time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("a call that has ended: %v", err)
	}
}

func TestANodeConnectsToABrokerThatStartsLater(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	srv, err := broker.New(broker.Config{Name: "late", StoreDir: t.TempDir(), MaxStore: 1 << 30, StartWait: patience}, log)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Connect(cluster.Options{Name: "n", Server: srv, Wait: patience}, log)
	if err != nil {
		t.Fatal(err)
	}
	run(t, srv)
	run(t, c)
	if err := c.Healthy(); err != nil {
		t.Error(err)
	}
}
