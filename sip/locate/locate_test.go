package locate_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"patchbay/actors/call"
	"patchbay/internal/testkit/port"
	"patchbay/internal/testkit/zone"
	"patchbay/sip/locate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A clock is set by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); c.at = c.at.Add(d); c.mu.Unlock() }

func locator(t *testing.T, cfg locate.Config, zones ...*zone.Zone) *locate.Locator {
	t.Helper()
	for _, z := range zones {
		cfg.Servers = append(cfg.Servers, z.Addr())
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
	l := locator(t, locate.Config{}, zone.Start(t, carrier...))
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
	l := locator(t, locate.Config{}, zone.Start(t, carrier...))
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

// Name servers that know no NAPTR say so in many ways. Kamailio and Sofia-SIP,
// too, go on to SRV then (RFC 3263 4.1).
func TestAServerThatKnowsNoNAPTRIsAskedForSRV(t *testing.T) {
	t.Parallel()
	for _, rcode := range []string{"NOTIMP", "FORMERR", "REFUSED"} {
		z := zone.Start(t, carrier...)
		z.Refuse("NAPTR", rcode)
		l := locator(t, locate.Config{}, z)
		for host, want := range map[string]string{"srv.test": "udp 192.0.2.8:5080, tcp 192.0.2.8:5090", "plain.test": "udp 192.0.2.7:5060"} {
			if hops, err := l.Locate(t.Context(), locate.Target{Host: host}); spell(hops) != want || err != nil {
				t.Errorf("%s, %s: %s, %v; want %s", rcode, host, spell(hops), err, want)
			}
		}
		z.Refuse("SRV", rcode)
		if hops, err := l.Locate(t.Context(), locate.Target{Host: "shut.test"}); !errors.Is(err, locate.ErrUnavailable) {
			t.Errorf("%s to SRV: %s, %v", rcode, spell(hops), err)
		}
		z.Refuse("NAPTR", "SERVFAIL") // it did not find out which transport is wanted
		if hops, err := l.Locate(t.Context(), locate.Target{Host: "carrier.test"}); !errors.Is(err, locate.ErrUnavailable) {
			t.Errorf("SERVFAIL: %s, %v", spell(hops), err)
		}
	}
}

func TestIPv6MayComeFirst(t *testing.T) {
	t.Parallel()
	l := locator(t, locate.Config{IPv6First: true}, zone.Start(t, carrier...))
	hops, err := l.Locate(t.Context(), locate.Target{Host: "a.carrier.test", Port: 5060})
	if got := spell(hops); got != "udp [2001:db8::1]:5060, udp 192.0.2.1:5060" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestServersOfOnePriorityShareByWeight(t *testing.T) {
	t.Parallel()
	next := 0
	l := locator(t, locate.Config{Random: func(n int) int { next++; return next * 7919 % n }}, zone.Start(t,
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
	z, at, asked := zone.Start(t, carrier...), &clock{at: time.Unix(1e9, 0)}, &atomic.Int64{}
	l := locator(t, locate.Config{Now: at.now, Asked: func(string, string) { asked.Add(1) }}, z)
	ask := func(host string) string {
		hops, _ := l.Locate(t.Context(), locate.Target{Host: host})
		return spell(hops)
	}
	ask("carrier.test")
	first := asked.Load()
	at.pass(59 * time.Second)
	ask("carrier.test")
	if n := asked.Load(); n != first {
		t.Errorf("%d questions within the TTL, %d before", n, first)
	}
	z.Set(`carrier.test. 60 IN A 192.0.2.77`)
	at.pass(2 * time.Second)
	if got := ask("carrier.test"); got != "udp 192.0.2.77:5060" {
		t.Errorf("after the TTL: %s", got)
	}
	ask("nobody.test")
	n := asked.Load()
	ask("nobody.test")
	if asked.Load() != n {
		t.Error("that there is nothing was asked twice")
	}
	z.Set(`nobody.test. 60 IN A 192.0.2.78`)
	at.pass(31 * time.Second)
	if got := ask("nobody.test"); got != "udp 192.0.2.78:5060" {
		t.Errorf("what was not there before: %q", got)
	}
}

// That there is nothing is kept as long as the zone says, and half a minute at
// most (RFC 2308 5): for each kind of record that was asked for.
func TestThatThereIsNothingIsKeptAsLongAsItsZoneSays(t *testing.T) {
	t.Parallel()
	for minimum, keeps := range map[int]time.Duration{5: 5 * time.Second, 3600: 30 * time.Second, 0: time.Second} {
		z, at := zone.Start(t), &clock{at: time.Unix(1e9, 0)}
		soa := fmt.Sprintf("test. 7200 IN SOA ns.test. hostmaster.test. 1 7200 600 86400 %d", minimum)
		z.Set(soa)
		asked := &atomic.Int64{}
		l := locator(t, locate.Config{Now: at.now, Asked: func(string, string) { asked.Add(1) }}, z)
		ask := func() string {
			hops, _ := l.Locate(t.Context(), locate.Target{Host: "later.test"})
			return spell(hops)
		}
		if got := ask(); got != "" {
			t.Fatalf("found %s", got)
		}
		z.Set(soa, `_sip._udp.later.test. 60 IN SRV 0 0 5080 a.test.`, `a.test. 60 IN A 192.0.2.1`)
		n := asked.Load()
		at.pass(keeps - time.Millisecond)
		if got := ask(); got != "" || asked.Load() != n {
			t.Errorf("minimum %d s: asked again before %s: %s", minimum, keeps, got)
		}
		at.pass(2 * time.Millisecond)
		if got := ask(); got != "udp 192.0.2.1:5080" {
			t.Errorf("minimum %d s: after %s: %q", minimum, keeps, got)
		}
	}
}

// Servers, their names' addresses and what leads to them have TTLs of their own.
func TestEachAnswerIsKeptForItsOwnTTL(t *testing.T) {
	t.Parallel()
	z, at := zone.Start(t, `ttl.test. 3000 IN NAPTR 1 1 "s" "SIP+D2T" "" _sip._tcp.ttl.test.`, `_sip._tcp.ttl.test. 300 IN SRV 0 0 5060 a.ttl.test.`,
		`a.ttl.test. 30 IN A 192.0.2.1`), &clock{at: time.Unix(1e9, 0)}
	l := locator(t, locate.Config{Now: at.now}, z)
	ask := func(want string) {
		t.Helper()
		if hops, err := l.Locate(t.Context(), locate.Target{Host: "ttl.test"}); spell(hops) != want || err != nil {
			t.Errorf("%s, %v; want %s", spell(hops), err, want)
		}
	}
	ask("tcp 192.0.2.1:5060")
	z.Set(`ttl.test. 3000 IN NAPTR 1 1 "s" "SIP+D2U" "" _sip._udp.ttl.test.`, `_sip._udp.ttl.test. 300 IN SRV 0 0 5066 a.ttl.test.`,
		`_sip._tcp.ttl.test. 300 IN SRV 0 0 5062 a.ttl.test.`, `a.ttl.test. 30 IN A 192.0.2.2`)
	at.pass(29 * time.Second)
	ask("tcp 192.0.2.1:5060")
	at.pass(2 * time.Second)
	ask("tcp 192.0.2.2:5060")
	at.pass(270 * time.Second)
	ask("tcp 192.0.2.2:5062")
	at.pass(2700 * time.Second)
	ask("udp 192.0.2.2:5066")
}

func TestWhatWasFoundServesOnWhileNobodyAnswers(t *testing.T) {
	t.Parallel()
	z, at := zone.Start(t, `plain.test. 60 IN A 192.0.2.7`), &clock{at: time.Unix(1e9, 0)}
	l := locator(t, locate.Config{Now: at.now}, z)
	target := locate.Target{Host: "plain.test"}
	if _, err := l.Locate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	z.Fail()
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
	broken, good := zone.Start(t), zone.Start(t, `plain.test. 60 IN A 192.0.2.7`)
	broken.Fail()
	l := locator(t, locate.Config{Servers: []netip.AddrPort{port.ClosedUDP(t)}}, broken, good)
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
	l := locator(t, locate.Config{}, zone.Start(t, records...))
	hops, err := l.Locate(t.Context(), locate.Target{Host: "many.test", Port: 5060})
	if err != nil || len(hops) != locate.MaxHops {
		t.Errorf("%d hops, %v; want %d of 40", len(hops), err, locate.MaxHops)
	}
}

func TestManyWhoAskAtOnceAreOneQuestion(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	l := locator(t, locate.Config{Asked: func(string, string) { asked.Add(1) }}, zone.Start(t, `plain.test. 60 IN A 192.0.2.7`))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := l.Locate(t.Context(), locate.Target{Host: "plain.test", Port: 5060}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d questions", n)
	}
}

// While nobody answers, nobody waits for that each time.
func TestWhatWasFoundServesOnAtOnce(t *testing.T) {
	t.Parallel()
	z, at, failed := zone.Start(t, `plain.test. 60 IN A 192.0.2.7`), &clock{at: time.Unix(1e9, 0)}, 0
	l := locator(t, locate.Config{Now: at.now, Asked: func(_, outcome string) {
		if outcome == "failed" {
			failed++
			at.pass(4 * time.Second) // all servers were tried for so long
		}
	}}, z)
	ask := func() {
		t.Helper()
		if hops, err := l.Locate(t.Context(), locate.Target{Host: "plain.test", Port: 5060}); spell(hops) != "udp 192.0.2.7:5060" {
			t.Errorf("%s, %v", spell(hops), err)
		}
	}
	ask()
	z.Fail()
	at.pass(10 * time.Minute)
	for range 3 {
		ask()
	}
	if failed != 1 {
		t.Errorf("%d times nobody answered, want 1", failed)
	}
	at.pass(3 * time.Second)
	if ask(); failed != 2 {
		t.Errorf("a little later nobody was asked again")
	}
}

func TestWhoAsksMayGiveUp(t *testing.T) {
	t.Parallel()
	z, asked := zone.Start(t, `plain.test. 60 IN A 192.0.2.7`), make(chan struct{}, 8)
	l := locator(t, locate.Config{Asked: func(string, string) { asked <- struct{}{} }}, z)
	release := z.Hold()
	defer func() { release(); <-asked }() // the question outlives who gave up, but not the test
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Locate(ctx, locate.Target{Host: "plain.test"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
