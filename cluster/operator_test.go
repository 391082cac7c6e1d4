package cluster_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/envelope"
	"patchbay/cluster/placement"
)

// hold puts a call with what people know of it on a media node.
func (f *fakeCalls) hold(s actors.CallStatus) {
	f.carry(s.ID)
	f.mu.Lock()
	defer f.mu.Unlock()
	s.V, s.Since = 1, f.status[s.ID].Since
	f.status[s.ID] = s
}

// openDoor has a node hear of what the operator wishes, until the test ends.
func openDoor(t testing.TB, c *cluster.Conn, node string, act func(string) envelope.NodeStatus) {
	t.Helper()
	door, err := cluster.OpenNodeDoor(c, node, act, cluster.DoorObserver{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.Close)
}

func TestCallsAreFoundByWhatPeopleKnowOfThem(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	one, two := openCalls(t, c, 1), openCalls(t, c, 2)
	one.hold(actors.CallStatus{ID: 1, Tenant: "acme", SIPCallID: "a84b4c76e66710@pc33", Endpoint: "key-1",
		From: call.Party{User: "+15551230100"}, To: call.Party{User: "night-****"}})
	two.hold(actors.CallStatus{ID: 2, Tenant: "acme", SIPCallID: "other", Endpoint: "key-2",
		From: call.Party{User: "15551230100"}, To: call.Party{User: "+4930123456"}})
	two.hold(actors.CallStatus{ID: 3, Tenant: "globex", SIPCallID: "third", From: call.Party{User: "+15551230100"}})
	cmd := cluster.NewCommander(c, nodes(placement.Node{Name: "m1", Slot: 1}, placement.Node{Name: "m2", Slot: 2}))
	for _, tc := range []struct {
		tenant, query string
		want          []call.ID
	}{
		{"acme", "a84b4c76e66710@pc33", []call.ID{1}},
		{"acme", "+15551230100", []call.ID{1, 2}},
		{"acme", "1 (555) 123-0100", []call.ID{1, 2}},
		{"acme", "4930123456", []call.ID{2}},
		{"acme", "key-2", []call.ID{2}},
		{"acme", call.ID(1).String(), []call.ID{1}},
		{"acme", "5551230100", nil}, // a part of a number is another number
		{"acme", "third", nil},
		{"acme", "night-****", nil},
		{"globex", "15551230100", []call.ID{3}},
		{"", "15551230100", []call.ID{1, 2, 3}},
	} {
		found, err := cmd.Find(t.Context(), tc.tenant, tc.query, 100)
		var ids []call.ID
		for _, s := range found {
			ids = append(ids, s.ID)
		}
		if err != nil || !slices.Equal(ids, tc.want) {
			t.Errorf("%q of %q: %v, %v; want %v", tc.query, tc.tenant, ids, err, tc.want)
		}
	}
	if found, err := cmd.Find(t.Context(), "", "15551230100", 1); len(found) != 1 || err != nil {
		t.Errorf("with a limit of 1: %v, %v", found, err)
	}
}

func TestManyCallsAreHungUpAtOnceAndOnlyThoseThatAreMeant(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	one, two := openCalls(t, c, 1), openCalls(t, c, 2)
	for id := call.ID(1); id <= 4; id++ {
		one.hold(actors.CallStatus{ID: id, Tenant: "acme", Endpoint: endpoint.Key([]string{"a", "b"}[id%2])})
		two.hold(actors.CallStatus{ID: id + 10, Tenant: []string{"acme", "globex"}[id%2], Endpoint: "a"})
	}
	cmd := cluster.NewCommander(c, nodes(placement.Node{Name: "m1", Slot: 1}, placement.Node{Name: "m2", Slot: 2}))
	for _, tc := range []struct {
		sel  cluster.Selection
		want int
	}{
		{cluster.Selection{Tenant: "acme"}, 6},
		{cluster.Selection{Tenant: "acme", Endpoint: "a"}, 4},
		{cluster.Selection{Tenant: "acme", Node: "m2"}, 2},
		{cluster.Selection{Tenant: "globex", Endpoint: "a", Node: "m2"}, 2},
		{cluster.Selection{Tenant: "nobody"}, 0},
		{cluster.Selection{Node: "m2"}, 4},
		{cluster.Selection{}, 8},
		{cluster.Selection{Node: "m3"}, 0},
	} {
		if n, err := cmd.HangupAll(t.Context(), tc.sel, true); n != tc.want || err != nil {
			t.Errorf("%+v: %d, %v; want %d", tc.sel, n, err, tc.want)
		}
	}
	if len(one.hung)+len(two.hung) != 0 {
		t.Error("counting has hung up calls")
	}
	if n, err := cmd.HangupAll(t.Context(), cluster.Selection{Tenant: "acme", Endpoint: "a"}, false); n != 4 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if slices.Sort(one.hung); !slices.Equal(one.hung, []call.ID{2, 4}) || len(two.hung) != 2 {
		t.Errorf("hung up %v and %v", one.hung, two.hung)
	}
	gone := cluster.NewCommander(c, nodes(placement.Node{Name: "m1", Slot: 1}, placement.Node{Name: "gone", Slot: 9}))
	if n, err := gone.HangupAll(t.Context(), cluster.Selection{Tenant: "acme"}, true); n != 4 || !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("with a node that is gone: %d, %v", n, err)
	}
}

