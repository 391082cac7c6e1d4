package journal_test

import (
	"maps"
	"reflect"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/cluster/journal"
	"patchbay/cluster/subject"
	"patchbay/internal/testkit"
)

// TestCallsOfRelease1AreRead is about a node that is replaced by this release
// while calls of the first one are up, or have just ended. The entries are
// sealed, with the key of the tests.
func TestCallsOfRelease1AreRead(t *testing.T) {
	t.Parallel()
	held := testkit.Frozen(t, "testdata/v1/calls.json", func() map[string][]byte {
		js := streams(t, testkit.NATSServer(t))
		j := node(t, js, "m1", 7)
		if _, err := begin(t.Context(), j, record(5, 0)); err != nil {
			t.Fatal(err)
		}
		hold, err := begin(t.Context(), j, record(6, 0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.End(t.Context(), record(6, 60), hold); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Finish(t.Context(), record(7, 60), journal.Unwritten); err != nil {
			t.Fatal(err)
		}
		all := testkit.Dump(t, js, "KV_calls")
		maps.Copy(all, testkit.Dump(t, js, subject.StreamRecords))
		maps.Copy(all, testkit.Dump(t, js, subject.StreamRecordIndex))
		return all
	})
	js := streams(t, testkit.NATSServer(t))
	j := node(t, js, "m2", 1)
	testkit.Load(t, js, held)
	s, err := j.Sweep(t.Context(), time.Now().Add(time.Minute), func(h journal.Head) bool { return h.Node == "m1" && h.Boot == 7 })
	if err != nil || s.Published != 1 || s.Unread != 0 || len(s.Left) != 1 {
		t.Fatalf("got %+v, %v", s, err)
	}
	if l := s.Left[0]; !reflect.DeepEqual(l.Record, record(5, 0)) || l.Epoch != 1 || string(l.Snapshot.Raw) != "INVITE" || l.Snapshot.Job.Key.CallID != l.Record.SIPCallID {
		t.Errorf("the live call: %+v", l)
	}
	if _, err := j.Claim(t.Context(), s.Left[0]); err != nil {
		t.Errorf("claim: %v", err)
	}
	for _, id := range []call.ID{6, 7} {
		if rec, err := j.Get(t.Context(), "acme", id); err != nil || !reflect.DeepEqual(rec, record(id, 60)) {
			t.Errorf("the record of %v: %+v, %v", id, rec, err)
		}
	}
}
