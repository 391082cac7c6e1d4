package locate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"patchbay/actors/call"
	"patchbay/sip/locate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A zone is a name server on loopback, over UDP and TCP.
type zone struct {
	addr netip.AddrPort

	mu    sync.Mutex
	text  []string // records in the form of zone files
	asked map[string]int
	rcode int
	stop  func()
}

func newZone(t *testing.T, records ...string) *zone {
	t.Helper()
	z := &zone{text: records, asked: map[string]int{}}
	var pc net.PacketConn
	var l net.Listener
	for range 20 { // one port, both ways
		var err error
		if pc, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if l, err = net.Listen("tcp4", pc.LocalAddr().String()); err == nil {
			break
		}
		_ = pc.Close()
	}
	z.addr = netip.MustParseAddrPort(pc.LocalAddr().String())
	udp, tcp := &dns.Server{PacketConn: pc, Handler: z}, &dns.Server{Listener: l, Handler: z}
	var started, ended sync.WaitGroup
	for _, s := range []*dns.Server{udp, tcp} {
		started.Add(1)
		s.NotifyStartedFunc = started.Done
		ended.Go(func() { _ = s.ActivateAndServe() })
	}
	started.Wait()
	z.stop = sync.OnceFunc(func() {
		_, _ = udp.Shutdown(), tcp.Shutdown()
		ended.Wait()
	})
	t.Cleanup(z.stop)
	return z
}

// ServeDNS implements dns.Handler.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	reply := new(dns.Msg).SetReply(q)
	reply.Rcode = z.rcode
	name, kind := q.Question[0].Name, q.Question[0].Qtype
	z.asked[dns.TypeToString[kind]+" "+name]++
	for _, line := range z.text {
		rr, err := dns.NewRR(line)
		if err == nil && z.rcode == dns.RcodeSuccess && strings.EqualFold(rr.Header().Name, name) && rr.Header().Rrtype == kind {
			reply.Answer = append(reply.Answer, rr)
		}
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		reply.Truncate(512)
	}
	_ = w.WriteMsg(reply)
}

func (z *zone) set(rcode int, records ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.rcode, z.text = rcode, records
}

func (z *zone) questions() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	n := 0
	for k := range maps.Values(z.asked) {
		n += k
	}
	return n
}

// A clock is set by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); c.at = c.at.Add(d); c.mu.Unlock() }

