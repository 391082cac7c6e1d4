package edge

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	"patchbay/actors/call"
)

func TestAPrivateAddressOfAPublicPeerIsBehindItsNAT(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		to, remote, want string
	}{
		{"10.0.0.5:5060", "203.0.113.7:40000", "203.0.113.7:40000"},
		{"127.0.0.1:5060", "203.0.113.7:40000", "203.0.113.7:40000"},
		{"100.64.3.4:5060", "203.0.113.7:40000", "203.0.113.7:40000"},
		{"[fd00::1]:5060", "[2001:db8::7]:40000", "[2001:db8::7]:40000"},
		{"10.0.0.5:5060", "10.0.0.9:40000", "10.0.0.5:5060"},
		{"203.0.113.8:5060", "203.0.113.7:40000", "203.0.113.8:5060"},
		{"203.0.113.8:5060", "10.0.0.9:40000", "203.0.113.8:5060"},
	} {
		if got := reachable(netip.MustParseAddrPort(tc.to), netip.MustParseAddrPort(tc.remote)); got.String() != tc.want {
			t.Errorf("to %s of %s: got %s, want %s", tc.to, tc.remote, got, tc.want)
		}
	}
}

func TestHostsAreReadWithAndWithoutAPort(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]struct {
		host string
		port uint16
	}{
		"pbx.example": {"pbx.example", 0}, "pbx.example:5080": {"pbx.example", 5080}, "pbx.example:0": {"pbx.example", 0},
		"192.0.2.1:1": {"192.0.2.1", 1}, "[2001:db8::1]": {"2001:db8::1", 0}, "[2001:db8::1]:7": {"2001:db8::1", 7},
		"2001:db8::1": {"2001:db8::1", 0}, "": {"", 0},
	} {
		if host, port := splitHost(s); host != want.host || port != want.port {
			t.Errorf("%q: got %q and %d", s, host, port)
		}
	}
}

func TestMessagesOfOneCallShareAWorker(t *testing.T) {
	t.Parallel()
	e := &Edge{shards: newShards(8)}
	a := e.shardOf(inbound{raw: []byte("INVITE sip:a@b SIP/2.0\r\nVia: x\r\nCall-ID: one\r\n\r\n")})
	b := e.shardOf(inbound{raw: []byte("BYE sip:a@b SIP/2.0\r\ni :\r\n one \r\n\r\n")})
	if a != b {
		t.Error("two spellings of a Call-ID went to two workers")
	}
	for raw, want := range map[string]string{
		"INVITE sip:a@b SIP/2.0\r\nContact: x\r\nCALL-ID\t:  x y \r\n\r\n": "x y",
		"INVITE sip:a@b SIP/2.0\r\n\r\nCall-ID: of the body\r\n":           "",
		"INVITE sip:a@b SIP/2.0\r\nSubject: x\r\n Call-ID: folded\r\n\r\n": "",
		"": "",
	} {
		if got := string(rawCallID([]byte(raw))); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}

func TestSourcesAreSpreadOverTheSockets(t *testing.T) {
	t.Parallel()
	u, err := listenUDP(t.Context(), "127.0.0.1:0", 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	const sources = 60
	got := make(chan int, sources)
	var readers sync.WaitGroup
	for i, c := range u.conns {
		readers.Go(func() { u.read(c, func(netip.AddrPort) bool { return true }, func(datagram) { got <- i }) })
	}
	for range sources {
		c, err := net.Dial("udp4", u.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("x"))
		_ = c.Close()
	}
	per := map[int]int{}
	for range sources {
		per[<-got]++
	}
	if len(per) != 3 {
		t.Errorf("packets by socket: %v", per)
	}
	u.close()
	readers.Wait()
}

func TestAddressesOfTheFamilyThatThePeerUsedComeFirst(t *testing.T) {
	t.Parallel()
	var found []call.Hop
	for _, a := range []string{"192.0.2.1:5060", "[2001:db8::1]:5060", "192.0.2.2:5061"} {
		found = append(found, call.Hop{Addr: netip.MustParseAddrPort(a)})
	}
	all := func(netip.Addr) bool { return true }
	for want, got := range map[string][]netip.AddrPort{
		"[192.0.2.1:5060 [2001:db8::1]:5060 192.0.2.2:5061]": ordered(found, netip.Addr{}, all),
		"[192.0.2.1:5060 192.0.2.2:5061 [2001:db8::1]:5060]": ordered(found, netip.MustParseAddr("::ffff:198.51.100.1"), all),
		"[[2001:db8::1]:5060 192.0.2.1:5060 192.0.2.2:5061]": ordered(found, netip.MustParseAddr("2001:db8::7"), all),
		"[192.0.2.1:5060 192.0.2.2:5061]":                    ordered(found, netip.MustParseAddr("2001:db8::7"), netip.Addr.Is4),
	} {
		if fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}
