package placement_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"patchbay/actors/call"
	"patchbay/cluster/placement"
)

func key(n int) call.TransactionKey {
	return call.TransactionKey{CallID: fmt.Sprintf("%d@pbx.example", n), FromTag: fmt.Sprintf("t%d", n%7), CSeq: 1}
}

func cluster(capacities ...int) []placement.Node {
	nodes := make([]placement.Node, len(capacities))
	for i, c := range capacities {
		nodes[i] = placement.Node{Name: fmt.Sprintf("media-%d", i), Slot: call.Slot(i + 1), Capacity: c}
	}
	return nodes
}

func TestEveryDeciderComesToTheSameOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		nodes := cluster(rapid.SliceOfN(rapid.IntRange(1, 5000), 1, 12).Draw(rt, "capacities")...)
		k := key(rapid.Int().Draw(rt, "key"))
		want := placement.Order(k, nodes)
		shuffled := rapid.Permutation(nodes).Draw(rt, "seen in another order")
		if got := placement.Order(k, shuffled); !slices.Equal(got, want) {
			rt.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestANodeThatLeavesMovesOnlyItsOwnCalls(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		nodes := cluster(rapid.SliceOfN(rapid.IntRange(1, 5000), 2, 12).Draw(rt, "capacities")...)
		gone := rapid.IntRange(0, len(nodes)-1).Draw(rt, "gone")
		k := key(rapid.Int().Draw(rt, "key"))
		want := slices.DeleteFunc(placement.Order(k, nodes), func(n placement.Node) bool { return n == nodes[gone] })
		for _, left := range [][]placement.Node{
			slices.Delete(slices.Clone(nodes), gone, gone+1),
			changed(nodes, gone, func(n *placement.Node) { n.Draining = true }),
			changed(nodes, gone, func(n *placement.Node) { n.Capacity = 0 }),
		} {
			if got := placement.Order(k, left); !slices.Equal(got, want) {
				rt.Errorf("got %v, want %v", got, want)
			}
		}
	})
}

func TestANodeThatGrowsOnlyGainsCalls(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		nodes := cluster(rapid.SliceOfN(rapid.IntRange(1, 5000), 2, 12).Draw(rt, "capacities")...)
		grows := rapid.IntRange(0, len(nodes)-1).Draw(rt, "grows")
		k := key(rapid.Int().Draw(rt, "key"))
		before := placement.Order(k, nodes)[0]
		after := placement.Order(k, changed(nodes, grows, func(n *placement.Node) { n.Capacity *= 2 }))[0]
		if after.Name != before.Name && after.Name != nodes[grows].Name {
			rt.Errorf("a call moved from %s to %s when %s grew", before.Name, after.Name, nodes[grows].Name)
		}
	})
}

func TestCallsSpreadByCapacity(t *testing.T) {
	t.Parallel()
	const calls = 40_000
	nodes := cluster(500, 1000, 2000, 500)
	first, second := map[string]int{}, map[string]int{}
	for i := range calls {
		order := placement.Order(key(i), nodes)
		first[order[0].Name]++
		if order[0].Name == "media-2" {
			second[order[1].Name]++ // where its calls would go
		}
	}
	for _, n := range nodes {
		want := calls * n.Capacity / 4000
		if got := first[n.Name]; got < want*95/100 || got > want*105/100 {
			t.Errorf("%s got %d calls, want %d within 5 %%", n.Name, got, want)
		}
	}
	for name, want := range map[string]int{"media-0": 5000, "media-1": 10_000, "media-3": 5000} {
		if got := second[name]; got < want*93/100 || got > want*107/100 {
			t.Errorf("%s would take over %d calls of media-2, want %d within 7 %%", name, got, want)
		}
	}
}

func changed(nodes []placement.Node, i int, change func(*placement.Node)) []placement.Node {
	nodes = slices.Clone(nodes)
	change(&nodes[i])
	return nodes
}

func BenchmarkOrder(b *testing.B) {
	nodes := cluster(2000, 2000, 2000, 1000, 1000)
	k := key(1)
	b.ReportAllocs()
	for b.Loop() {
		placement.Order(k, nodes)
	}
}
