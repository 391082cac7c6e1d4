package endpoint_test

import (
	"net/netip"
	"testing"

	"patchbay/actors/endpoint"
)

func listOf(t testing.TB, raws ...string) endpoint.IPPolicy {
	t.Helper()
	p := endpoint.IPPolicy{Mode: endpoint.IPList}
	for _, raw := range raws {
		entry, err := endpoint.ParseIPEntry(raw)
		if err != nil {
			t.Fatal(err)
		}
		p.Entries = append(p.Entries, entry)
	}
	return p
}

func TestAllowlistHasThreeStates(t *testing.T) {
	t.Parallel()
	carrier := listOf(t, "203.0.113.0/24", "198.51.100.7", "2001:db8::/32")
	disabled := listOf(t, "203.0.113.0/24")
	disabled.Entries[0].Enabled = false
	keeps := func(mode endpoint.IPMode) endpoint.IPPolicy {
		p := listOf(t, "203.0.113.0/24")
		p.Mode = mode
		return p
	}
	for name, c := range map[string]struct {
		policy endpoint.IPPolicy
		source string
		want   bool
	}{
		"any admits a stranger":                {endpoint.IPPolicy{Mode: endpoint.IPAny}, "192.0.2.1", true},
		"any admits although a list is kept":   {keeps(endpoint.IPAny), "192.0.2.1", true},
		"none admits nobody":                   {endpoint.IPPolicy{Mode: endpoint.IPNone}, "203.0.113.1", false},
		"none ignores the list it keeps":       {keeps(endpoint.IPNone), "203.0.113.1", false},
		"the zero policy admits nobody":        {endpoint.IPPolicy{}, "203.0.113.1", false},
		"an empty list admits nobody":          {endpoint.IPPolicy{Mode: endpoint.IPList}, "203.0.113.1", false},
		"a range admits its addresses":         {carrier, "203.0.113.255", true},
		"a range ends":                         {carrier, "203.0.114.0", false},
		"an address admits itself":             {carrier, "198.51.100.7", true},
		"an address admits no neighbour":       {carrier, "198.51.100.8", false},
		"IPv6 is admitted":                     {carrier, "2001:db8:1::1", true},
		"IPv6 is refused":                      {carrier, "2001:db9::1", false},
		"a mapped source counts as IPv4":       {carrier, "::ffff:203.0.113.9", true},
		"a zone does not matter":               {listOf(t, "fe80::/10"), "fe80::1%eth0", true},
		"a disabled entry does not exist":      {disabled, "203.0.113.1", false},
		"a mapped entry counts as IPv4":        {listOf(t, "::ffff:203.0.113.9"), "203.0.113.9", true},
		"a mapped range counts as IPv4":        {listOf(t, "::ffff:203.0.113.0/120"), "203.0.113.9", true},
		"the whole of IPv4 leaves IPv6 out":    {listOf(t, "0.0.0.0/0"), "2001:db8::1", false},
		"the whole of IPv6 leaves IPv4 out":    {listOf(t, "::/0"), "203.0.113.1", false},
		"the whole of IPv4 admits mapped ones": {listOf(t, "0.0.0.0/0"), "::ffff:192.0.2.1", true},
	} {
		if got := c.policy.Admits(netip.MustParseAddr(c.source)); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if (endpoint.IPPolicy{Mode: endpoint.IPAny}).Admits(netip.Addr{}) {
		t.Error("a packet without a source is admitted")
	}
}

func TestIPEntryMasksHostBitsAndKeepsTheText(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"203.0.113.77/24":        "203.0.113.0/24",
		"203.0.113.77":           "203.0.113.77/32",
		"2001:db8::77/64":        "2001:db8::/64",
		"2001:db8::77":           "2001:db8::77/128",
		"::ffff:203.0.113.77":    "203.0.113.77/32",
		"::ffff:203.0.113.7/120": "203.0.113.0/24",
		"0.0.0.0/0":              "0.0.0.0/0",
	} {
		entry, err := endpoint.ParseIPEntry(raw)
		if err != nil || entry.Prefix.String() != want || entry.Raw != raw || !entry.Enabled {
			t.Errorf("%s: got %v (raw %q, enabled %v), %v, want %s", raw, entry.Prefix, entry.Raw, entry.Enabled, err, want)
		}
	}
	for _, raw := range []string{"", "carrier.example", "203.0.113.1/33", "203.0.113", "fe80::1%eth0", "203.0.113.1:5060",
		" 203.0.113.1", "::ffff:0.0.0.0/80", "010.0.0.1", "203.0.113.0/024"} {
		if entry, err := endpoint.ParseIPEntry(raw); err == nil {
			t.Errorf("%q passes as %v", raw, entry.Prefix)
		}
	}
}

func FuzzParseIPEntry(f *testing.F) {
	for _, seed := range []string{"203.0.113.1", "203.0.113.0/24", "::1", "::ffff:1.2.3.4/97", "fe80::1%a", "/", "1/1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		entry, err := endpoint.ParseIPEntry(raw)
		if err != nil {
			return
		}
		p := entry.Prefix
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
			t.Errorf("%q is stored as %v", raw, p)
		}
		if list := (endpoint.IPPolicy{Mode: endpoint.IPList, Entries: []endpoint.IPEntry{entry}}); !list.Admits(p.Addr()) {
			t.Errorf("%q does not admit its own first address", raw)
		}
	})
}
