package rig

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/call"
	"patchbay/cluster/permit"
	"patchbay/cluster/subject"
	"patchbay/control"
)

// Records are those of the account, by SIP Call-ID.
func (o *Operator) Records() (map[string][]call.Record, error) {
	all := map[string][]call.Record{}
	for ask := (control.RecordPageRequest{PageRequest: control.PageRequest{Limit: 200}}); ; {
		var page control.Page[call.Record]
		if err := o.Try("record", "list", ask, &page); err != nil {
			return nil, err
		}
		for _, r := range page.Items {
			all[r.SIPCallID] = append(all[r.SIPCallID], r)
		}
		if ask.Cursor = page.Next; ask.Cursor == "" {
			return all, nil
		}
	}
}

// OneRecordEach waits until every call of a tally has its record, and fails the
// test where the carrier had two. A copy of a call that a second node made of its
// INVITE while nodes did not hear one another is not counted: its record says
// so (merged_request), or, where it ended by itself before the nodes heard of one
// another, says that the carrier never acknowledged it.
func (o *Operator) OneRecordEach(t testing.TB, limit time.Duration, calls Tally) map[string]call.Record {
	t.Helper()
	var all map[string][]call.Record
	Until(t, limit, func() (string, bool) {
		var err error
		if all, err = o.Records(); err != nil {
			return err.Error(), false
		}
		missing := 0
		for _, c := range calls {
			if !slices.ContainsFunc(all[c.CallID], func(r call.Record) bool { return r.Cause != call.CauseMergedRequest }) {
				missing++
			}
		}
		return fmt.Sprintf("a record of each of %d calls: %d have none", len(calls), missing), missing == 0
	})
	one, merged := map[string]call.Record{}, 0
	for _, c := range calls {
		records := all[c.CallID]
		extra := slices.DeleteFunc(slices.Clone(records), func(r call.Record) bool { return r.Cause != call.CauseMergedRequest })
		whole := slices.DeleteFunc(slices.Clone(records), func(r call.Record) bool { return r.Cause == call.CauseMergedRequest })
		merged += len(extra) + len(whole)
		whole = heard(whole)
		merged -= len(whole)
		one[c.CallID] = whole[0]
		if len(whole) != 1 {
			t.Errorf("call %s has %d records, want 1: %+v", c.CallID, len(whole), records)
		}
	}
	if merged > 0 {
		t.Logf("%d copies of calls were made and ended", merged)
	}
	return one
}

// heard leaves the records of calls that the carrier has acknowledged, or the
// first where it has acknowledged none.
func heard(records []call.Record) []call.Record {
	acked := slices.DeleteFunc(slices.Clone(records), func(r call.Record) bool { return r.Stages.Acked.IsZero() })
	if len(acked) == 0 {
		return records[:1]
	}
	return acked
}

// Entries is how many live calls, and records that are not published yet, the
// bucket of calls has.
func (o *Operator) Entries(t testing.TB) int { return len(o.entries(t)) }

func (o *Operator) entries(t testing.TB) []string {
	t.Helper()
	js, err := jetstream.New(o.Inside)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "calls")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := kv.Keys(t.Context())
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		t.Fatal(err)
	}
	return keys
}

// Kept waits until that many calls live, no copy of one beside them, and
// JetStream has the entry of each, and returns which node carries which, by SIP
// Call-ID.
func (o *Operator) Kept(t testing.TB, patience time.Duration, calls int) map[string]string {
	t.Helper()
	var on map[string]string
	Until(t, patience, func() (string, bool) {
		on = map[string]string{}
		live, entries := o.Calls(t), o.entries(t)
		kept := 0
		for _, v := range live {
			on[v.CallID] = v.Node
			if slices.Contains(entries, subject.KeyCall(v.ID)) {
				kept++
			}
		}
		return fmt.Sprintf("%d calls live and have an entry: %d live of %d Call-IDs, %d entries of theirs", calls, len(live), len(on), kept),
			len(live) == calls && len(on) == calls && kept == calls
	})
	return on
}

// Streams are what the brokers say of every stream.
func (o *Operator) Streams(t testing.TB) ([]*jetstream.StreamInfo, error) {
	t.Helper()
	js, err := jetstream.New(o.Inside)
	if err != nil {
		t.Fatal(err)
	}
	var all []*jetstream.StreamInfo
	for _, s := range permit.Stores {
		stream, err := js.Stream(t.Context(), s.Stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue // nothing needs it yet
		}
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", s.Stream, err)
		}
		all = append(all, stream.CachedInfo())
	}
	return all, nil
}
