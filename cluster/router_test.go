package cluster_test

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

func invite(callID string) endpoint.Invite {
	return endpoint.Invite{
		Address: endpoint.SlugAddress("demo-abcdefghjkmnpqrstuvwxyz2"), CallID: callID, FromTag: "f1", CSeq: 1,
		Branch: "z9hG4bKx", Source: netip.MustParseAddrPort("192.0.2.1:5060"), Transport: "udp",
	}
}

func packet(raw string) call.Packet {
	return call.Packet{Raw: []byte(raw), Flow: call.Flow{
		Edge: "edge-1", Boot: 7, Transport: call.UDP,
		Local: netip.MustParseAddrPort("198.51.100.1:5060"), Remote: netip.MustParseAddrPort("192.0.2.1:5060"),
		Reply: netip.MustParseAddrPort("192.0.2.1:5060"),
	}}
}

// decider is an endpoint actor made of a function.
type decider func(cancel bool, inv endpoint.Invite, p call.Packet, reply func(cluster.Outcome))

func (d decider) Invite(inv endpoint.Invite, p call.Packet, reply func(cluster.Outcome)) {
	d(false, inv, p, reply)
}
func (d decider) Cancel(inv endpoint.Invite, p call.Packet, reply func(cluster.Outcome)) {
	d(true, inv, p, reply)
}

func openEndpoints(t testing.TB, c *cluster.Conn, d decider) *cluster.PartitionDoor {
	t.Helper()
	return openAll(t, c, cluster.NewEndpointDoor(c, d, cluster.DoorObserver{}))
}

// openAll opens a door to every partition.
func openAll(t testing.TB, c *cluster.Conn, door *cluster.PartitionDoor) *cluster.PartitionDoor {
	t.Helper()
	t.Cleanup(door.Close)
	if err := door.Open(); err != nil {
		t.Fatal(err)
	}
	for k := range endpoint.Partitions {
		if err := door.Own(uint8(k)); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, c)
	return door
}

// flush makes sure that subscriptions have reached the server.
func flush(t testing.TB, c *cluster.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Control().FlushWithContext(ctx); err != nil {
		t.Fatal(err)
	}
}

func newRouter(t testing.TB, c *cluster.Conn, obs cluster.RouterObserver) *cluster.Router {
	t.Helper()
	r := routerOf(t, c, patience, obs)
	r.WaitLonger(patience, time.Second) // where nobody claims a call, silence is the answer
	return r
}

// impatient is a router for tests of what is silent.
func impatient(t testing.TB, c *cluster.Conn, obs cluster.RouterObserver) *cluster.Router {
	t.Helper()
	return routerOf(t, c, 50*time.Millisecond, obs)
}

