package wire_test

import (
	"net/netip"
	"strings"
	"testing"

	"patchbay/sip/wire"
)

func TestResponsesGoBackWhereTheRequestCameFrom(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, via, source, stamped, reply string }{
		{"rport", "SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bK1", "198.51.100.9:40000",
			"SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1;received=198.51.100.9;rport=40000", "198.51.100.9:40000"},
		{"rport and a true sent-by", "SIP/2.0/UDP 198.51.100.9;rport;branch=1", "198.51.100.9:5060",
			"SIP/2.0/UDP 198.51.100.9;branch=1;received=198.51.100.9;rport=5060", "198.51.100.9:5060"},
		{"no rport", "SIP/2.0/UDP 10.0.0.1:5070;branch=1", "198.51.100.9:40000",
			"SIP/2.0/UDP 10.0.0.1:5070;branch=1;received=198.51.100.9", "198.51.100.9:5070"},
		{"no rport and a true sent-by", "SIP/2.0/UDP 198.51.100.9:5070;branch=1", "198.51.100.9:40000",
			"SIP/2.0/UDP 198.51.100.9:5070;branch=1", "198.51.100.9:5070"},
		{"no port at all", "SIP/2.0/TCP host.example.com", "198.51.100.9:40000",
			"SIP/2.0/TCP host.example.com;received=198.51.100.9", "198.51.100.9:5060"},
		{"TLS has a port of its own", "SIP/2.0/TLS host.example.com", "198.51.100.9:40000",
			"SIP/2.0/TLS host.example.com;received=198.51.100.9", "198.51.100.9:5061"},
		{"forged received, rport and maddr", "SIP/2.0/UDP 203.0.113.1;received=203.0.113.2;rport=99;maddr=203.0.113.3;branch=1", "198.51.100.9:40000",
			"SIP/2.0/UDP 203.0.113.1;maddr=203.0.113.3;branch=1;received=198.51.100.9;rport=40000", "198.51.100.9:40000"},
		{"IPv6", "SIP/2.0/UDP [2001:db8::1]:5070;branch=1", "[2001:db8::2]:40000",
			"SIP/2.0/UDP [2001:db8::1]:5070;branch=1;received=2001:db8::2", "[2001:db8::2]:5070"},
		{"v4-mapped", "SIP/2.0/UDP [::ffff:198.51.100.9]:5070;branch=1", "[::ffff:198.51.100.9]:40000",
			"SIP/2.0/UDP [::ffff:198.51.100.9]:5070;branch=1", "198.51.100.9:5070"},
	} {
		m := read(t, strings.Replace(carrier, "Via: SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bK0cBf2a9d8e7c6b5a4;rport", "Via: "+tc.via, 1))
		reply := m.Stamp(netip.MustParseAddrPort(tc.source))
		if reply.String() != tc.reply || m.Header("Via") != tc.stamped {
			t.Errorf("%s: to %s with %s", tc.name, reply, m.Header("Via"))
		}
		again := read(t, string(m.Raw))
		if again.Header("Via") != tc.stamped || again.Header("X-Trunk") != "gold" || m.Header("X-Trunk") != "gold" || string(again.Body()) != sdp || string(m.Body()) != sdp {
			t.Errorf("%s: the stamp broke the message:\n%s", tc.name, m.Raw)
		}
		if string(again.Raw) != string(m.Raw) {
			t.Errorf("%s: a stamped message is not in normal form", tc.name)
		}
		if got := m.RequestURI.User; got != "desk-7k2mq9x4c8v3b6n1z5w0r2ty" {
			t.Errorf("%s: user %q", tc.name, got)
		}
	}
}

func TestNoSourceLeavesNoStamp(t *testing.T) {
	t.Parallel()
	m := read(t, carrier)
	if m.Stamp(netip.AddrPort{}).IsValid() || string(m.Raw) != carrier {
		t.Errorf("got %s", m.Raw)
	}
}

func TestAFaultIsStampedToo(t *testing.T) {
	t.Parallel()
	f := fault(t, request("Via: SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK1", "CSeq: x"))
	reply := f.Stamp(netip.MustParseAddrPort("198.51.100.9:40000"))
	if reply.String() != "198.51.100.9:40000" || !strings.Contains(string(f.Reply("t")), "\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;received=198.51.100.9;rport=40000\r\n") {
		t.Errorf("to %s:\n%s", reply, f.Reply("t"))
	}
	silent := fault(t, "hello")
	if got := silent.Stamp(netip.MustParseAddrPort("198.51.100.9:40000")); got.Port() != 40000 {
		t.Errorf("to %s", got)
	}
	badVia := fault(t, request("Via: nonsense;;,"))
	if got := badVia.Stamp(netip.MustParseAddrPort("198.51.100.9:40000")); got.Addr().String() != "198.51.100.9" {
		t.Errorf("to %s", got)
	}
}

func TestTheRelaysLimitsTakeWhatTheEdgesTook(t *testing.T) {
	t.Parallel()
	pad := func(n int) string { return "k: " + strings.Repeat("x", n) + "\r\n" }
	raw := strings.TrimSuffix(request(), "\r\n")
	for range 7 {
		raw += pad(8185)
	}
	raw += pad(wire.DefaultMaxDatagram-len(raw)-7) + "\r\n"
	m, f := wire.Read([]byte(raw), wire.DatagramLimits())
	if f != nil || len(raw) != wire.DefaultMaxDatagram {
		t.Fatalf("%v, %d octets", f, len(raw))
	}
	m.Stamp(netip.MustParseAddrPort("198.51.100.9:40000"))
	if again, f := wire.Read(m.Raw, wire.RelayLimits()); f != nil || string(again.Raw) != string(m.Raw) {
		t.Errorf("%v", f)
	}
}

func TestWithoutItsConnectionAResponseGoesToThePortOfSentBy(t *testing.T) {
	t.Parallel()
	source := netip.MustParseAddrPort("[::ffff:198.51.100.9]:40000")
	for via, want := range map[string]string{
		"SIP/2.0/TCP 10.0.0.1:5070;branch=z9hG4bKx;rport": "198.51.100.9:5070",
		"SIP/2.0/TCP pbx.example;branch=z9hG4bKx":         "198.51.100.9:5060",
		"SIP/2.0/TLS pbx.example;branch=z9hG4bKx;rport":   "198.51.100.9:5061",
		"SIP/2.0/TLS [2001:db8::1]:7;branch=z9hG4bKx":     "198.51.100.9:7",
	} {
		m, fault := wire.Read([]byte("OPTIONS sip:x@example.com SIP/2.0\r\nVia: "+via+"\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"+
			"Call-ID: i\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"), wire.StreamLimits())
		if fault != nil {
			t.Fatal(fault)
		}
		m.Stamp(source)
		if got := m.ReplyTo(source).String(); got != want {
			t.Errorf("%s: got %s, want %s", via, got, want)
		}
	}
}
