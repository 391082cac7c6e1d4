package cluster_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/cluster"
	"patchbay/cluster/subject"
)

func TestAWorkerMayRefuseByHeadersAlone(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	w, err := cluster.OpenWorkers(c, cluster.DoorObserver{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	sub, err := c.Hot().QueueSubscribe(subject.Offer("a1"), subject.Workers, func(m *nats.Msg) {
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Nats-Service-Error-Code": {"503"}, "Nats-Service-Error": {"busy"}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	flush(t, c)
	got, err := w.Offer(t.Context(), "a1", []byte("offer"))
	if want := `{"error":{"code":503,"message":"busy"}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// A worker names the subject of the answer, and the media node writes there with
// its own permissions: those of calls' snapshots and of other nodes' doors.
func TestAnAnswerToAWorkerGoesToAnInboxOrNowhere(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	refused := make(chan error, 1)
	w, err := cluster.OpenWorkers(c, cluster.DoorObserver{Malformed: func(_ string, err error) { refused <- err }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	t.Cleanup(w.SubscribeCommands("a1", 7, func([]byte) []byte { return []byte("done") }))
	heard, err := c.Hot().SubscribeSync("$KV.calls.c.1")
	if err != nil {
		t.Fatal(err)
	}
	flush(t, c)
	if err := c.Hot().PublishRequest(subject.AgentDo("a1", 7), "$KV.calls.c.1", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-refused:
	case <-time.After(patience):
		t.Fatal("nobody heard that the reply was no inbox")
	}
	if m, err := c.Hot().Request(subject.AgentDo("a1", 7), []byte("{}"), patience); err != nil || string(m.Data) != "done" {
		t.Errorf("at an inbox: %v, %v", m, err)
	}
	if n, _, err := heard.Pending(); err != nil || n != 0 {
		t.Errorf("%d answers were written where a call is kept (%v)", n, err)
	}
}
