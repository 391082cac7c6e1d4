package cluster_test

import (
	"testing"

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
