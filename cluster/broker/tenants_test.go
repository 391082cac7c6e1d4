package broker_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/endpoint"
	"patchbay/cluster/callout"
	"patchbay/cluster/permit"
	"patchbay/internal/keys"
	"patchbay/internal/testkit"
)

// TestAnAPIKeyOpensEveryBrokerOfACluster has one control node, at one broker,
// answer for all three, while the cluster key is replaced.
func TestAnAPIKeyOpensEveryBrokerOfACluster(t *testing.T) {
	t.Parallel()
	c := newTrio(t, testkit.Loopbacks(3), "")
	for i := range c.settings {
		c.settings[i].Tenants = true
		c.start(i)
	}
	for i := range c.settings {
		c.ready(i)
	}
	// Brokers ask by the key that the control node has as the one before.
	both, err := keys.ParseCluster([]byte("1:ff" + clusterKey[2:] + "\n" + clusterKey))
	if err != nil {
		t.Fatal(err)
	}
	var revoked atomic.Bool
	judge := callout.Judge{
		Admit: func(_ context.Context, _, secret string) (callout.Pass, error) {
			if revoked.Load() || secret != "pbk_good" {
				return callout.Pass{}, callout.ErrRefused
			}
			return callout.Pass{Name: "key.k1", May: permit.ForKey(permit.Holder{Tenant: "acme", Key: "k1", Whole: true})}, nil
		},
		Good: func(context.Context, endpoint.Key) (bool, error) { return !revoked.Load(), nil },
	}
	r, err := callout.NewResponder(c.join(c.url(0), "control").Control(), both, judge, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	closed := make(chan struct{}, len(c.procs))
	for i := range c.procs {
		at := "nats://" + c.settings[i].Host + ":4222"
		in := func() (*nats.Conn, error) {
			return nats.Connect(at, nats.Token("pbk_good"), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { closed <- struct{}{} }))
		}
		nc, err := in()
		for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); { // a busy machine may answer too late
			nc, err = in()
		}
		if err != nil {
			t.Fatalf("broker %d: %v", i, err)
		}
		t.Cleanup(nc.Close)
		if _, err := nats.Connect(at, nats.Token("pbk_wrong"), nats.Timeout(time.Minute)); err == nil {
			t.Errorf("broker %d lets a wrong key in", i)
		}
	}
	revoked.Store(true)
	for range c.procs {
		select {
		case <-closed:
		case <-time.After(time.Minute):
			t.Fatal("a connection of a revoked key is still there")
		}
	}
}
