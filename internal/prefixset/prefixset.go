// Package prefixset answers whether an address lies in one of many ranges, and
// which range counts as one source.
//
// A set is made once and read by many: it never changes. It decides nothing;
// what a hit means is its user's.
package prefixset

import (
	"net/netip"
	"slices"
	"sort"
)

// A Set is a set of addresses, as ranges that neither touch nor overlap, in
// order. IPv4-mapped IPv6 addresses count as IPv4. The zero Set is empty.
type Set struct {
	v4, v6 []span
}

// A span holds its first and its last address.
type span struct{ first, last netip.Addr }

// New returns the set of all addresses in prefixes. A prefix that is not valid
// covers nothing.
func New(prefixes []netip.Prefix) *Set {
	s := &Set{}
	for _, p := range prefixes {
		if !p.IsValid() {
			continue
		}
		one := span{p.Masked().Addr(), last(p)}
		if one.first.Is4() {
			s.v4 = append(s.v4, one)
		} else {
			s.v6 = append(s.v6, one)
		}
	}
	s.v4, s.v6 = join(s.v4), join(s.v6)
	return s
}

// last returns the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// join sorts spans and makes one of those that overlap or touch.
func join(all []span) []span {
	slices.SortFunc(all, func(a, b span) int { return a.first.Compare(b.first) })
	joined := all[:0]
	for _, next := range all {
		if n := len(joined); n > 0 && !joined[n-1].last.Less(next.first) || n > 0 && joined[n-1].last.Next() == next.first {
			if joined[n-1].last.Less(next.last) {
				joined[n-1].last = next.last
			}
			continue
		}
		joined = append(joined, next)
	}
	return slices.Clip(joined)
}

// Contains reports whether a is in the set. Zones are ignored. A nil set holds
// nothing. It allocates nothing.
func (s *Set) Contains(a netip.Addr) bool {
	if s == nil || !a.IsValid() {
		return false
	}
	a = a.Unmap()
	spans := s.v6
	if a.Is4() {
		spans = s.v4
	} else if a.Zone() != "" {
		a = a.WithZone("")
	}
	if len(spans) == 0 {
		return false
	}
	i := sort.Search(len(spans), func(i int) bool { return a.Less(spans[i].first) })
	return i > 0 && !spans[i-1].last.Less(a)
}

// Len is how many ranges the set has once they are joined.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.v4) + len(s.v6)
}
