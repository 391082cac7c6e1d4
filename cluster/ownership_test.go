package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/broker"
	"patchbay/cluster/envelope"
)

// An actorNode is what an actor node is made of, but for its actors: it takes
// every INVITE and counts them.
type actorNode struct {
	*cluster.Ownership
	took     atomic.Int64
	draining atomic.Bool
	kill     func() // without a goodbye
	leave    func()
}

func startActor(t testing.TB, srv *broker.Server, name string) *actorNode {
	t.Helper()
	c := connect(t, srv)
	p := cluster.NewPresence(time.Minute, time.Now, cluster.PresenceObserver{})
	if err := p.Listen(c); err != nil {
		t.Fatal(err)
	}
	n := &actorNode{}
	n.Ownership = cluster.NewOwnership(p, cluster.OwnershipConfig{Node: name, Boot: uint64(time.Now().UnixNano()), Draining: n.draining.Load}, time.Now, cluster.OwnershipObserver{})
	door := cluster.NewEndpointDoor(c, decider(func(_ bool, _ endpoint.Invite, _ call.Packet, reply func(cluster.Outcome)) {
		n.took.Add(1)
		reply(cluster.Outcome{Taken: true})
	}), cluster.DoorObserver{})
	n.Serve(nil, door)
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	begin := func(part component) {
		parts.Go(func() { _ = part.Run(ctx) })
		select {
		case <-part.Ready():
		case <-time.After(patience):
			t.Fatalf("%T of %s is not ready", part, name)
		}
	}
	begin(cluster.NewBeats(c, n.Beats()))
	begin(n.Ownership)
	n.leave = sync.OnceFunc(func() { cancel(); parts.Wait(); door.Close(); p.Close() })
	n.kill = c.Close // at once: what it was is over before the others miss it
	t.Cleanup(n.leave)
	return n
}

// owned counts the partitions of nodes, and whether each has its caps kept.
func owned(nodes ...*actorNode) (partitions, kept int) {
	for _, n := range nodes {
		partitions += len(n.Owned())
		for k := range endpoint.Partitions {
			if s, _ := n.Standing(uint8(k), time.Now()); s.Owner() {
				kept++
			}
		}
	}
	return partitions, kept
}

func settled(t testing.TB, nodes ...*actorNode) {
	t.Helper()
	eventually(t, "every partition has one owner that keeps its caps", func() bool {
		partitions, kept := owned(nodes...)
		return partitions == endpoint.Partitions && kept == endpoint.Partitions
	})
}

func TestActorNodesShareThePartitionsAndHandThemOver(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	a, b := startActor(t, srv, "a"), startActor(t, srv, "b")
	settled(t, a, b)
	if len(a.Owned()) == 0 || len(b.Owned()) == 0 {
		t.Errorf("%d and %d partitions", len(a.Owned()), len(b.Owned()))
	}
	a.draining.Store(true)
	eventually(t, "a draining node has given everything away", a.Released)
	settled(t, b)
	a.draining.Store(false)
	settled(t, a, b)
	b.kill()
	settled(t, a)
	c := startActor(t, srv, "c")
	settled(t, a, c)
	a.leave()
	settled(t, c)
}

