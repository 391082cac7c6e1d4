package placement

import (
	"encoding/base64"
	"fmt"
	"math/bits"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Owners says which node should own each partition: the first eligible one in
// capacity-weighted rendezvous order of the partition's number (design D3).
// Without an eligible node the names are empty. It costs 256 weights for each
// node, so it is asked when the nodes change, never for an INVITE.
func Owners(nodes []Node) (owners [endpoint.Partitions]string) {
	var best [endpoint.Partitions]Node
	var most [endpoint.Partitions]float64
	for _, n := range nodes {
		if !n.Eligible() {
			continue
		}
		for k := range owners {
			w := weight(seedOf(k), n)
			if owners[k] == "" || before(w, n, most[k], best[k]) {
				owners[k], best[k], most[k] = n.Name, n, w
			}
		}
	}
	return owners
}

// Ranks says, for each partition, how many of the nodes come before the one of
// that name, eligible or not: all of them may be asked about a partition that
// has no owner.
func Ranks(name string, nodes []Node) (ranks [endpoint.Partitions]int) {
	me := Node{Name: name}
	for _, n := range nodes {
		if n.Name == name {
			me = n
		}
	}
	for k := range ranks {
		seed := seedOf(k)
		mine := weight(seed, me)
		for _, n := range nodes {
			if n.Name != name && before(weight(seed, n), n, mine, me) {
				ranks[k]++
			}
		}
	}
	return ranks
}

// Before reports whether a is asked to take the transaction before b.
func Before(key call.TransactionKey, a, b Node) bool {
	seed := hashKey(key)
	return before(weight(seed, a), a, weight(seed, b), b)
}

// before orders by weight, the heaviest first, and by name where they are
// equal.
func before(wa float64, a Node, wb float64, b Node) bool {
	if wa != wb {
		return wa > wb
	}
	return a.Name < b.Name
}

// seedOf is a partition's. Its number is no more than that: mixed, or the
// neighbours would go to the same nodes.
func seedOf(partition int) uint64 { return mix(uint64(partition) + fnvOffset) }

// A Set is a set of partitions. The zero Set is empty.
type Set [endpoint.Partitions / 64]uint64

// Has reports whether partition k is in the set.
func (s *Set) Has(k uint8) bool { return s[k/64]&(1<<(k%64)) != 0 }

// Put adds partition k.
func (s *Set) Put(k uint8) { s[k/64] |= 1 << (k % 64) }

// Drop removes partition k.
func (s *Set) Drop(k uint8) { s[k/64] &^= 1 << (k % 64) }

// Len returns how many partitions are in the set.
func (s *Set) Len() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// List returns the partitions in the set, in order.
func (s *Set) List() []uint8 {
	list := make([]uint8, 0, s.Len())
	for k := range endpoint.Partitions {
		if s.Has(uint8(k)) {
			list = append(list, uint8(k))
		}
	}
	return list
}

// Union returns the partitions that are in one of the two sets.
func (s Set) Union(o Set) Set {
	for i := range s {
		s[i] |= o[i]
	}
	return s
}

// setBytes is how long a set is as bytes, the lowest partition first.
const setBytes = endpoint.Partitions / 8

// MarshalText implements encoding.TextMarshaler: 32 bytes in base64.
func (s Set) MarshalText() ([]byte, error) {
	var b [setBytes]byte
	for i := range b {
		b[i] = byte(s[i/8] >> (8 * (i % 8)))
	}
	return base64.RawStdEncoding.AppendEncode(nil, b[:]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Set) UnmarshalText(text []byte) error {
	b, err := base64.RawStdEncoding.AppendDecode(nil, text)
	if err != nil || len(b) != setBytes {
		return fmt.Errorf("a set of partitions is %d bytes in base64", setBytes)
	}
	*s = Set{}
	for i, c := range b {
		s[i/8] |= uint64(c) << (8 * (i % 8))
	}
	return nil
}
