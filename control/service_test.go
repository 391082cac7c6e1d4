package control_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

func TestATenantWhoseRequestsHangDoesNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	store := newShelf()
	c := serve(t, store, nil) // of 8 places a tenant may take 2
	store.slow = make(chan struct{})
	store.accounts["globex"] = endpoint.Account{Tenant: "globex"}
	hang := make(chan error, 2)
	for range 2 {
		go func() {
			err := error(&control.Error{Code: control.CodeBusy})
			for codeOf(err) == control.CodeBusy { // one of the questions below had the place
				err = c.Do(context.WithoutCancel(t.Context()), "endpoint", "get", control.ID{ID: "none"}, nil)
			}
			hang <- err
		}()
	}
	for refusedAs(c, t) != control.CodeBusy { // until both hang
		time.Sleep(time.Millisecond)
	}
	for _, other := range []string{"globex", endpoint.OperatorTenant} {
		o := c
		o.Tenant = other
		mustDo[control.Page[control.EndpointView]](t, o, "endpoint", "list", control.PageRequest{})
	}
	close(store.slow)
	for range 2 {
		if err := <-hang; codeOf(err) != control.CodeNotFound {
			t.Error(err)
		}
	}
	for refusedAs(c, t) != "" { // the places are free again
		time.Sleep(time.Millisecond)
	}
}

// refusedAs returns the code of a list of endpoints.
func refusedAs(c control.Client, t *testing.T) control.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return codeOf(c.Do(ctx, "endpoint", "list", control.PageRequest{}, nil))
}

// NATS lets whoever asks name any subject for the reply, and asks the service's
// own permissions about it, which reach into all accounts.
func TestARequestWritesNothingWhereItsTenantMayNot(t *testing.T) {
	t.Parallel()
	store := newShelf()
	c := serve(t, store, nil)
	stolen := make(chan *nats.Msg, 16)
	for _, s := range []string{"$KV.endpoints.>", "pb.v1.evt.>", "pb.v1.call.>"} {
		sub, err := c.Conn.ChanSubscribe(s, stolen)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sub.Unsubscribe() })
	}
	for _, reply := range []string{"$KV.endpoints.acct.globex", "pb.v1.evt.3.globex.call.ended", "pb.v1.call.3.intake"} {
		for _, op := range []string{"agent.list", "agent.get", "agent.list.k1", "no.such.k1", "agent.create"} {
			if err := c.Conn.PublishRequest("pb.v1.ctl.acme."+op, reply, []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, op := range []string{"agent.list", "agent.get", "agent.list.k1", "no.such.k1", "agent.create"} { // come after them
		if _, err := c.Conn.Request("pb.v1.ctl.acme."+op, []byte(`{"id":7}`), 20*time.Second); err != nil {
			t.Fatal(op, err)
		}
	}
	select {
	case m := <-stolen:
		t.Errorf("%s: %s", m.Subject, m.Data)
	default:
	}
	if len(store.agents) != 0 {
		t.Error("a request that could not be answered was carried out")
	}
}
