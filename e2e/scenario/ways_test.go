package scenario_test

import (
	"fmt"
	"net/netip"
	"slices"

	"patchbay/e2e/rig"
)

// A way is how messages reach the cluster.
type way struct {
	name     string
	over     string // tcp, tls; "": udp
	spray    bool   // each message through another edge
	lossy    bool   // by a relay
	six      bool   // over IPv6, to a node of its own
	balanced bool   // by a balancer that says whose connection it is
	times    int    // plays of each scenario in one round; 0: as the round says
}

// ways are all ways. Where nothing is lost there is little luck, so the later
// ones are played less often.
var ways = []way{
	{name: "straight"}, {name: "sprayed", spray: true}, {name: "lossy", lossy: true},
	{name: "tcp", over: "tcp", spray: true, times: 1}, {name: "tls", over: "tls", spray: true, times: 1},
	{name: "balanced", over: "tls", spray: true, balanced: true, times: 1},
}

// overSix is the way to a node that has no IPv4.
var overSix = way{name: "six", six: true, times: 1}

// edges are those that a run's messages take in turn, another first for each
// seed.
func (w way) edges(b *bed, seed uint64) []netip.AddrPort {
	all := make([]netip.AddrPort, len(b.Edges))
	for i, e := range b.Edges {
		switch {
		case w.balanced:
			all[i] = b.balancer.At
		case w.over == "tls":
			all[i] = e.TLS
		default:
			all[i] = e.SIP
		}
	}
	first := int(seed % uint64(len(all)))
	all = slices.Concat(all[first:], all[:first])
	if !w.spray {
		all = all[:1]
	}
	return all
}

// phone opens a carrier of the way's.
func (w way) phone(b *bed, seed, relay uint64) (*rig.Phone, error) {
	switch w.over {
	case "tcp":
		return rig.NewStreamPhone(w.edges(b, seed), b.t1, nil)
	case "tls":
		return rig.NewStreamPhone(w.edges(b, seed), b.t1, b.Secured())
	}
	if !w.lossy {
		relay = 0
	}
	return rig.NewPhone(w.edges(b, seed), b.t1, relay)
}

// stranger is the party whose packets come from another host than all others'.
const stranger = "stranger"

// stranger opens a phone on UDP at another address.
func (w way) stranger(b *bed, seed, _ uint64) (*rig.Phone, error) {
	return rig.NewPhoneAt(netip.MustParseAddr("127.0.0.2"), w.edges(b, seed), b.t1, 0)
}

// twofold opens a carrier on UDP that takes calls over TCP, too, but for one behind
// a relay of UDP. The port must be free for both.
func (w way) twofold(b *bed, seed, relay uint64) (*rig.Phone, error) {
	for tries := 1; ; tries++ {
		p, err := w.phone(b, seed, relay)
		if err != nil || w.lossy || w.over != "" {
			return p, err
		}
		if err = p.ListenTCP(); err == nil {
			return p, nil
		}
		p.Close()
		if tries == 20 {
			return nil, err
		}
	}
}

// A traffic is what the phones and relays of a way have counted.
type traffic struct {
	phones, resent, copies int
	lost, twice, late      int64
}

func (f *traffic) String() string {
	return fmt.Sprintf("%d phones, %d requests repeated, %d copies came; the network lost %d, doubled %d and delayed %d packets",
		f.phones, f.resent, f.copies, f.lost, f.twice, f.late)
}

func (b *bed) count(w way, p *rig.Phone) {
	resent, copies := p.Repeated()
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.seen[w.name]
	if f == nil {
		f = &traffic{}
		b.seen[w.name] = f
	}
	f.phones, f.resent, f.copies = f.phones+1, f.resent+resent, f.copies+copies
	if r := p.Network(); r != nil {
		f.lost, f.twice, f.late = f.lost+r.Lost.Load(), f.twice+r.Twice.Load(), f.late+r.Late.Load()
	}
}
