package ledger_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/journal"
	"patchbay/cluster/ledger"
	"patchbay/internal/testkit"
)

// joined connects a node to a cluster of three.
func joined(t *testing.T, servers *testkit.Cluster, url string) *cluster.Conn {
	t.Helper()
	c, err := cluster.Connect(cluster.Options{Name: "n", URL: url, Wait: patience}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	eventually(t, "JetStream answers", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := c.JetStream().AccountInfo(ctx)
		return err == nil
	})
	return c
}

func threefold(cfg *ledger.Config) { cfg.Journal.Streams.Replicas = 3 }

// TestAMajorityOfJetStreamMayBeAway leaves the node's own server running: NATS
// is there, JetStream takes nothing and refuses nothing.
func TestAMajorityOfJetStreamMayBeAway(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED, NOT TESTED: a cluster of three takes seconds to elect a leader")
	}
	t.Parallel()
	servers := testkit.NATSCluster(t)
	c := joined(t, servers, servers.URL(0))
	b := start(t, c, t.TempDir(), 1, threefold)
	for id := call.ID(1); id <= 30; id++ {
		b.live(id)
	}
	eventually(t, "their entries", func() bool { return entries(t, c) == 30 })
	servers.Stop(1)
	servers.Stop(2)
	for id := call.ID(1); id <= 20; id++ {
		b.over(id)
	}
	eventually(t, "records on the disk", func() bool { return b.Waiting().SpooledRecords == 20 })
	servers.Start(1)
	servers.Start(2)
	eventually(t, "an empty spool", func() bool { w := b.Waiting(); return w.Events+w.Records+w.SpooledEvents+w.SpooledRecords == 0 })
	for id := call.ID(21); id <= 30; id++ {
		b.over(id)
	}
	b.drained(t)
	var k kept
	eventually(t, "their records, as whoever leads now has them", func() bool { k = look(t, c); return len(k.records) >= 30 && k.entries == 0 })
	for id := call.ID(1); id <= 30; id++ {
		if k.records[id.String()] != 1 {
			t.Errorf("call %v has %d records", id, k.records[id.String()])
		}
	}
	if len(k.records) != 30 || k.entries != 0 {
		t.Errorf("%d records, %d entries left", len(k.records), k.entries)
	}
}

// TestRacersOnThreeReplicas lets an owner and survivors, at different servers,
// finish the same calls while leaders change: a replicated stream also refuses
// a write while another of the same subject is under way, and that one may fail.
func TestRacersOnThreeReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED, NOT TESTED: a cluster of three takes seconds to elect a leader")
	}
	t.Parallel()
	servers := testkit.NATSCluster(t)
	owner := start(t, joined(t, servers, servers.URLs()), t.TempDir(), 1, threefold)
	var racers []*journal.Journal
	for i := range 3 {
		c := joined(t, servers, servers.URL(i))
		racers = append(racers, open(t, c, t.TempDir(), 1, threefold, func(cfg *ledger.Config) { cfg.Journal.Node = fmt.Sprint("m", i+2) }).Journal())
	}
	const calls = 40
	var fresh atomic.Int32
	var all sync.WaitGroup
	for id := call.ID(1); id <= calls; id++ {
		owner.Keep(snapshot(record(id)))
		owner.Record(record(id))
		for _, j := range racers {
			all.Go(func() {
				for {
					is, err := j.Publish(context.Background(), record(id))
					if is {
						fresh.Add(1)
					}
					if err == nil {
						return
					}
				}
			})
		}
		if id == calls/2 {
			servers.Stop(2)
			servers.Start(2)
		}
	}
	all.Wait()
	owner.drained(t)
	var k kept
	c := joined(t, servers, servers.URL(1))
	eventually(t, "their records, at a replica that may lag behind", func() bool { k = look(t, c); return len(k.records) >= calls && k.entries == 0 })
	for id := call.ID(1); id <= calls; id++ {
		if k.records[id.String()] != 1 {
			t.Errorf("call %v has %d records", id, k.records[id.String()])
		}
	}
	_, published := owner.of(ledger.FatePublished)
	_, replayed := owner.of(ledger.FateReplayed)
	if len(k.records) != calls || k.entries != 0 || int(fresh.Load())+published+replayed > calls {
		t.Errorf("%d records, %d entries left; %d, %d and %d said to be first", len(k.records), k.entries, fresh.Load(), published, replayed)
	}
}