func locator(t *testing.T, cfg locate.Config, zones ...*zone) *locate.Locator {
	t.Helper()
	for _, z := range zones {
		cfg.Servers = append(cfg.Servers, z.addr)
	}
	if cfg.Random == nil {
		cfg.Random = func(n int) int { return n - 1 }
	}
	l, err := locate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func spell(hops []locate.Hop) string {
	var all []string
	for _, h := range hops {
		all = append(all, fmt.Sprintf("%s %s", h.Transport, h.Addr))
	}
	return strings.Join(all, ", ")
}

var carrier = []string{
	`carrier.test. 60 IN NAPTR 10 20 "s" "SIP+D2U" "" _sip._udp.carrier.test.`,
	`carrier.test. 60 IN NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.carrier.test.`,
	`carrier.test. 60 IN NAPTR 20 10 "s" "SIPS+D2T" "" _sips._tcp.carrier.test.`,
	`carrier.test. 60 IN NAPTR 5 10 "s" "SIP+D2S" "" _sip._sctp.carrier.test.`,
	`carrier.test. 60 IN NAPTR 5 10 "u" "E2U+sip" "!^.*$!sip:x@y!" .`,
	`_sip._udp.carrier.test. 60 IN SRV 10 10 5060 a.carrier.test.`,
	`_sip._udp.carrier.test. 60 IN SRV 20 10 5070 b.carrier.test.`,
	`_sip._tcp.carrier.test. 60 IN SRV 10 10 5062 b.carrier.test.`,
	`_sips._tcp.carrier.test. 60 IN SRV 10 10 5061 a.carrier.test.`,
	`a.carrier.test. 60 IN A 192.0.2.1`,
	`a.carrier.test. 60 IN AAAA 2001:db8::1`,
	`b.carrier.test. 60 IN A 192.0.2.2`,
	`carrier.test. 60 IN A 192.0.2.9`,
	`plain.test. 60 IN A 192.0.2.7`,
	`srv.test. 60 IN A 192.0.2.8`,
	`_sip._udp.srv.test. 60 IN SRV 0 0 5080 srv.test.`,
	`_sip._tcp.srv.test. 60 IN SRV 0 0 5090 srv.test.`,
	`_sip._udp.shut.test. 60 IN SRV 0 0 0 .`,
	`shut.test. 60 IN A 192.0.2.6`,
	`_sip._udp.dead.test. 60 IN SRV 1 0 5060 gone.dead.test.`,
	`_sip._udp.dead.test. 60 IN SRV 2 0 5060 a.carrier.test.`,
}

func TestTheWayOutOfAURI(t *testing.T) {
	t.Parallel()
	l := locator(t, locate.Config{}, newZone(t, carrier...))
	for _, c := range []struct {
		why    string
		target locate.Target
		want   string
	}{
		{"an address needs no name server", locate.Target{Host: "192.0.2.33"}, "udp 192.0.2.33:5060"},
		{"an address of IPv6", locate.Target{Host: "2001:db8::33", Port: 5066, Transport: call.TCP}, "tcp [2001:db8::33]:5066"},
		{"a sips address is TLS", locate.Target{Host: "192.0.2.33", Secure: true}, "tls 192.0.2.33:5061"},
		{"a port skips NAPTR and SRV", locate.Target{Host: "carrier.test", Port: 5099}, "udp 192.0.2.9:5099"},
		{"NAPTR says which transport is preferred", locate.Target{Host: "carrier.test"},
			"tcp 192.0.2.2:5062, udp 192.0.2.1:5060, udp [2001:db8::1]:5060, udp 192.0.2.2:5070, tls 192.0.2.1:5061, tls [2001:db8::1]:5061"},
		{"sips takes TLS only", locate.Target{Host: "carrier.test", Secure: true}, "tls 192.0.2.1:5061, tls [2001:db8::1]:5061"},
		{"a transport skips NAPTR", locate.Target{Host: "carrier.test", Transport: call.UDP}, "udp 192.0.2.1:5060, udp [2001:db8::1]:5060, udp 192.0.2.2:5070"},
		{"no NAPTR: SRV of UDP, then TCP", locate.Target{Host: "srv.test"}, "udp 192.0.2.8:5080, tcp 192.0.2.8:5090"},
		{"no SRV: the host itself", locate.Target{Host: "Plain.Test."}, "udp 192.0.2.7:5060"},
		{"no SRV, TLS", locate.Target{Host: "plain.test", Transport: call.TLS}, "tls 192.0.2.7:5061"},
		{"a server without address is passed over", locate.Target{Host: "dead.test"}, "udp 192.0.2.1:5060, udp [2001:db8::1]:5060"},
	} {
		hops, err := l.Locate(t.Context(), c.target)
		if got := spell(hops); got != c.want || err != nil {
			t.Errorf("%s: %s, %v; want %s", c.why, got, err, c.want)
		}
		for _, h := range hops {
			if h.Name != c.target.Host {
				t.Errorf("%s: a certificate for %q is wanted", c.why, h.Name)
			}
		}
	}
}

func TestWhatLeadsNowhere(t *testing.T) {
	t.Parallel()
	l := locator(t, locate.Config{}, newZone(t, carrier...))
	for why, c := range map[string]struct {
		target locate.Target
		want   error
	}{
		"its owner serves no SIP there":  {locate.Target{Host: "shut.test"}, locate.ErrNone},
		"nobody knows the name":          {locate.Target{Host: "nobody.invalid"}, locate.ErrNone},
		"a browser cannot be called":     {locate.Target{Host: "carrier.test", Transport: call.WSS}, locate.ErrTransport},
		"sips is never sent in datagram": {locate.Target{Host: "carrier.test", Transport: call.UDP, Secure: true}, locate.ErrTransport},
	} {
		if hops, err := l.Locate(t.Context(), c.target); !errors.Is(err, c.want) || len(hops) != 0 {
			t.Errorf("%s: %v, %v", why, hops, err)
		}
	}
}

func TestIPv6MayComeFirst(t *testing.T) {
	t.Parallel()
	l := locator(t, locate.Config{IPv6First: true}, newZone(t, carrier...))
	hops, err := l.Locate(t.Context(), locate.Target{Host: "a.carrier.test", Port: 5060})
	if got := spell(hops); got != "udp [2001:db8::1]:5060, udp 192.0.2.1:5060" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestServersOfOnePriorityShareByWeight(t *testing.T) {
	t.Parallel()
	next := 0
	l := locator(t, locate.Config{Random: func(n int) int { next++; return next * 7919 % n }}, newZone(t,
		`_sip._udp.w.test. 60 IN SRV 10 60 1 x.test.`, `_sip._udp.w.test. 60 IN SRV 10 30 2 x.test.`,
		`_sip._udp.w.test. 60 IN SRV 10 10 3 x.test.`, `_sip._udp.w.test. 60 IN SRV 10 0 4 x.test.`,
		`_sip._udp.w.test. 60 IN SRV 5 0 9 x.test.`, `x.test. 60 IN A 192.0.2.1`))
	second := map[uint16]int{}
	for range 4040 {
		hops, err := l.Locate(t.Context(), locate.Target{Host: "w.test"})
		if err != nil || len(hops) != 5 || hops[0].Addr.Port() != 9 {
			t.Fatalf("%s, %v; the lower priority comes first", spell(hops), err)
		}
		second[hops[1].Addr.Port()]++
	}
	for port, want := range map[uint16]int{1: 2400, 2: 1200, 3: 400} {
		if got := second[port]; got < want*8/10 || got > want*12/10 {
			t.Errorf("weight of port %d: first of its priority %d times, want about %d", port, got, want)
		}
	}
	if second[4] == 0 || second[4] > 200 {
		t.Errorf("the server of no weight was first %d times", second[4])
	}
}

func TestAnAnswerIsKeptForItsTTL(t *testing.T) {
	t.Parallel()
	z, at := newZone(t, carrier...), &clock{at: time.Unix(1e9, 0)}
	l := locator(t, locate.Config{Now: at.now}, z)
	ask := func(host string) string {
		hops, _ := l.Locate(t.Context(), locate.Target{Host: host})
		return spell(hops)
	}
	ask("carrier.test")
	first := z.questions()
	at.pass(59 * time.Second)
	ask("carrier.test")
	if n := z.questions(); n != first {
		t.Errorf("%d questions within the TTL, %d before", n, first)
	}
	z.set(dns.RcodeSuccess, `carrier.test. 60 IN A 192.0.2.77`)
	at.pass(2 * time.Second)
	if got := ask("carrier.test"); got != "udp 192.0.2.77:5060" {
		t.Errorf("after the TTL: %s", got)
	}
	ask("nobody.test")
	n := z.questions()
	ask("nobody.test")
	if z.questions() != n {
		t.Error("that there is nothing was asked twice")
	}
	z.set(dns.RcodeSuccess, `nobody.test. 60 IN A 192.0.2.78`)
	at.pass(31 * time.Second)
	if got := ask("nobody.test"); got != "udp 192.0.2.78:5060" {
		t.Errorf("what was not there before: %q", got)
	}
}

func TestWhatWasFoundServesOnWhileNobodyAnswers(t *testing.T) {
	t.Parallel()
	z, at := newZone(t, `plain.test. 60 IN A 192.0.2.7`), &clock{at: time.Unix(1e9, 0)}
	l := locator(t, locate.Config{Now: at.now}, z)
	target := locate.Target{Host: "plain.test"}
	if _, err := l.Locate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	z.set(dns.RcodeServerFailure)
	at.pass(10 * time.Minute)
	if hops, err := l.Locate(t.Context(), target); spell(hops) != "udp 192.0.2.7:5060" {
		t.Errorf("%s, %v", spell(hops), err)
	}
	at.pass(2 * time.Hour)
	if hops, err := l.Locate(t.Context(), target); !errors.Is(err, locate.ErrUnavailable) {
		t.Errorf("two hours later: %s, %v", spell(hops), err)
	}
}

func TestAnotherNameServerIsAsked(t *testing.T) {
	t.Parallel()
	dead, broken, good := newZone(t), newZone(t), newZone(t, `plain.test. 60 IN A 192.0.2.7`)
	dead.stop()
	broken.set(dns.RcodeRefused)
	l := locator(t, locate.Config{}, dead, broken, good)
	if hops, err := l.Locate(t.Context(), locate.Target{Host: "plain.test", Port: 5060}); spell(hops) != "udp 192.0.2.7:5060" {
		t.Errorf("%s, %v", spell(hops), err)
	}
}

func TestAnAnswerThatDoesNotFitIsFetchedOverTCP(t *testing.T) {
	t.Parallel()
	var records []string
	for i := range 40 {
		records = append(records, fmt.Sprintf("many.test. 60 IN A 192.0.2.%d", i+1))
	}
	l := locator(t, locate.Config{}, newZone(t, records...))
	hops, err := l.Locate(t.Context(), locate.Target{Host: "many.test", Port: 5060})
	if err != nil || len(hops) != locate.MaxHops {
		t.Errorf("%d hops, %v; want %d of 40", len(hops), err, locate.MaxHops)
	}
}

func TestManyWhoAskAtOnceAreOneQuestion(t *testing.T) {
	t.Parallel()
	z := newZone(t, `plain.test. 60 IN A 192.0.2.7`)
	l := locator(t, locate.Config{}, z)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := l.Locate(t.Context(), locate.Target{Host: "plain.test", Port: 5060}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := z.questions(); n > 4 { // A and AAAA, and once more where one came between
		t.Errorf("%d questions", n)
	}
}

func TestWhoAsksMayGiveUp(t *testing.T) {
	t.Parallel()
	z := newZone(t, `plain.test. 60 IN A 192.0.2.7`)
	l := locator(t, locate.Config{}, z)
	z.mu.Lock() // it answers once the test is over
	defer z.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Locate(ctx, locate.Target{Host: "plain.test"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestTransportsOfURIs(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{"udp": true, "tls": true, "": true, "sctp": false, "UDP": false} {
		if got, ok := locate.ParseTransport(s); ok != want || ok && string(got) != s {
			t.Errorf("%q: %v, %v", s, got, ok)
		}
	}
}