func TestAnOperatorReachesEachNodeByItsName(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	began := time.Unix(1_700_000_000, 0).UTC()
	draining := map[string]*atomic.Bool{}
	for _, name := range []string{"b", "a"} {
		on := &atomic.Bool{}
		draining[name] = on
		openDoor(t, c, name, func(act string) envelope.NodeStatus {
			if act != envelope.NodeStatusAct {
				on.Store(act == envelope.NodeDrainAct)
			}
			return envelope.NodeStatus{Node: name, Roles: []string{"edge"}, Since: began, Draining: on.Load(), Calls: 3}
		})
	}
	flush(t, c)
	var known []cluster.Known // by their beats, so that nobody is listed before both have answered
	for name := range draining {
		known = append(known, cluster.Known{Node: name, Boot: uint64(began.UnixNano()), Roles: []string{"edge"}, Beats: true})
	}
	nodes := cluster.NewNodes(c, func() []cluster.Known { return known })
	nodes.WaitLonger(patience)
	all, err := nodes.List(t.Context())
	if err != nil || len(all) != 2 || all[0].Node != "a" || all[1].Node != "b" || all[0].Draining {
		t.Errorf("got %+v, %v", all, err)
	}
	if s, err := nodes.Drain(t.Context(), "a", false); err != nil || !s.Draining || s.Node != "a" || draining["b"].Load() {
		t.Errorf("drain: %+v, %v; the other drains: %v", s, err, draining["b"].Load())
	}
	if s, err := nodes.Drain(t.Context(), "a", true); err != nil || s.Draining {
		t.Errorf("cancel: %+v, %v", s, err)
	}
	for _, name := range []string{"c", ""} {
		if _, err := cluster.NewNodes(c, nil).Drain(t.Context(), name, false); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("drain of node %q: %v", name, err)
		}
	}
	if draining["a"].Load() || draining["b"].Load() {
		t.Error("a drain without a name drains nodes")
	}
}

func TestANodeThatBeatsIsWaitedForWhenItIsToDrain(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	openDoor(t, c, "slow", func(string) envelope.NodeStatus {
		time.Sleep(1500 * time.Millisecond) // longer than one that nobody has heard of is waited for
		return envelope.NodeStatus{Node: "slow", Draining: true}
	})
	flush(t, c)
	nodes := cluster.NewNodes(c, func() []cluster.Known {
		return []cluster.Known{{Node: "slow", Beats: true}, {Node: "hung", Beats: true}}
	})
	if s, err := nodes.Drain(t.Context(), "slow", false); err != nil || !s.Draining {
		t.Errorf("a slow node: %+v, %v", s, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := nodes.Drain(ctx, "hung", false); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("a node that does not answer: %v", err)
	}
}

// A stranger who knows the id of a call must not hear sooner that it is none of
// his than he would that there is none.
func TestAnothersCallTakesAsLongToBeMissingAsOneThatIsNot(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	openCalls(t, c, 1).carry(12)
	cmd := cluster.NewCommander(c, nodes(placement.Node{Name: "m1", Slot: 1}))
	took := func(do func() error) time.Duration {
		start := time.Now()
		if err := do(); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		return time.Since(start)
	}
	for what, id := range map[string]call.ID{"another's": 12, "none": 99} {
		get := took(func() error { _, err := cmd.Get(t.Context(), "other", id); return err })
		hangup := took(func() error { return cmd.Hangup(t.Context(), "other", id) })
		if get < 500*time.Millisecond || hangup < 500*time.Millisecond {
			t.Errorf("%s: get took %v, hangup %v; want both to take the whole of findPatience", what, get, hangup)
		}
	}
	if _, err := newCommander(c, placement.Node{Name: "m1", Slot: 1}).Get(t.Context(), "acme", 12); err != nil {
		t.Errorf("one's own: %v", err)
	}
}

func TestNodesThatDoNotAnswerAreListedAsSilent(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	boot := func(n uint64) uint64 { return uint64(time.Date(2026, 1, 1, 0, 0, int(n), 5, time.UTC).UnixNano()) }
	openDoor(t, c, "m1", func(string) envelope.NodeStatus {
		return envelope.NodeStatus{Node: "m1", State: envelope.NodeReady, Since: time.Unix(0, int64(boot(1))).UTC()}
	})
	flush(t, c)
	nodes := cluster.NewNodes(c, func() []cluster.Known {
		return []cluster.Known{
			{Node: "a1b2c3", Boot: boot(1), Roles: []string{"edge"}, Beats: true}, // m1, by its edge's id
			{Node: "m1", Boot: boot(0), Roles: []string{"media"}, Calls: 4},       // its earlier start
			{Node: "m2", Boot: boot(2), Roles: []string{"media"}, Calls: 7, Slot: 2},
			{Node: "m3", Boot: boot(3), Roles: []string{"actor", "media"}, Beats: true},
		}
	})
	nodes.WaitLonger(4 * time.Second) // of which m3 needs all
	all, err := nodes.List(t.Context())
	if err != nil || len(all) != 3 {
		t.Fatalf("got %+v, %v", all, err)
	}
	if all[0].Node != "m1" || all[0].State != envelope.NodeReady {
		t.Errorf("got %+v", all[0])
	}
	if s := all[1]; s.Node != "m2" || s.State != envelope.NodeSilent || s.Calls != 7 || s.Slot != 2 || s.Reason != "its beats have stopped" {
		t.Errorf("got %+v", s)
	}
	if s := all[2]; s.Node != "m3" || s.State != envelope.NodeSilent || s.Reason != "it beats and does not answer" {
		t.Errorf("got %+v", s)
	}
}

func TestNobodyAnswersWithNothingKnown(t *testing.T) {
	t.Parallel()
	if all, err := cluster.NewNodes(newConn(t), nil).List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("got %+v, %v", all, err)
	}
}
