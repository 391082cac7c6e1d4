package load_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// manyEndpoints is how many an account may have by default.
const manyEndpoints = 100_000

// manyID is the id of the n-th imported endpoint.
func manyID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n+1) }

// manySlug is its slug.
func manySlug(n int) endpoint.Slug {
	tail := []byte("aaaaaaaaaaaaaaaaaaaaaaaa")
	for i := len(tail) - 1; n > 0; i-- {
		tail[i], n = "abcdefghij"[n%10], n/10
	}
	return endpoint.Slug("desk-" + string(tail))
}

// manyLines writes an export of so many endpoints and returns its path.
func manyLines(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "many.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for i := range n {
		line := control.Line{Kind: control.LineEndpoint, ID: manyID(i), Slug: manySlug(i).Reveal(),
			Spec: json.RawMessage(fmt.Sprintf(`{"name":"Desk %06d","is_active":%v,"caller_id":"office %d","ip":{"mode":"list","entries":[{"raw":"203.0.113.0/28","name":"carrier"}]}}`, i, i%2 == 0, i%100))}
		if err := enc.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// A crowd is a node with manyEndpoints, its operator, and its bucket as any
// client of NATS reads it.
type crowd struct {
	op   *rig.Operator
	kv   jetstream.KeyValue
	took map[string][]time.Duration
}

// TestAHundredThousandEndpointsCostWhatBareReadsDo imports as many endpoints as
// an account may have, by the command line, and compares operations of the API
// with bare reads of the bucket, in turns.
func TestAHundredThousandEndpointsCostWhatBareReadsDo(t *testing.T) {
	if rig.Race {
		t.Skip("times under the race detector say nothing: run it with an ordinary build")
	}
	node := rig.Start(t, rig.Settings{"control.max_endpoints": fmt.Sprint(manyEndpoints)})
	c := &crowd{op: node.Operator(t), took: map[string][]time.Duration{}}
	began := time.Now()
	out, code := rig.Patchbay(t, "ctl", "--nats", "nats://"+node.NATS, "--timeout", "1m", "import", manyLines(t, manyEndpoints))
	if want := fmt.Sprintf("%d created, 0 changed, 0 as they were\n", manyEndpoints); code != 0 || out != want {
		t.Fatalf("import: %d, %s", code, out)
	}
	t.Logf("imported by ctl in %v", time.Since(began).Round(time.Millisecond))
	t.Logf("first filtered list after %v", c.first(t).Round(time.Millisecond))

	js, err := jetstream.New(c.op.Inside)
	if err == nil {
		c.kv, err = js.KeyValue(t.Context(), subject.BucketEndpoints)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 41 {
		c.round(t)
	}
	for _, what := range []struct{ op, bare string }{{"list", "50 bare reads"}, {"list from offset", "50 bare reads"},
		{"list newest, counted", "50 bare reads"}, {"filter", "50 bare reads"}, {"get", "bare read"}} {
		op, bare := median(c.took[what.op]), median(c.took[what.bare])
		ratio := float64(op) / float64(bare)
		t.Logf("%-22s %10v = %.2f times %s, %v", what.op, op, ratio, what.bare, bare)
		if ratio > 3 {
			t.Errorf("%s costs %.2f times what %s do, want at most 3", what.op, ratio, what.bare)
		}
	}
}

// first waits for the first filtered list, for which a node reads what filters
// look at of all endpoints, and returns how long that took.
func (c *crowd) first(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		var page control.Page[control.EndpointView]
		err := c.op.Try("endpoint", "list", json.RawMessage(`{"name_contains":"desk 0999","count":true}`), &page)
		switch {
		case err == nil && len(page.Items) == 50 && page.Total != nil && *page.Total == 100:
			return time.Since(began)
		case err == nil:
			t.Fatalf("it shows %d endpoints of %v", len(page.Items), page.Total)
		case time.Since(began) > time.Minute:
			t.Fatal(err)
		}
	}
}

// round times each operation, and the bare reads that it is compared with.
func (c *crowd) round(t *testing.T) {
	t.Helper()
	from := rand.IntN(manyEndpoints - 100)
	c.timed("50 bare reads", func() {
		for i := range 50 {
			c.read(t, from+i)
		}
	})
	c.timed("list", func() { c.page(t, `{"limit":50}`, 0) })
	c.timed("list from offset", func() { c.page(t, fmt.Sprintf(`{"limit":50,"offset":%d}`, from), from) })
	c.timed("list newest, counted", func() { c.page(t, `{"limit":50,"count":true,"newest":true}`, manyEndpoints-1) })
	c.timed("filter", func() {
		c.page(t, fmt.Sprintf(`{"name_contains":"sk %04d","is_active":true,"count":true}`, from/100), from/100*100)
	})
	for i := range 10 {
		c.timed("bare read", func() { c.read(t, from+i) })
		c.timed("get", func() {
			var ep control.EndpointView
			c.op.Do(t, "endpoint", "get", control.ID{ID: manyID(from + i)}, &ep)
		})
	}
}

func (c *crowd) timed(what string, do func()) {
	start := time.Now()
	do()
	c.took[what] = append(c.took[what], time.Since(start))
}

func (c *crowd) read(t *testing.T, n int) {
	addr := endpoint.SlugAddress(manySlug(n))
	if _, err := c.kv.Get(t.Context(), subject.KeyEndpoint(addr.Key(), addr.Partition())); err != nil {
		t.Fatal(err)
	}
}

// page lists 50 endpoints, the first of which is that one.
func (c *crowd) page(t *testing.T, query string, first int) {
	t.Helper()
	var page control.Page[control.EndpointView]
	c.op.Do(t, "endpoint", "list", json.RawMessage(query), &page)
	if len(page.Items) != 50 || page.Items[0].ID != manyID(first) {
		t.Fatalf("%s: %d endpoints", query, len(page.Items))
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
