package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Ports is a range of ports, both ends included.
type Ports struct{ First, Last uint16 }

// ParsePorts reads "20000-29999".
func ParsePorts(s string) (Ports, error) {
	first, last, ok := strings.Cut(s, "-")
	a, errA := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	b, errB := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	if !ok || errA != nil || errB != nil || a == 0 || b < a {
		return Ports{}, fmt.Errorf("%q is no range of ports: want first-last, such as 20000-29999", s)
	}
	return Ports{uint16(a), uint16(b)}, nil
}

// Contains reports whether a port lies in the range.
func (p Ports) Contains(port uint16) bool { return p.First <= port && port <= p.Last }

// Overlaps reports whether two ranges share a port.
func (p Ports) Overlaps(q Ports) bool { return p.First <= q.Last && q.First <= p.Last }

func (c *checker) media() {
	m := c.cfg.Media
	rtp, rtpOK := c.ports("media.rtp_ports", m.RTPPorts)
	ice, iceOK := c.ports("media.ice_ports", m.ICEPorts)
	if rtpOK && uint32(rtp.Last)-uint32(rtp.First) < 1+uint32(rtp.First)%2 {
		c.mistake("media.rtp_ports", "%s holds no even port with the next one", m.RTPPorts)
	}
	if rtpOK && iceOK && rtp.Overlaps(ice) {
		c.mistake("media.ice_ports", "%s overlaps media.rtp_ports, %s", m.ICEPorts, m.RTPPorts)
	}
	if udp, ok := c.listener("sip.udp", c.cfg.SIP.UDP); ok && c.cfg.Node.Has("edge") && c.cfg.Node.Has("media") {
		c.apart("media.rtp_ports", rtp, udp.Port())
		c.apart("media.ice_ports", ice, udp.Port())
	}
	c.address("media.bind", m.Bind)
	c.address("media.advertise", m.Advertise)
	c.oneOf("media.latch_mode", m.LatchMode, "sdp", "nat", "off")
}

// apart reports a range of media ports that holds the SIP port.
func (c *checker) apart(key string, ports Ports, sip uint16) {
	if ports.Contains(sip) && sip != 0 {
		c.mistake(key, "%d-%d holds the port of sip.udp, %d", ports.First, ports.Last, sip)
	}
}

// address reports what is set and is no unicast IP address.
func (c *checker) address(key, value string) {
	addr, err := netip.ParseAddr(value)
	if value != "" && (err != nil || addr.IsMulticast() || addr.IsUnspecified()) {
		c.mistake(key, "%q is no address of a host: want an IP address", value)
	}
}

func (c *checker) ports(key, value string) (Ports, bool) {
	p, err := ParsePorts(value)
	if err != nil {
		c.mistake(key, "%v", err)
	}
	return p, err == nil
}

// listeners checks the addresses that the process listens at, and that no two
// TCP listeners of it want the same one. Port 0 is any free port.
func (c *checker) listeners() {
	edge, broker := c.cfg.Node.Has("edge"), c.cfg.Node.Has("broker") && c.cfg.NATS.URL == ""
	taken := map[string]netip.AddrPort{}
	for _, l := range []struct {
		key, value string
		used       bool
	}{
		{"sip.tcp", c.cfg.SIP.TCP, edge},
		{"sip.tls", c.cfg.SIP.TLS, edge},
		{"sip.ws", c.cfg.SIP.WS, edge},
		{"sip.wss", c.cfg.SIP.WSS, edge},
		{"http.listen", c.cfg.HTTP.Listen, true},
		{"http.tls_listen", c.cfg.HTTP.TLS, c.cfg.Node.Has("control")},
		{"nats.listen", c.cfg.NATS.Listen, broker},
		{"nats.cluster_listen", c.cfg.NATS.Cluster, broker},
	} {
		addr, ok := c.listener(l.key, l.value)
		if !ok || !l.used || addr.Port() == 0 {
			continue
		}
		for _, other := range slices.Sorted(maps.Keys(taken)) {
			if clash(addr, taken[other]) {
				c.mistake(l.key, "%s is taken by %s, %s", l.value, other, taken[other])
			}
		}
		taken[l.key] = addr
	}
	if c.cfg.NATS.Listen == "" && broker {
		c.mistake("nats.listen", "must not be empty: node.roles has broker")
	}
}

func clash(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && (a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified())
}

// listener reads an address to listen at: "0.0.0.0:5060", ":5060" or
// "localhost:5060". Empty is no listener, and no mistake.
func (c *checker) listener(key, value string) (netip.AddrPort, bool) {
	if value == "" {
		return netip.AddrPort{}, false
	}
	literal := value
	if port, ok := strings.CutPrefix(value, "localhost:"); ok {
		literal = "127.0.0.1:" + port
	} else if strings.HasPrefix(value, ":") {
		literal = "0.0.0.0" + value
	}
	addr, err := netip.ParseAddrPort(literal)
	if err != nil {
		c.mistake(key, "%q is no address to listen at: want ip:port, such as 0.0.0.0:5060", value)
	}
	return addr, err == nil
}

// Unserved says, one sentence each, which listeners are configured but cannot
// be served. Nothing listens there; a node logs it at start.
func (c Config) Unserved() []string {
	if c.SIP.TLSCertificate != "" || !c.Node.Has("edge") {
		return nil
	}
	var notices []string
	if c.SIP.TLS != "" {
		notices = append(notices, "sip.tls: sip.tls_certificate_file is empty; nothing listens at "+c.SIP.TLS)
	}
	if c.SIP.WSS != "" {
		notices = append(notices, "sip.wss: sip.tls_certificate_file is empty; nothing listens at "+c.SIP.WSS)
	}
	return notices
}
