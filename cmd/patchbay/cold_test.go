package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/control"
)

// A tap hears reads of a bucket, by what they read.
type tap chan *nats.Msg

// tapReads hears every read of the bucket of endpoints from now on: of any
// replica, of the leader, and of many at once.
func tapReads(t *testing.T, nc *nats.Conn) tap {
	t.Helper()
	tp := make(tap, 1024)
	for _, subject := range []string{"$JS.API.DIRECT.GET.KV_endpoints", "$JS.API.DIRECT.GET.KV_endpoints.>", "$JS.API.STREAM.MSG.GET.KV_endpoints"} {
		if _, err := nc.ChanSubscribe(subject, tp); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return tp
}

// since returns what was read since the last time.
func (tp tap) since(t *testing.T, nc *nats.Conn) (reads []string) {
	t.Helper()
	if err := nc.Flush(); err != nil { // what the server has sent before is in the channel
		t.Fatal(err)
	}
	for {
		select {
		case m := <-tp:
			reads = append(reads, strings.TrimPrefix(m.Subject, "$JS.API.DIRECT.GET.KV_endpoints.$KV.endpoints.")+string(m.Data))
		default:
			return reads
		}
	}
}

// explained is what a decider says of a call. One that is busy is asked again.
func (b *bench) explained(tenant, uri string) string {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		code, got := b.ask(tenant, "call.explain", `{"uri":"`+uri+`","source":"203.0.113.7:5060"}`)
		if code != string(control.CodeUnavailable) || time.Now().After(deadline) {
			return string(got)
		}
	}
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
		got := b.explained("globex", "sip:"+number+"@127.0.0.1")
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", ep.Kind, got, c.want)
		}
	}
	got := b.explained("globex", "sip:desk@globex.sip.localhost")
	if !strings.Contains(got, "digest_not_supported") || !strings.Contains(got, "480") {
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
