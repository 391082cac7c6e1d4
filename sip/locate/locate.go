package locate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Why a name leads nowhere. Errors wrap one of them.
var (
	// ErrNone says that the name has no address, or that its owner says that SIP
	// is not served there.
	ErrNone = errors.New("no SIP server there")
	// ErrTransport says that the URI asks for a transport that has no way out.
	ErrTransport = errors.New("no such way out")
	// ErrUnavailable says that no name server answered.
	ErrUnavailable = errors.New("no name server answers")
)

// A Config is what an operator may set. The zero value asks the servers of
// /etc/resolv.conf.
type Config struct {
	Servers   []netip.AddrPort // name servers; none: those of /etc/resolv.conf
	IPv6First bool             // try AAAA addresses first
	Random    func(n int) int  // nil: math/rand
	Now       func() time.Time // nil: time.Now
	// Asked hears of each question to a name server: its type, and ok, none or
	// failed. nil: nobody does.
	Asked func(kind, outcome string)
}

// A Locator finds hops. Its methods may be called from any goroutine.
type Locator struct {
	cfg   Config
	cache cache
}

// New returns a Locator. An error says that there are no name servers to ask.
func New(cfg Config) (*Locator, error) {
	if cfg.Random == nil {
		cfg.Random = rand.IntN
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	dns, err := newClient(cfg.Servers)
	if err != nil {
		return nil, fmt.Errorf("locate SIP servers: %w", err)
	}
	l := &Locator{cfg: cfg}
	l.cache.init(dns, cfg)
	return l, nil
}

// Locate returns the addresses that a request to the target may go to, in the
// order in which they are to be tried; at most MaxHops, at least one without an
// error.
func (l *Locator) Locate(ctx context.Context, t Target) ([]Hop, error) {
	if !usable(t) {
		return nil, fmt.Errorf("transport %s: %w", t.Transport, ErrTransport)
	}
	if a, err := netip.ParseAddr(t.Host); err == nil {
		port := t.Port
		if port == 0 {
			port = defaultPort(fallback(t))
		}
		return []Hop{{Transport: fallback(t), Addr: netip.AddrPortFrom(a.Unmap(), port), Name: t.Host}}, nil
	}
	var hops []Hop
	var err error
	if t.Port != 0 {
		hops, err = l.addresses(ctx, nil, t, Hop{Transport: fallback(t), Name: t.Host}, t.Host, t.Port)
	} else {
		hops, err = l.servers(ctx, t)
	}
	if err == nil && len(hops) == 0 {
		err = ErrNone
	}
	if err != nil && len(hops) == 0 {
		return nil, fmt.Errorf("look up a next hop: %w", err)
	}
	return hops, nil
}

// servers follows NAPTR and SRV records of a name without a port (RFC 3263 4.1,
// 4.2).
func (l *Locator) servers(ctx context.Context, t Target) ([]Hop, error) {
	var routes []route
	if transport(t) == "" || t.Secure {
		found, err := l.cache.records(ctx, "NAPTR", t.Host)
		if err != nil && !errors.Is(err, errRefused) { // some servers know no NAPTR: NOTIMP, FORMERR, REFUSED
			return nil, err
		}
		routes = preferred(t, found)
	}
	if len(routes) == 0 {
		routes = guessed(t)
	}
	var hops []Hop
	served := false
	for _, r := range routes {
		found, err := l.cache.records(ctx, "SRV", r.name)
		if err != nil {
			return hops, err
		}
		served = served || len(found) > 0
		if refused(found) {
			continue
		}
		for _, s := range ordered(found, l.cfg.Random) {
			// A server that cannot be found is one that does not answer: the next.
			hops, _ = l.addresses(ctx, hops, t, Hop{Transport: r.transport, Name: t.Host}, s.target, s.port)
		}
	}
	if served {
		return hops, nil
	}
	return l.addresses(ctx, nil, t, Hop{Transport: fallback(t), Name: t.Host}, t.Host, defaultPort(fallback(t)))
}

// addresses adds a host's addresses to the hops.
func (l *Locator) addresses(ctx context.Context, hops []Hop, t Target, like Hop, host string, port uint16) ([]Hop, error) {
	found, err := l.cache.addresses(ctx, host)
	if err != nil {
		return hops, err
	}
	found = slices.Clone(found)
	slices.SortStableFunc(found, func(a, b netip.Addr) int {
		switch {
		case a.Is4() == b.Is4():
			return 0
		case a.Is4() != l.cfg.IPv6First:
			return -1
		}
		return 1
	})
	for _, a := range found {
		like.Addr = netip.AddrPortFrom(a, port)
		if len(hops) < MaxHops && !slices.Contains(hops, like) {
			hops = append(hops, like)
		}
	}
	return hops, nil
}
