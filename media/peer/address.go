package peer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"patchbay/internal/pktinfo"
	"patchbay/media"
)

// Bounds of one peer's place on the network.
const (
	// MaxCandidates is how many local addresses one offer names.
	MaxCandidates = 8
	// PortTries is how many ports are tried before a call is refused.
	PortTries = 128
	// addressesFor is how long a list of local addresses is believed.
	addressesFor = 10 * time.Second
)

// ErrNoPort says no UDP port of media.ice_ports is free.
var ErrNoPort = fmt.Errorf("%w: no free port in media.ice_ports", media.ErrAgentUnreachable)

type portRange struct{ first, last uint16 }

// listen binds one port of the range, from a random start, so that a port is
// neither guessable nor soon used again.
func (r portRange) listen(network string, bind netip.Addr) (*net.UDPConn, error) {
	size := int(r.last) - int(r.first) + 1
	start := rand.IntN(size)
	for i := range min(size, PortTries) {
		port := int(r.first) + (start+i)%size
		conn, err := net.ListenUDP(network, &net.UDPAddr{IP: bind.AsSlice(), Port: port})
		if err == nil {
			if !bind.IsValid() {
				wantLocal(conn, network != "udp4")
			}
			return conn, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("%w: bind UDP port %d: %w", media.ErrAgentUnreachable, port, err)
		}
	}
	return nil, ErrNoPort
}

// wantLocal asks for the local address of each packet, of which the socket has
// many. Where the system does not tell, the kernel chooses what answers leave
// from.
func wantLocal(conn *net.UDPConn, six bool) {
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = pktinfo.Want(int(fd), six) })
	}
}

// localAddrs remembers this node's addresses, because listing them costs more
// than the rest of a call's socket.
type localAddrs struct {
	mu    sync.Mutex
	at    time.Time
	addrs []netip.Addr
}

func (l *localAddrs) list(now time.Time) []netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addrs == nil || now.Sub(l.at) > addressesFor {
		l.at, l.addrs = now, usableAddrs(interfaceAddrs())
	}
	return l.addrs
}

// usableAddrs picks what an agent may be told: every global address, and
// loopback only where there is nothing else, so that one machine without a
// network still works.
func usableAddrs(all []netip.Addr) []netip.Addr {
	var global, loopback []netip.Addr
	for _, a := range all {
		a = a.Unmap()
		switch {
		case a.IsLoopback():
			loopback = append(loopback, a)
		case a.IsGlobalUnicast():
			global = append(global, a)
		}
	}
	if len(global) == 0 {
		global = loopback
	}
	return global[:min(len(global), MaxCandidates)]
}

// interfaceAddrs lists the addresses of interfaces that are up. Bridges of
// containers and virtual machines are left out: the same address lives on
// every such machine, and no agent elsewhere reaches it.
func interfaceAddrs() []netip.Addr {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, i := range ifaces {
		if i.Flags&net.FlagUp == 0 || virtual(i.Name) {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				out = append(out, p.Addr())
			}
		}
	}
	return out
}

func virtual(name string) bool {
	for _, prefix := range []string{"docker", "br-", "veth", "virbr", "cni", "flannel", "cali"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// place is where one peer listens and what it tells the agent about it.
type place struct {
	network   string
	bind      netip.Addr
	names     []netip.Addr // one per family: what the library believes the socket's address to be
	announced []netip.Addr // candidates of our SDP, in this order
}

func (s *Stack) place(now time.Time) place {
	p := place{bind: s.bind}
	if s.bind.IsValid() && !s.bind.IsUnspecified() {
		p.announced = []netip.Addr{s.bind}
	} else {
		p.bind, p.announced = netip.Addr{}, s.local.list(now)
	}
	p.names = firstOfEach(p.announced)
	p.network = "udp4"
	switch {
	case len(p.names) == 2:
		p.network = "udp"
	case len(p.names) == 1 && p.names[0].Is6():
		p.network = "udp6"
	}
	p.announced = announced(p.announced, s.advertise)
	return p
}

// firstOfEach returns the first address of each family.
func firstOfEach(addrs []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, v4 := range []bool{true, false} {
		if i := slices.IndexFunc(addrs, func(a netip.Addr) bool { return a.Is4() == v4 }); i >= 0 {
			out = append(out, addrs[i])
		}
	}
	return out
}

// announced puts the advertised address in the place of the local ones of its
// family (1:1 NAT).
func announced(local []netip.Addr, advertise netip.Addr) []netip.Addr {
	if !advertise.IsValid() {
		return local
	}
	out := []netip.Addr{advertise}
	for _, a := range local {
		if a.Is4() != advertise.Is4() {
			out = append(out, a)
		}
	}
	return out
}
