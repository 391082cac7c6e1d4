package prefixset_test

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"patchbay/internal/prefixset"
)

func TestASetHoldsItsRangesAndNothingElse(t *testing.T) {
	t.Parallel()
	s := prefixset.New([]netip.Prefix{
		netip.MustParsePrefix("203.0.113.0/28"), netip.MustParsePrefix("203.0.113.16/28"), netip.MustParsePrefix("203.0.113.4/32"),
		netip.MustParsePrefix("255.255.255.0/24"), netip.MustParsePrefix("2001:db8::/32"), {},
	})
	if s.Len() != 3 {
		t.Errorf("%d ranges, want 3: those that touch are one", s.Len())
	}
	for text, want := range map[string]bool{
		"203.0.113.0": true, "203.0.113.31": true, "203.0.113.32": false, "203.0.112.255": false, "::ffff:203.0.113.5": true,
		"255.255.255.255": true, "0.0.0.0": false, "2001:db8::1": true, "2001:db9::": false, "fe80::1%eth0": false, "::": false,
	} {
		if got := s.Contains(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if s.Contains(netip.Addr{}) || (*prefixset.Set)(nil).Contains(netip.MustParseAddr("::1")) {
		t.Error("no address, or no set, holds something")
	}
}

func TestASetAgreesWithNetip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		addr := rapid.Custom(func(rt *rapid.T) netip.Addr {
			if rapid.Bool().Draw(rt, "six") {
				return netip.AddrFrom16([16]byte{0: 0x20, 14: byte(rapid.IntRange(0, 3).Draw(rt, "hi")), 15: rapid.Byte().Draw(rt, "lo")})
			}
			return netip.AddrFrom4([4]byte{10, 0, byte(rapid.IntRange(0, 3).Draw(rt, "hi")), rapid.Byte().Draw(rt, "lo")})
		})
		prefixes := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) netip.Prefix {
			a := addr.Draw(rt, "addr")
			return netip.PrefixFrom(a, a.BitLen()-rapid.IntRange(0, 12).Draw(rt, "host")) // host bits set
		}), 0, 12).Draw(rt, "prefixes")
		s, a := prefixset.New(prefixes), addr.Draw(rt, "probe")
		want := false
		for _, p := range prefixes {
			want = want || p.Contains(a)
		}
		if got := s.Contains(a); got != want {
			rt.Errorf("%s in %v: %v, want %v", a, prefixes, got, want)
		}
	})
}

func BenchmarkContains(b *testing.B) {
	var prefixes []netip.Prefix
	for i := range 10_000 {
		prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(20 + i>>14), byte(i >> 8), byte(i), 0}), 25))
	}
	s := prefixset.New(prefixes)
	a := netip.MustParseAddr("203.0.113.7")
	b.ReportAllocs()
	for b.Loop() {
		if s.Contains(a) {
			b.Fatal("a stranger is in the set")
		}
	}
}

func TestASiteIsAnIPv4AddressOrAnIPv6Network(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1/32",
		"::ffff:192.0.2.1":     "192.0.2.1/32",
		"2001:db8:1:2:ffff::3": "2001:db8:1:2::/64",
		"fe80::1%eth0":         "fe80::/64",
	} {
		if got := prefixset.Site(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	if got := prefixset.Site(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("of no address: %v", got)
	}
}
