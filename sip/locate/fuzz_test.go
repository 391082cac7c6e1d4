package locate

import (
	"testing"

	"github.com/miekg/dns"

	"patchbay/actors/call"
)

// FuzzReply reads replies of a name server that may say anything: what comes of
// them is bounded, and only what can be sent to.
func FuzzReply(f *testing.F) {
	for _, lines := range [][]string{
		{`a.test. 60 IN A 192.0.2.1`, `a.test. 0 IN AAAA 2001:db8::1`},
		{`_sip._udp.a.test. 60 IN SRV 10 0 5060 b.test.`, `_sip._udp.a.test. 4294967295 IN SRV 10 65535 0 .`},
		{`a.test. 60 IN NAPTR 10 20 "s" "SIP+D2U" "" _sip._udp.a.test.`, `a.test. 60 IN NAPTR 1 1 "u" "E2U+sip" "!^.*$!sip:x@y!" .`},
		{`a.test. 60 IN CNAME b.test.`, `a.test. 60 IN TXT "x"`},
	} {
		m := new(dns.Msg).SetQuestion("a.test.", dns.TypeA)
		for _, line := range lines {
			rr, err := dns.NewRR(line)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		raw, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, "a.test")
	}
	f.Fuzz(func(t *testing.T, raw []byte, host string) {
		reply := new(dns.Msg)
		if reply.Unpack(raw) != nil {
			return
		}
		addresses, records := addressesIn(reply), recordsIn(reply)
		if len(addresses.addrs) > maxRecords || len(records.records) > maxRecords {
			t.Errorf("%d addresses and %d records, at most %d", len(addresses.addrs), len(records.records), maxRecords)
		}
		if keep := lifetime(records.ttl); keep < minTTL || keep > maxTTL || addresses.ttl < 0 {
			t.Errorf("kept for %s", keep)
		}
		for _, a := range addresses.addrs {
			if !a.IsValid() || a.Is4In6() {
				t.Errorf("address %v", a)
			}
		}
		if all := ordered(records.records, func(n int) int { return n - 1 }); len(all) != len(records.records) {
			t.Errorf("%d of %d servers are left", len(all), len(records.records))
		}
		for _, target := range []Target{{Host: host}, {Host: host, Secure: true}} {
			for _, r := range preferred(target, records.records) {
				if target.Secure && r.transport != call.TLS || r.transport == "" {
					t.Errorf("sips by %q", r.transport)
				}
			}
		}
		_ = refused(records.records)
	})
}
