package journal_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/journal"
	"patchbay/cluster/subject"
	"patchbay/internal/testkit"
)

// publish puts a record where lists find it.
func publish(t testing.TB, j *journal.Journal, rec call.Record) {
	t.Helper()
	if _, err := j.Publish(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if err := j.Index(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsAreListedByTenantTimeAndEndpoint(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	j := node(t, js, "m1", 1)
	for n := range 20 {
		rec := record(call.ID(n+1), n)
		if n%4 == 3 {
			rec.Tenant = "other"
		}
		if n%2 == 0 {
			rec.Endpoint = "k2"
		}
		publish(t, j, rec)
	}
	pages := func(q journal.Query) (ids []call.ID, pages int) {
		q.Tenant, q.Limit = "acme", 4
		for {
			page, next, err := list(t, j, q)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, rec := range page {
				ids = append(ids, rec.ID)
			}
			if next == 0 {
				return ids, pages
			}
			q.After = next
		}
	}
	at := func(n int) time.Time { return began.Add(time.Duration(n) * time.Second) }
	for what, c := range map[string]struct {
		q     journal.Query
		ids   string
		pages int
	}{
		"all":         {journal.Query{}, "[1 2 3 5 6 7 9 10 11 13 14 15 17 18 19]", 4},
		"of endpoint": {journal.Query{Endpoint: "k1"}, "[2 6 10 14 18]", 2},
		"from, until": {journal.Query{Since: at(4), Until: at(9)}, "[5 6 7 9]", 1},
		"none":        {journal.Query{Since: time.Now().Add(time.Hour)}, "[]", 1},
	} {
		if ids, n := pages(c.q); idText(ids) != c.ids || n != c.pages {
			t.Errorf("%s: got %s on %d pages, want %s on %d", what, idText(ids), n, c.ids, c.pages)
		}
	}
	if ids, n := pages(journal.Query{After: 99}); len(ids) != 15 || n != 4 {
		t.Errorf("after a record that has aged: %s on %d pages, want all", idText(ids), n)
	}
	if page, _, err := list(t, j, journal.Query{Tenant: "acme", Limit: 1, After: 4}); err != nil || len(page) != 1 || page[0].ID != 1 {
		t.Errorf("after another tenant's record: %v, %v; want it to be taken for none", page, err)
	}
	if _, err := j.Get(t.Context(), "acme", 4); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("another tenant's: %v", err)
	}
	if _, err := j.Get(t.Context(), "acme", 99); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("nobody's: %v", err)
	}
}

func idText(ids []call.ID) string {
	n := make([]uint64, len(ids))
	for i, id := range ids {
		n[i] = uint64(id)
	}
	return fmt.Sprint(n)
}

// lines writes many lines of the index, of records of an endpoint k2.
func lines(t testing.TB, js jetstream.JetStream, tenant string, from, n int) {
	t.Helper()
	for i := range n {
		if _, err := js.PublishAsync(subject.RecordOf(tenant, call.ID(from+i)), []byte(`{"v":1,"ended":"2025-11-21T12:00:00Z","endpoint":"k2"}`), jetstream.WithStallWait(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}

func TestAPageDoesNotDependOnOtherTenantsRecords(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 11,000 lines")
	}
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	j := node(t, js, "m1", 1)
	publish(t, j, record(1, 1))
	lines(t, js, "other", 1000, 11_000) // more than a page looks at
	publish(t, j, record(2, 2))
	page, next, err := list(t, j, journal.Query{Tenant: "acme", Limit: 10})
	if err != nil || len(page) != 2 || next != 0 {
		t.Errorf("%d records, next %s, %v; want both at once", len(page), next, err)
	}
}

func TestAPageLooksAtABoundedNumberOfRecords(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 11,000 lines")
	}
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	j := node(t, js, "m1", 1)
	lines(t, js, "acme", 1000, 11_000)
	publish(t, j, record(1, 1))
	q := journal.Query{Tenant: "acme", Endpoint: "k1", Limit: 10}
	page, next, err := list(t, j, q)
	if err != nil || len(page) != 0 || next == 0 || next >= 1000+11_000 {
		t.Fatalf("%d records, next %s, %v; want an empty page before the end", len(page), next, err)
	}
	q.After = next
	page, next, err = list(t, j, q)
	if err != nil || len(page) != 1 || next != 0 {
		t.Errorf("%d records, next %s, %v; want the one at the end", len(page), next, err)
	}
}

// A record that has aged between two reads leaves a page short, and no more.
func TestALineWhoseRecordHasAgedIsPassedOver(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	j := node(t, js, "m1", 1)
	lines(t, js, "acme", 5, 1)
	publish(t, j, record(6, 1))
	page, next, err := list(t, j, journal.Query{Tenant: "acme", Limit: 10})
	if err != nil || len(page) != 1 || page[0].ID != 6 || next != 0 {
		t.Errorf("%v, next %s, %v", page, next, err)
	}
}

// Records of a release that had no index, and those whose node died before
// their line was written, are found again.
func TestRecordsWithoutALineAreEnteredIntoTheIndex(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	j := node(t, js, "m1", 1)
	for n := range 600 { // more than one look at them
		if n%3 == 0 {
			publish(t, j, record(call.ID(n+1), n))
			continue
		}
		if _, err := j.Publish(t.Context(), record(call.ID(n+1), n)); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []int{400, 0} {
		if n, err := j.Reindex(t.Context()); n != want || err != nil {
			t.Errorf("look %d entered %d, %v; want %d", i+1, n, err, want)
		}
	}
	seen := map[call.ID]int{}
	for q := (journal.Query{Tenant: "acme", Limit: 200}); ; {
		page, next, err := list(t, j, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range page {
			seen[rec.ID]++
		}
		if q.After = next; next == 0 {
			break
		}
	}
	if len(seen) != 600 || seen[1] != 1 || seen[600] != 1 {
		t.Errorf("%d records are listed, want 600 once each", len(seen))
	}
}

// list asks again while JetStream is slow to answer, as a caller of the API does.
func list(t *testing.T, j *journal.Journal, q journal.Query) ([]call.Record, call.ID, error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		page, next, err := j.List(t.Context(), q)
		if !errors.Is(err, journal.ErrUnavailable) || time.Now().After(end) {
			return page, next, err
		}
	}
}
