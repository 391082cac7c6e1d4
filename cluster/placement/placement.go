// Package placement says which media node a call goes to and which actor node
// should own a partition of endpoints: capacity-weighted rendezvous hashing of
// the INVITE's transaction key (design D4), and of the partition's number (D3).
// It is pure, so everybody who sees the same nodes comes to the same order,
// without a coordinator; a node that comes or goes moves only its own share.
package placement

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"patchbay/actors/call"
)

// A Node is a candidate. Name places it; Capacity is how many calls it is made
// for and weighs it. How full it is at the moment must not matter here, or two
// deciders would disagree.
type Node struct {
	Name     string
	Slot     call.Slot
	Capacity int
	Draining bool
}

// Eligible reports whether the node may be given new calls at all.
func (n Node) Eligible() bool { return n.Capacity > 0 && !n.Draining }

// Order returns the eligible nodes in the order in which they should be asked
// to take the transaction. Equal weights are told apart by name.
func Order(key call.TransactionKey, nodes []Node) []Node {
	type ranked struct {
		Node
		weight float64
	}
	seed := hashKey(key)
	list := make([]ranked, 0, len(nodes))
	for _, n := range nodes {
		if n.Eligible() {
			list = append(list, ranked{n, weight(seed, n)})
		}
	}
	slices.SortFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.Name, b.Name))
	})
	out := make([]Node, len(list))
	for i, r := range list {
		out[i] = r.Node
	}
	return out
}

// weight is -capacity/ln(u) with u uniform in (0,1): the largest of these is a
// node's with a probability proportional to its capacity (Schindelhauer and
// Schomaker, Weighted Distributed Hash Tables, 2005).
func weight(seed uint64, n Node) float64 {
	h := mix(seed ^ hashString(fnvOffset, n.Name))
	u := (float64(h>>11) + 0.5) / (1 << 53)
	return -float64(n.Capacity) / math.Log(u)
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func hashKey(key call.TransactionKey) uint64 {
	h := hashString(fnvOffset, key.CallID)
	h = hashString(h*fnvPrime, key.FromTag) // a zero byte keeps ("ab","c") apart from ("a","bc")
	return mix(h ^ bits.RotateLeft64(uint64(key.CSeq), 32))
}

func hashString(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// mix is the finaliser of SplitMix64: FNV alone leaves the high bits of short
// strings too alike.
func mix(h uint64) uint64 {
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	return h ^ h>>31
}
