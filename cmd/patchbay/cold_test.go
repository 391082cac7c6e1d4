package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"patchbay/control"
)

// A tap counts reads of a bucket, by what they read.
type tap struct {
	mu    sync.Mutex
	reads []string
}

// tapReads counts every read of the bucket of endpoints from now on: of any
// replica, of the leader, and of many at once.
func tapReads(t *testing.T, nc *nats.Conn) *tap {
	t.Helper()
	tp := &tap{}
	for _, subject := range []string{"$JS.API.DIRECT.GET.KV_endpoints", "$JS.API.DIRECT.GET.KV_endpoints.>", "$JS.API.STREAM.MSG.GET.KV_endpoints"} {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
			tp.mu.Lock()
			defer tp.mu.Unlock()
			tp.reads = append(tp.reads, strings.TrimPrefix(m.Subject, "$JS.API.DIRECT.GET.KV_endpoints.$KV.endpoints.")+string(m.Data))
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return tp
}

// since returns what was read since the last time.
func (tp *tap) since(t *testing.T, nc *nats.Conn) []string {
	t.Helper()
	if err := nc.Flush(); err != nil { // the server has sent what came before
		t.Fatal(err)
	}
	tp.mu.Lock()
	defer tp.mu.Unlock()
	got := tp.reads
	tp.reads = nil
	return got
}

// A kind that is not dialled by itself answers calls to a number.
func TestANumberLeadsToEndpointsOfEveryKind(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	theirs := b.build("globex")
	must[control.AccountView](b, "globex", "account.update", `{"patch":{"sip":{"domain_label":"globex"}}}`)
	for i, c := range []struct{ create, want string }{
		{`{"kind":"register","agent_id":"` + theirs.agent + `","spec":{"register":{"server":"numbers.example.com","username":"7","password":"x"}}}`, "accept"},
		{`{"kind":"domain","domain":"globex-carrier","agent_id":"` + theirs.agent + `"}`, "accept"},
		{`{"kind":"credential","user":"desk","agent_id":"` + theirs.agent + `","spec":{"auth":{"mode":"digest","password":"x"}}}`, "digest_not_supported"},
	} {
		ep := must[control.EndpointView](b, "globex", "endpoint.create", c.create)
		number := fmt.Sprintf("1555987%04d", i)
		must[control.NumberView](b, "globex", "number.create", `{"number":"`+number+`","endpoint_id":"`+ep.ID+`"}`)
		_, got := b.ask("globex", "call.explain", `{"uri":"sip:`+number+`@127.0.0.1","source":"203.0.113.7:5060"}`)
		if !strings.Contains(string(got), c.want) {
			t.Errorf("%s: %s, want %s", ep.Kind, got, c.want)
		}
	}
	_, got := b.ask("globex", "call.explain", `{"uri":"sip:desk@globex.sip.localhost","source":"203.0.113.7:5060"}`)
	if !strings.Contains(string(got), "digest_not_supported") || !strings.Contains(string(got), "480") {
		t.Errorf("dialled as a user: %s", got)
	}
}

// TestTheFirstInviteOfAColdEndpointCostsOneRead is about an account and an
// agent that other calls have warmed.
func TestTheFirstInviteOfAColdEndpointCostsOneRead(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	theirs := b.build("globex")
	b.ring(must[control.EndpointView](b, "globex", "endpoint.get", `{"id":"`+theirs.endpoint+`"}`).Slug, "+15551230100", "warm@carrier")
	var slugs []string
	for range 12 {
		slugs = append(slugs, must[control.EndpointView](b, "globex", "endpoint.create", `{"agent_id":"`+theirs.agent+`"}`).Slug)
	}
	tp := tapReads(t, b.nc)
	var dear []string // a busy machine's feed may be late, and what is known is read again then
	for i, slug := range slugs {
		tp.since(t, b.nc)
		b.ring(slug, "+15551230101", fmt.Sprintf("cold-%d@carrier", i))
		first := tp.since(t, b.nc)
		b.ring(slug, "+15551230102", fmt.Sprintf("again-%d@carrier", i))
		if again := tp.since(t, b.nc); len(first) != 1 || !strings.HasPrefix(first[0], "ep.") || len(again) != 0 {
			dear = append(dear, fmt.Sprintf("call %d: read %v, again %v", i, first, again))
		}
		if i+1-len(dear) == 3 {
			return
		}
	}
	t.Errorf("want its endpoint alone:\n%s", strings.Join(dear, "\n"))
}
