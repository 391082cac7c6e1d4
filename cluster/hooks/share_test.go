package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/hooks"
	"patchbay/cluster/placement"
	"patchbay/cluster/subject"
	"patchbay/internal/webhook"
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

// TestARequestOfAShardThatIsGivenAwayEndsThoughItsNodeLeaves has a second node
// come, and the first one leave before a request is answered that is on the line
// for a shard that is the second's now.
func TestARequestOfAShardThatIsGivenAwayEndsThoughItsNodeLeaves(t *testing.T) {
	t.Parallel()
	owners := placement.Owners([]placement.Node{{Name: "n1", Capacity: 1}, {Name: "n2", Capacity: 1}})
	var moving []string // tenants whose shards will be the second node's, in their order
	for n := range uint8(subject.EventShards) {
		for i := 0; owners[n] == "n2"; i++ {
			if tenant := fmt.Sprint("tenant-", i); subject.EventShard(tenant) == n {
				moving = append(moving, tenant)
				break
			}
		}
	}
	busy, idle := moving[0], moving[len(moving)-1]
	for !leaves(t, busy, idle) {
		t.Log("the machine was so slow that a node need not have waited for the answer")
	}
}

// leaves plays it once; false: the answer came later than a node waits for it.
func leaves(t *testing.T, busy, idle string) (told bool) {
	s := newSite(t)
	d, r := &directory{}, newReceivers(t)
	d.add(busy, "busy", endpoint.WebhookNative, "call.started")
	d.add(idle, "idle", endpoint.WebhookNative, "call.started")
	begun, answer := make(chan struct{}), make(chan struct{})
	r.set("busy", func(ctx context.Context, _ webhook.Occasion, try int) webhook.Receipt {
		if try > 1 {
			return webhook.Receipt{Status: 200}
		}
		close(begun)
		select {
		case <-answer:
			return webhook.Receipt{Status: 200}
		case <-ctx.Done():
			return webhook.Receipt{Failure: "broken off"}
		}
	})
	long := func(c *hooks.Config) { c.Timeout = patience }
	one, _, stop := node(t, s.connect(), "n1", d, r, long)
	eventually(t, "the first node has both shards", func() bool { return one.Waiting().Shards == 2 })
	publish(t, s.connect(), event(busy, 1, 1))
	<-begun
	before := time.Now()
	two, _, _ := node(t, s.connect(), "n2", d, r, long)
	eventually(t, "the second has the idle one", func() bool { return two.Waiting().Shards == 1 })
	left := make(chan struct{})
	go func() { defer close(left); stop() }()
	select {
	case <-left:
	case <-time.After(500 * time.Millisecond):
	}
	close(answer)
	<-left
	eventually(t, "it has heard of the event", func() bool { return len(r.got("busy")) > 0 })
	slow := time.Since(before) > 5*time.Second
	if tries := r.triesOf("busy"); tries != 1 && !slow {
		t.Errorf("%d tries: the first was broken off", tries)
	}
	return !slow || r.triesOf("busy") == 1
}
