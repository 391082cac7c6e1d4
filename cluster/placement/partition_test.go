package placement_test

import (
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"patchbay/actors/endpoint"
	"patchbay/cluster/placement"
)

func TestEverybodySeesTheSameOwners(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		nodes := cluster(rapid.SliceOfN(rapid.IntRange(1, 64), 1, 9).Draw(rt, "weights")...)
		want := placement.Owners(nodes)
		if got := placement.Owners(rapid.Permutation(nodes).Draw(rt, "seen in another order")); got != want {
			rt.Errorf("got %v, want %v", got, want)
		}
		for k, owner := range want {
			if owner == "" {
				rt.Fatalf("partition %d has no owner", k)
			}
		}
	})
}

func TestAnActorNodeThatLeavesMovesOnlyItsOwnPartitions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		nodes := cluster(rapid.SliceOfN(rapid.IntRange(1, 64), 2, 9).Draw(rt, "weights")...)
		gone := rapid.IntRange(0, len(nodes)-1).Draw(rt, "gone")
		before := placement.Owners(nodes)
		for _, left := range [][]placement.Node{
			slices.Delete(slices.Clone(nodes), gone, gone+1),
			changed(nodes, gone, func(n *placement.Node) { n.Draining = true }),
		} {
			for k, owner := range placement.Owners(left) {
				if owner == nodes[gone].Name || before[k] != nodes[gone].Name && owner != before[k] {
					rt.Fatalf("partition %d went from %s to %s when %s left", k, before[k], owner, nodes[gone].Name)
				}
			}
		}
	})
}

func TestPartitionsSpreadByWeightAndWithoutNodesHaveNoOwner(t *testing.T) {
	t.Parallel()
	count := map[string]int{}
	for _, owner := range placement.Owners(cluster(2, 2, 4)) {
		count[owner]++
	}
	for name, want := range map[string]int{"media-0": 64, "media-1": 64, "media-2": 128} {
		if got := count[name]; got < want*70/100 || got > want*130/100 {
			t.Errorf("%s owns %d partitions, want %d within 30 %%", name, got, want)
		}
	}
	if owners := placement.Owners(nil); owners != [endpoint.Partitions]string{} {
		t.Error("partitions without nodes have owners")
	}
}

func TestRanksAreDifferentForEveryNodeOfAPartition(t *testing.T) {
	t.Parallel()
	nodes := cluster(2, 4, 2, 8)
	nodes[1].Draining = true // it decides, too
	var all [4][endpoint.Partitions]int
	for i, n := range nodes {
		all[i] = placement.Ranks(n.Name, nodes)
	}
	for k := range endpoint.Partitions {
		ranks := []int{all[0][k], all[1][k], all[2][k], all[3][k]}
		slices.Sort(ranks)
		if !slices.Equal(ranks, []int{0, 1, 2, 3}) {
			t.Fatalf("partition %d: %v", k, ranks)
		}
	}
}

func TestBeforeIsTheOrderInWhichNodesAreAsked(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		nodes := cluster(rapid.SliceOfN(rapid.IntRange(1, 5000), 2, 5).Draw(rt, "capacities")...)
		k := key(rapid.Int().Draw(rt, "key"))
		order := placement.Order(k, nodes)
		for i, a := range order {
			for j, b := range order {
				if i != j && placement.Before(k, a, b) != (i < j) {
					rt.Errorf("%s before %s: %v in %v", a.Name, b.Name, i > j, order)
				}
			}
		}
	})
}

func TestASetOfPartitionsKeepsItsMembersOnTheWire(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		members := rapid.SliceOfDistinct(rapid.Uint8(), rapid.ID[uint8]).Draw(rt, "members")
		var s placement.Set
		for _, k := range members {
			s.Put(k)
		}
		slices.Sort(members)
		if !slices.Equal(s.List(), members) || s.Len() != len(members) {
			rt.Errorf("got %v, want %v", s.List(), members)
		}
		b, err := json.Marshal(s)
		var read placement.Set
		if err != nil || json.Unmarshal(b, &read) != nil || read != s {
			rt.Errorf("%s was read as %v", b, read.List())
		}
		for _, k := range members {
			s.Drop(k)
		}
		if s != (placement.Set{}) {
			rt.Errorf("%v is left", s.List())
		}
	})
}

func TestASetThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "AA", "not base64, not at all", string(make([]byte, 43))} {
		var s placement.Set
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func BenchmarkOwners(b *testing.B) {
	nodes := cluster(2, 2, 4, 4, 8, 8, 2, 2)
	b.ReportAllocs()
	for b.Loop() {
		placement.Owners(nodes)
	}
}
