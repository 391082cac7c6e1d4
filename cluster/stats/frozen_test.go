package stats_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/cluster/stats"
	"patchbay/internal/testkit"
)

// TestTotalsOfRelease1AreRead reads, and counts on from, what the first release
// wrote.
func TestTotalsOfRelease1AreRead(t *testing.T) {
	t.Parallel()
	bucket := testkit.Frozen(t, "testdata/v1/bucket.json", func() map[string][]byte {
		srv := testkit.NATSServer(t)
		c := stats.NewCounter(board(t, srv), "n1", 1, quiet)
		c.Call(one, noon)
		c.Call(one, noon)
		c.Reject(one)
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		js, err := jetstream.New(testkit.Connect(t, srv))
		if err != nil {
			t.Fatal(err)
		}
		return testkit.Dump(t, js, "KV_stats")
	})
	srv := testkit.NATSServer(t)
	b := board(t, srv)
	js, err := jetstream.New(testkit.Connect(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	testkit.Load(t, js, bucket)
	want := stats.Totals{Calls: 2, Rejected: 1, LastCallAt: noon}
	if got := read(t, b, one)[one.Key]; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	c := stats.NewCounter(b, "n2", 1, quiet)
	c.Call(one, noon)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b, one)[one.Key]; got.Calls != 3 {
		t.Errorf("got %+v after one more call", got)
	}
}
