package cluster_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"patchbay/cluster"
	"patchbay/cluster/stream"
	"patchbay/internal/testkit"
)

// leasesV1 is the bucket cluster as the first release wrote it: m1 has slot 1.
func leasesV1(t *testing.T) map[string][]byte {
	return testkit.Frozen(t, "testdata/v1/cluster.json", func() map[string][]byte {
		c := newConn(t)
		at := time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)
		s, err := cluster.OpenSlots(t.Context(), c, stream.Terms{}, "m1", func() time.Time { return at }, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Claim(t.Context()); err != nil {
			t.Fatal(err)
		}
		return testkit.Dump(t, c.JetStream(), "KV_cluster")
	})
}

func claimant(t *testing.T, c *cluster.Conn, node string, at time.Time) *cluster.Slots {
	t.Helper()
	s, err := cluster.OpenSlots(t.Context(), c, stream.Terms{}, node, func() time.Time { return at }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSlotsOfRelease1StayWithTheirNodes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	c := newConn(t)
	other := claimant(t, c, "m2", at)
	leases := leasesV1(t)
	for key, data := range leases { // and what a later release may have added
		leases[key] = bytes.Replace(data, []byte(`"v":1`), []byte(`"v":1,"of_a_later_release":[1]`), 1)
	}
	testkit.Load(t, c.JetStream(), leases)
	if n, err := other.Claim(t.Context()); err != nil || n != 2 {
		t.Errorf("m2 has slot %d, %v", n, err)
	}
	if n, err := claimant(t, c, "m1", at).Claim(t.Context()); err != nil || n != 1 {
		t.Errorf("m1 has slot %d, %v", n, err)
	}
}

func TestALeaseOfALaterMajorVersionIsNotTaken(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	s := claimant(t, c, "m2", time.Now())
	leases := leasesV1(t)
	for key, data := range leases {
		leases[key] = bytes.Replace(data, []byte(`"v":1`), []byte(`"v":2`), 1)
	}
	testkit.Load(t, c.JetStream(), leases)
	if n, err := s.Claim(t.Context()); err == nil || !strings.Contains(err.Error(), "no lease of version 1") {
		t.Errorf("got slot %d, %v", n, err)
	}
}