func routerOf(t testing.TB, c *cluster.Conn, owner time.Duration, obs cluster.RouterObserver) *cluster.Router {
	t.Helper()
	r, err := cluster.NewRouter(c, cluster.RouterConfig{MaxPending: 1024, OwnerTimeout: owner}, obs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func ask(t testing.TB, r *cluster.Router, callID string) cluster.Outcome {
	t.Helper()
	out := make(chan cluster.Outcome, 1)
	r.Invite(invite(callID), false, packet("INVITE"), func(o cluster.Outcome) { out <- o })
	return await(t, out)
}

func TestAnInviteReachesADeciderWholeAndItsOutcomeComesBack(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	var seen endpoint.Invite
	var raw string
	openEndpoints(t, c, func(_ bool, inv endpoint.Invite, p call.Packet, reply func(cluster.Outcome)) {
		seen, raw = inv, string(p.Raw)
		reply(cluster.Outcome{Status: 486, Reason: "Q.850;cause=17", RetryAfter: 1500 * time.Millisecond})
	})
	out := ask(t, newRouter(t, c, cluster.RouterObserver{}), "c1")
	if seen != invite("c1") || raw != "INVITE" {
		t.Errorf("the decider saw %+v and %q", seen, raw)
	}
	if want := (cluster.Outcome{Status: 486, Reason: "Q.850;cause=17", RetryAfter: 2 * time.Second}); out != want {
		t.Errorf("got %+v, want %+v", out, want)
	}
}

func TestWithoutAnOwnerAnyDeciderIsAskedAtOnce(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	sub, err := c.Hot().Subscribe(subject.InviteAny, func(m *natsMsg) {
		b, _ := envelope.EncodeOutcome(cluster.Outcome{Taken: true})
		_ = m.Respond(b)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	flush(t, c)
	var fallbacks []string
	out := ask(t, newRouter(t, c, cluster.RouterObserver{Fallback: func(from string) { fallbacks = append(fallbacks, from) }}), "c1")
	if !out.Taken || len(fallbacks) != 1 || fallbacks[0] != "owner" {
		t.Errorf("got %+v after fallbacks from %v", out, fallbacks)
	}
}

func TestASilentOwnerIsPassedOverAfterItsTime(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	var asked atomic.Int32
	openEndpoints(t, c, func(_ bool, _ endpoint.Invite, _ call.Packet, reply func(cluster.Outcome)) {
		if asked.Add(1) > 1 {
			reply(cluster.Outcome{Taken: true})
		}
	})
	if out := ask(t, impatient(t, c, cluster.RouterObserver{}), "c1"); !out.Taken || asked.Load() < 2 {
		t.Errorf("got %+v after %d asks", out, asked.Load())
	}
}

func TestASlowDeciderIsAskedAgainBeforeTheOutcomeIs503(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	var asked atomic.Int32
	openEndpoints(t, c, func(_ bool, _ endpoint.Invite, _ call.Packet, reply func(cluster.Outcome)) {
		if asked.Add(1) > 3 { // the owner, any, any again
			reply(cluster.Outcome{Taken: true})
		}
	})
	if out := ask(t, impatient(t, c, cluster.RouterObserver{}), "c1"); !out.Taken || asked.Load() < 4 {
		t.Errorf("got %+v after %d asks, want it taken after 4", out, asked.Load())
	}
}

func TestWithNobodyThereTheOutcomeIs503WithRetryAfter(t *testing.T) {
	t.Parallel()
	var why []string
	out := ask(t, newRouter(t, newConn(t), cluster.RouterObserver{Refused: func(w string) { why = append(why, w) }}), "c1")
	if want := (cluster.Outcome{Status: 503, RetryAfter: cluster.RetryAfter}); out != want {
		t.Errorf("got %+v, want %+v", out, want)
	}
	if len(why) != 1 || why[0] != "no_decider" {
		t.Errorf("refused because of %v", why)
	}
}

func TestAnInviteWaitsForADeciderThatMovesToAnotherBroker(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	out := make(chan cluster.Outcome, 1)
	newRouter(t, c, cluster.RouterObserver{}).Invite(invite("c1"), false, packet("INVITE"), func(o cluster.Outcome) { out <- o })
	time.Sleep(700 * time.Millisecond) // nobody listens
	openEndpoints(t, c, func(_ bool, _ endpoint.Invite, _ call.Packet, reply func(cluster.Outcome)) {
		reply(cluster.Outcome{Taken: true})
	})
	if o := await(t, out); !o.Taken {
		t.Errorf("got %+v, want it taken by who came late", o)
	}
}

func TestWhenNobodyHasAnsweredForLongTheNext503ComesSooner(t *testing.T) {
	t.Parallel()
	r := newRouter(t, newConn(t), cluster.RouterObserver{})
	took := func() time.Duration {
		began := time.Now()
		if out := ask(t, r, "c1"); out.Status != 503 {
			t.Errorf("got %+v, want 503", out)
		}
		return time.Since(began)
	}
	first, second := took(), took()
	if first < 5*time.Second || second > first/2 {
		t.Errorf("the first INVITE was refused after %v, the second after %v; want more than 5 s, and much less", first, second)
	}
}

func TestAFullTableIsAnsweredWith503AtOnce(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	openEndpoints(t, c, func(bool, endpoint.Invite, call.Packet, func(cluster.Outcome)) {}) // silent
	r, err := cluster.NewRouter(c, cluster.RouterConfig{MaxPending: 8, OwnerTimeout: time.Second}, cluster.RouterObserver{})
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan cluster.Outcome, 64)
	for i := range 64 {
		r.Invite(invite(string(rune('a'+i))), false, packet("INVITE"), func(o cluster.Outcome) { out <- o })
	}
	if o := await(t, out); o.Status != 503 || r.Pending() > 8 {
		t.Errorf("got %+v with %d pending", o, r.Pending())
	}
	r.Close()
	for range 63 {
		if o := await(t, out); o.Status != 503 {
			t.Errorf("closing ended an ask with %+v", o)
		}
	}
}

func TestACancelWaitsForTheOutcomeOfItsInvite(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	var mu sync.Mutex
	var order []string
	release := make(chan func(cluster.Outcome), 1)
	openEndpoints(t, c, func(cancel bool, inv endpoint.Invite, _ call.Packet, reply func(cluster.Outcome)) {
		mu.Lock()
		defer mu.Unlock()
		if cancel {
			order = append(order, "CANCEL "+inv.CallID)
			reply(cluster.Outcome{Taken: true})
			return
		}
		order = append(order, "INVITE "+inv.CallID)
		release <- reply
	})
	r := newRouter(t, c, cluster.RouterObserver{})
	outcomes := make(chan string, 3)
	r.Invite(invite("c1"), false, packet("INVITE"), func(cluster.Outcome) { outcomes <- "INVITE c1" })
	reply := await(t, release)
	r.Invite(invite("c1"), true, packet("CANCEL"), func(cluster.Outcome) { outcomes <- "CANCEL c1" })
	r.Invite(invite("c2"), true, packet("CANCEL"), func(cluster.Outcome) { outcomes <- "CANCEL c2" })
	if got := await(t, outcomes); got != "CANCEL c2" {
		t.Errorf("first came %s: a CANCEL without an INVITE must not wait", got)
	}
	reply(cluster.Outcome{Taken: true})
	for _, want := range []string{"INVITE c1", "CANCEL c1"} {
		if got := await(t, outcomes); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAPanicInADoneFunctionCostsOneAnswer(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	openEndpoints(t, c, func(_ bool, _ endpoint.Invite, _ call.Packet, reply func(cluster.Outcome)) {
		reply(cluster.Outcome{Taken: true})
	})
	panics := make(chan any, 1)
	r := newRouter(t, c, cluster.RouterObserver{Panic: func(v any) { panics <- v }})
	r.Invite(invite("c1"), false, packet("INVITE"), func(cluster.Outcome) { panic("ouch") })
	if v := await(t, panics); v != "ouch" {
		t.Errorf("got %v", v)
	}
	if out := ask(t, r, "c2"); !out.Taken {
		t.Errorf("the next ask got %+v", out)
	}
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
