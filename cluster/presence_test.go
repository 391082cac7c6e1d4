package cluster_test

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/envelope"
)

// table is a Presence with a clock of the test's own.
type table struct {
	*cluster.Presence
	t    testing.TB
	now  time.Time
	seq  map[string]uint64
	left []string
	lost []string
	twin []string
}

func newTable(t testing.TB) *table {
	tb := &table{t: t, now: time.Unix(1_700_000_000, 0), seq: map[string]uint64{}}
	tb.Presence = cluster.NewPresence(30*time.Second, func() time.Time { return tb.now }, cluster.PresenceObserver{
		Left: func(role, node string, calls int) {
			tb.left = append(tb.left, fmt.Sprintf("%s %s %d", role, node, calls))
		},
		Lost: func(role, node string, calls int) {
			tb.lost = append(tb.lost, fmt.Sprintf("%s %s %d", role, node, calls))
		},
		Twin:   func(role, node string) { tb.twin = append(tb.twin, role+" "+node) },
		Ignore: func(err error) { t.Errorf("ignored: %v", err) },
	})
	return tb
}

func (tb *table) hear(b envelope.Beat) {
	if b.Boot == 0 {
		b.Boot = 1
	}
	id := fmt.Sprint(b.Role, b.Node, b.Boot)
	tb.seq[id]++
	b.Seq = tb.seq[id]
	data, err := envelope.EncodeBeat(b)
	if err != nil {
		tb.t.Fatal(err)
	}
	tb.Hear(data)
}

func (tb *table) media(node string, calls envelope.CallLists) {
	tb.hear(envelope.Beat{Role: cluster.RoleMedia, Node: node, Slot: 1, Capacity: 10, Calls: calls})
}

func (tb *table) count(key endpoint.Key) int { return len(tb.Active(key)) }

func TestCapsCountDistinctCallsOverAllNodes(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	tb.media("m1", envelope.CallLists{"k": {1, 2}, "other": {9}})
	tb.media("m2", envelope.CallLists{"k": {2, 3}})
	if got := slices.Sorted(maps.Keys(tb.Active("k"))); !slices.Equal(got, []call.ID{1, 2, 3}) {
		t.Errorf("got %v, want 1 2 3", got)
	}
	tb.media("m1", nil)
	if got := tb.count("k"); got != 2 {
		t.Errorf("after m1's calls ended: %d, want 2", got)
	}
}

func TestADeadNodesCallsCountUntilTheHoldIsOver(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	tb.media("m1", envelope.CallLists{"k": {1, 2}})
	tb.now = tb.now.Add(2 * time.Second)
	if len(tb.Media()) != 0 || tb.count("k") != 2 {
		t.Errorf("2 s after the last beat: %d nodes, %d calls; want 0 and 2", len(tb.Media()), tb.count("k"))
	}
	tb.media("m2", nil)
	if !slices.Equal(tb.lost, []string{"media m1 2"}) {
		t.Errorf("lost: %v", tb.lost)
	}
	tb.now = tb.now.Add(28 * time.Second)
	if got := tb.count("k"); got != 0 {
		t.Errorf("30 s after the last beat %d calls count", got)
	}
}

func TestARestartedNodesOldCallsCountUntilTheHoldIsOver(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	tb.media("m1", envelope.CallLists{"k": {1}})
	before := tb.Beats("m1")
	tb.hear(envelope.Beat{Role: cluster.RoleMedia, Node: "m1", Boot: 2, Slot: 1, Capacity: 10, Calls: envelope.CallLists{"k": {2}}})
	if len(tb.Media()) != 1 || tb.count("k") != 2 {
		t.Errorf("%d nodes, %d calls; want 1 and 2", len(tb.Media()), tb.count("k"))
	}
	if got := tb.Beats("m1"); got != before+1 {
		t.Errorf("beats went from %d to %d", before, got)
	}
	if len(tb.twin) != 0 {
		t.Errorf("a restart was taken for a twin: %v", tb.twin)
	}
	tb.media("m1", nil)
	if !slices.Equal(tb.twin, []string{"media m1"}) {
		t.Errorf("an older incarnation that beats on: %v", tb.twin)
	}
}

func TestANodeThatSaysGoodbyeIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	tb.hear(envelope.Beat{Role: cluster.RoleEdge, Node: "e1"})
	tb.hear(envelope.Beat{Role: cluster.RoleActor, Node: "a1"})
	if tb.Gone("e1") || tb.Gone("e2") {
		t.Error("a live edge, or one not heard of yet, is gone")
	}
	tb.hear(envelope.Beat{Role: cluster.RoleEdge, Node: "e1", Leaving: true})
	if !tb.Gone("e1") || len(tb.Alive(cluster.RoleEdge)) != 0 {
		t.Error("an edge that left is still there")
	}
	tb.now = tb.now.Add(3 * time.Second)
	if !tb.Gone("e2") || len(tb.Alive(cluster.RoleActor)) != 0 {
		t.Error("silent nodes are still there")
	}
	tb.media("m1", nil)
	if !slices.Equal(tb.left, []string{"edge e1 0"}) || !slices.Equal(tb.lost, []string{"actor a1 0"}) {
		t.Errorf("left: %v, silent: %v; want the edge that said goodbye, and the actor that did not", tb.left, tb.lost)
	}
}

func TestADrainingNodeIsListedAsSuch(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	tb.hear(envelope.Beat{Role: cluster.RoleMedia, Node: "m1", Slot: 4, Capacity: 9, Draining: true})
	if got := tb.Media(); len(got) != 1 || !got[0].Draining || got[0].Slot != 4 || got[0].Capacity != 9 {
		t.Errorf("got %+v", got)
	}
}

func TestWholeBeatsInPartsCountOnceTheyAreWhole(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	tb.media("m1", envelope.CallLists{"k": {1}})
	part := func(n int, ids ...call.ID) {
		tb.hear(envelope.Beat{Role: cluster.RoleMedia, Node: "m1", Part: n, Parts: 3, Calls: envelope.CallLists{"k": ids}})
	}
	part(1, 2, 3)
	part(2, 4)
	if got := tb.count("k"); got != 1 || tb.Beats("m1") != 1 {
		t.Errorf("half a beat changed the count to %d", got)
	}
	part(3, 5)
	if got := tb.count("k"); got != 4 || tb.Beats("m1") != 2 {
		t.Errorf("got %d calls, want 4", got)
	}
	part(1, 9)
	part(3, 9)
	if got := tb.count("k"); got != 4 {
		t.Errorf("a beat that misses a part changed the count to %d", got)
	}
}

func TestDeltasAddUpToWhatTheNodeCarries(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tb := newTable(t)
		truth := map[endpoint.Key]map[call.ID]bool{"a": {}, "b": {}}
		keys := rapid.SampledFrom([]endpoint.Key{"a", "b"})
		ids := rapid.Map(rapid.IntRange(1, 8), func(n int) call.ID { return call.ID(n) })
		tb.media("m", nil)
		rt.Repeat(map[string]func(*rapid.T){
			"delta": func(rt *rapid.T) {
				began, ended := envelope.CallLists{}, envelope.CallLists{}
				for range rapid.IntRange(1, 4).Draw(rt, "changes") {
					key, id := keys.Draw(rt, "key"), ids.Draw(rt, "id")
					if slices.Contains(began[key], id) || slices.Contains(ended[key], id) {
						continue
					}
					if truth[key][id] {
						delete(truth[key], id)
						ended[key] = append(ended[key], id)
					} else {
						truth[key][id] = true
						began[key] = append(began[key], id)
					}
				}
				tb.hear(envelope.Beat{Role: cluster.RoleMedia, Node: "m", Delta: true, Calls: began, Ended: ended})
			},
			"whole": func(*rapid.T) {
				all := envelope.CallLists{}
				for key, set := range truth {
					all[key] = slices.Collect(maps.Keys(set))
				}
				tb.media("m", all)
			},
			"": func(rt *rapid.T) {
				for key, set := range truth {
					if got := tb.count(key); got != len(set) {
						rt.Fatalf("%s: %d calls, want %d", key, got, len(set))
					}
				}
			},
		})
	})
}

