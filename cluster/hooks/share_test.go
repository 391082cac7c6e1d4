package hooks_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/hooks"
	"patchbay/cluster/subject"
)

// TestAShardThatCouldNotBeGivenAwayIsGivenAwayLater has the marks of a node's
// shards be at another version than it knows, as where a write of its own has
// landed whose answer did not come.
func TestAShardThatCouldNotBeGivenAwayIsGivenAwayLater(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	var tenants []string
	for i := range 12 {
		tenants = append(tenants, fmt.Sprint("tenant-", i))
		d.add(tenants[i], fmt.Sprint("hook-", i), endpoint.WebhookNative, "call.started", "call.ringing", "call.answered", "call.ended")
	}
	one, _, _ := node(t, s.connect(), "n1", d, r)
	round := func(n int) {
		for i, tenant := range tenants {
			publishAll(t, js, tenant, 100*i+n*10+1, 100*i+n*10+2)
		}
		for i := range tenants {
			name := fmt.Sprint("hook-", i)
			eventually(t, name+" has heard of all", heardAll(r, name, 100*i+n*10+1, 100*i+n*10+2))
		}
		for i, tenant := range tenants {
			eventually(t, tenant+" knows that all is delivered", ended(t, js, tenant, fmt.Sprint("hook-", i), hooks.EndDelivered, (n+1)*len(life)))
		}
	}
	round(0)
	all := one.Waiting().Shards
	stream, err := js.Stream(t.Context(), subject.StreamHooks)
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	for n := range uint8(subject.EventShards) {
		m, err := stream.GetLastMsgForSubject(t.Context(), subject.HookMark(n))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err == nil {
			_, err = js.Publish(t.Context(), m.Subject, m.Data)
		}
		if err != nil {
			t.Fatal(err)
		}
		written++
	}
	if written != all {
		t.Fatalf("%d marks of %d shards", written, all)
	}
	two, _, _ := node(t, s.connect(), "n2", d, r)
	eventually(t, "all shards are served, by both", func() bool {
		return two.Waiting().Shards > 0 && one.Waiting().Shards+two.Waiting().Shards == all
	})
	round(1)
}