func TestAnInviteGoesToItsOwnerAloneAndAtOnceToAnyoneElseWithoutOne(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	a, b := startActor(t, srv, "a"), startActor(t, srv, "b")
	settled(t, a, b)
	var fallbacks atomic.Int64
	r, err := cluster.NewRouter(connect(t, srv), cluster.RouterConfig{MaxPending: 64, OwnerTimeout: 4 * time.Second},
		cluster.RouterObserver{Fallback: func(string) { fallbacks.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	send := func(slug string) cluster.Outcome {
		out, inv := make(chan cluster.Outcome, 1), invite(slug)
		inv.Address = endpoint.SlugAddress(endpoint.Slug(slug))
		r.Invite(inv, false, packet("INVITE"), func(o cluster.Outcome) { out <- o })
		return await(t, out)
	}
	for tries := 0; ; { // on a busy machine a partition may move meanwhile
		settled(t, a, b)
		fallbacks.Store(0)
		said, alone := toOwners(t, a, b, send)
		if alone && fallbacks.Load() == 0 {
			break
		}
		if tries++; tries == 5 {
			t.Errorf("%s, with %d fallbacks", said, fallbacks.Load())
			break
		}
	}
	b.kill()
	for i := range 100 { // b's partitions have no owner for seconds
		if o := send(fmt.Sprint("desk", i)); !o.Taken {
			t.Fatalf("%+v", o)
		}
	}
	if fallbacks.Load() == 0 {
		t.Error("nobody was asked in b's place")
	}
}

// toOwners sends an INVITE for each of a hundred endpoints and reports whether
// each node took those of its own partitions.
func toOwners(t testing.TB, a, b *actorNode, send func(slug string) cluster.Outcome) (said string, alone bool) {
	t.Helper()
	want := map[*actorNode]int64{a: a.took.Load(), b: b.took.Load()}
	for i := range 100 {
		slug := fmt.Sprint("desk", i)
		owner := a
		if slices.Contains(b.Owned(), endpoint.SlugAddress(endpoint.Slug(slug)).Partition()) {
			owner = b
		}
		want[owner]++
		if o := send(slug); !o.Taken {
			t.Fatalf("%s: %+v", slug, o)
		}
	}
	tookA, tookB := a.took.Load(), b.took.Load()
	return fmt.Sprintf("a has taken %d of %d, b %d of %d", tookA, want[a], tookB, want[b]), tookA == want[a] && tookB == want[b]
}

func TestAnActorNodeThatIsAloneTakesInvitesAtOnce(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	began := time.Now()
	a := startActor(t, srv, "a")
	t.Logf("ready after %v", time.Since(began))
	if o := ask(t, newRouter(t, connect(t, srv), cluster.RouterObserver{}), "c1"); !o.Taken || a.took.Load() == 0 { // a slow answer has it asked again
		t.Errorf("%+v, %d taken", o, a.took.Load())
	}
	if s, settled := a.Standing(7, time.Now()); s.Deciders > 1 || settled {
		t.Errorf("it stands as %+v, settled %v", s, settled)
	}
}

func TestANodeWhoseBeatsDoNotComeBackKeepsNoCaps(t *testing.T) {
	t.Parallel()
	a := startActor(t, startBroker(t), "a")
	settled(t, a)
	if s, _ := a.Standing(7, time.Now().Add(3*time.Second)); s.Owner() {
		t.Error("it would keep caps 3 s after its last beat")
	}
	if _, long := a.Standing(7, time.Now()); long {
		t.Error("it says that it has been the owner for 32 s")
	}
}

func TestADoorThatClosesStillTakesWhatHasCome(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	hold, entered := make(chan struct{}), make(chan struct{}, 8)
	door := openEndpoints(t, c, func(_ bool, _ endpoint.Invite, _ call.Packet, reply func(cluster.Outcome)) {
		entered <- struct{}{}
		<-hold
		reply(cluster.Outcome{Taken: true})
	})
	r, err := cluster.NewRouter(c, cluster.RouterConfig{MaxPending: 64, OwnerTimeout: 4 * time.Second}, cluster.RouterObserver{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	out := make(chan cluster.Outcome, 4)
	for i := range 4 {
		r.Invite(invite(fmt.Sprint("c", i)), false, packet("INVITE"), func(o cluster.Outcome) { out <- o })
	}
	await(t, entered)
	flush(t, c) // all four are in the door's queue
	closed := make(chan struct{})
	go func() { door.Close(); close(closed) }()
	close(hold)
	await(t, closed)
	for range 4 {
		if o := await(t, out); !o.Taken {
			t.Errorf("%+v", o)
		}
	}
}

func TestAMediaNodeThatStartsAnewDoesNotKeepAnOwnerCareful(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	media := func(boot uint64) {
		tb.hear(envelope.Beat{Role: cluster.RoleMedia, Node: "m", Boot: boot, Slot: 1, Capacity: 10})
	}
	for range 1000 {
		media(1)
		tb.now = tb.now.Add(500 * time.Millisecond)
	}
	o := cluster.NewOwnership(tb.Presence, cluster.OwnershipConfig{Node: "a", Boot: 1}, func() time.Time { return tb.now }, cluster.OwnershipObserver{})
	beats := o.Beats()
	boot, sent := uint64(1), uint64(0)
	for tick := range 20 * 10 { // of 100 ms
		if tick%10 == 0 {
			sent++
			beats.Sent(sent)
			tb.hear(envelope.Beat{Role: cluster.RoleActor, Node: "a", Boot: 1, Capacity: 1, Claims: beats.Claims()})
		}
		if boot == 1 && len(o.Owned()) > 0 {
			boot = 2 // it starts anew before the actor node has settled
		}
		if tick%5 == 0 {
			media(boot)
		}
		if err := o.Step(); err != nil {
			t.Fatal(err)
		}
		tb.now = tb.now.Add(100 * time.Millisecond)
	}
	if boot != 2 || len(o.Owned()) != endpoint.Partitions {
		t.Fatalf("the actor node owns %d partitions", len(o.Owned()))
	}
	if s, _ := o.Standing(0, tb.now); !s.Owner() {
		t.Errorf("18 s after a media node has started anew nobody keeps the caps of a partition: %+v", s)
	}
}