func TestCallsOfSeveralNodesAreCountedTogetherWhateverTheyReport(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tb := newTable(t)
		nodes := []string{"m1", "m2", "m3"}
		truth := map[string]map[call.ID]bool{}
		for _, n := range nodes {
			truth[n] = map[call.ID]bool{}
			tb.media(n, nil)
		}
		beat := func(n string, b envelope.Beat) {
			b.Role, b.Node, b.Slot, b.Capacity = cluster.RoleMedia, n, 1, 10
			tb.hear(b)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"delta": func(rt *rapid.T) {
				n, id := rapid.SampledFrom(nodes).Draw(rt, "node"), call.ID(rapid.IntRange(1, 6).Draw(rt, "id"))
				b := envelope.Beat{Delta: true, Calls: envelope.CallLists{"k": {id}}}
				if truth[n][id] {
					b.Calls, b.Ended = nil, b.Calls
				}
				truth[n][id] = !truth[n][id]
				beat(n, b)
			},
			"whole": func(rt *rapid.T) {
				n := rapid.SampledFrom(nodes).Draw(rt, "node")
				clear(truth[n])
				var ids []call.ID
				for _, id := range rapid.SliceOfDistinct(rapid.IntRange(1, 6), rapid.ID[int]).Draw(rt, "ids") {
					ids = append(ids, call.ID(id))
					truth[n][call.ID(id)] = true
				}
				beat(n, envelope.Beat{Calls: envelope.CallLists{"k": ids}})
			},
			"": func(rt *rapid.T) {
				want := map[call.ID]bool{}
				for _, calls := range truth {
					for id, live := range calls {
						if live {
							want[id] = true
						}
					}
				}
				if got := tb.count("k"); got != len(want) {
					rt.Fatalf("%d calls, want %d", got, len(want))
				}
			},
		})
	})
}

func TestALostDeltaIsRepairedByTheNextWholeBeat(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	tb.media("m", envelope.CallLists{"k": {1}})
	tb.seq["mediam1"]++ // one is lost
	tb.hear(envelope.Beat{Role: cluster.RoleMedia, Node: "m", Delta: true, Calls: envelope.CallLists{"k": {3}}})
	if got := tb.count("k"); got != 1 {
		t.Errorf("a delta after a gap changed the count to %d", got)
	}
	tb.media("m", envelope.CallLists{"k": {1, 2, 3}})
	if got := tb.count("k"); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
}

func TestBeatsReachOtherNodesAtOnceAndSayGoodbye(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	p := cluster.NewPresence(30*time.Second, time.Now, cluster.PresenceObserver{})
	if err := p.Listen(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	flush(t, c)
	var live atomic.Pointer[envelope.CallLists]
	live.Store(&envelope.CallLists{})
	changed := make(chan struct{}, 1)
	t.Run("node", func(t *testing.T) {
		b := cluster.NewBeats(c, cluster.BeatConfig{Role: cluster.RoleMedia, Node: "m1", Boot: 1, Slot: 3, Capacity: 10,
			Live: func() map[endpoint.Key][]call.ID { return *live.Load() }, Changed: changed})
		run(t, b)
		eventually(t, "the node is listed", func() bool { return len(p.Media()) == 1 })
		live.Store(&envelope.CallLists{"k": {1, 2}})
		changed <- struct{}{}
		eventually(t, "its calls count", func() bool { return len(p.Active("k")) == 2 })
	})
	eventually(t, "the node has left", func() bool { return len(p.Media()) == 0 })
	if len(p.Active("k")) != 2 {
		t.Error("calls of a node that left are held against caps no longer")
	}
}

func TestAReportIsCountedOnlyWhereNothingIsMissingInIt(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	delta := func(calls envelope.CallLists) {
		tb.hear(envelope.Beat{Role: cluster.RoleMedia, Node: "m", Slot: 1, Capacity: 10, Delta: true, Calls: calls})
	}
	tb.media("m", envelope.CallLists{"k": {1}})
	before := tb.Beats("m")
	tb.seq["mediam1"]++ // the one that would tell of call 2 is lost
	delta(envelope.CallLists{"k": {3}})
	delta(envelope.CallLists{"other": {4}})
	if got := tb.Beats("m"); got != before {
		t.Errorf("%d reports are counted that do not say what the lost one did", got-before)
	}
	tb.media("m", envelope.CallLists{"k": {1, 2, 3}, "other": {4}})
	delta(envelope.CallLists{"other": {5}})
	if got := tb.Beats("m"); got != before+2 {
		t.Errorf("after a whole one: %d more, want 2", got-before)
	}
}
