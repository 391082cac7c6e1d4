package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Roles are what a process may play, in the order in which they start.
var Roles = []string{"broker", "actor", "media", "control", "edge"}

// A checker looks at a whole configuration, after its values were read.
type checker struct {
	cfg      *Config
	given    map[string]given
	wrong    map[string]bool // keys that already have a mistake
	mistakes Mistakes
}

// mistake notes the first mistake of a key: the ones that follow from it help
// nobody.
func (c *checker) mistake(key, format string, args ...any) {
	if !c.wrong[key] {
		c.wrong[key] = true
		c.mistakes = append(c.mistakes, Mistake{key, c.given[key].where, fmt.Sprintf(format, args...)})
	}
}

func (c *checker) check() {
	c.node()
	c.nats()
	c.sip()
	c.media()
	c.listeners()
	c.http()
	c.oneOf("actor.not_found_status", c.cfg.Actor.NotFound, "404", "603", "drop")
	c.oneOf("log.level", c.cfg.Log.Level, "debug", "info", "warn", "error")
	c.oneOf("log.format", c.cfg.Log.Format, "json", "text")
}

// Has reports whether the process plays a role.
func (n Node) Has(role string) bool { return slices.Contains(n.Roles, role) }

// minSpool is the smallest spool, bytes: a second of a busy node.
const minSpool = 1 << 20

// nodeName is what fits into a NATS subject and a host name.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

func (c *checker) node() {
	n := c.cfg.Node
	if n.Name != "" && !nodeName.MatchString(n.Name) {
		c.mistake("node.name", "%q is no node name: want letters, digits, - and _, at most 63", n.Name)
	}
	if n.DataDir == "" {
		c.mistake("node.data_dir", "must not be empty")
	}
	if n.SpoolBytes < minSpool {
		c.mistake("node.spool_max_bytes", "%d is less than 1 MiB, %d", n.SpoolBytes, minSpool)
	}
	if len(n.Roles) == 0 {
		c.mistake("node.roles", "must not be empty")
	}
	seen := map[string]bool{}
	for _, role := range n.Roles {
		c.oneOf("node.roles", role, Roles...)
		if seen[role] {
			c.mistake("node.roles", "%q is there twice", role)
		}
		seen[role] = true
	}
}

func natsServers(list string) bool {
	for server := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return false
		}
	}
	return true
}

// domain is a host name in lower case (RFC 1123 2.1).
var domain = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (c *checker) sip() {
	s := c.cfg.SIP
	c.transports()
	c.balancers()
	c.nameServers()
	if !domain.MatchString(s.BaseDomain) || len(s.BaseDomain) > 253 {
		c.mistake("sip.base_domain", "%q is no domain: want labels of a-z, 0-9 and -, with dots between", s.BaseDomain)
	}
	if s.Advertise != "" && !advertisable(s.Advertise) {
		c.mistake("sip.advertise", "%q is neither a host nor host:port", s.Advertise)
	}
	if s.T1 > s.T2 {
		c.mistake("sip.t1", "%v is longer than sip.t2, %v", s.T1, s.T2)
	}
	if e := s.SessionExpires; e != 0 && (e < MinSessionExpires || e > MaxSessionExpires) {
		c.mistake("sip.session_expires", "%v is out of range: want 0, or %v to %v", e, MinSessionExpires, MaxSessionExpires)
	}
	if s.MaxConnsPerIP > s.MaxConns {
		c.mistake("sip.max_connections_per_source", "%d is more than sip.max_connections, %d", s.MaxConnsPerIP, s.MaxConns)
	}
}

// transports checks what an edge is to listen for.
func (c *checker) transports() {
	s := c.cfg.SIP
	secure := s.TLSCertificate != "" && (s.TLS != "" || s.WSS != "")
	if s.UDP == "" && s.TCP == "" && s.WS == "" && !secure && c.cfg.Node.Has("edge") {
		c.mistake("sip.udp", "an edge needs an address to listen at: sip.udp, sip.tcp, sip.ws, or sip.tls or sip.wss with a certificate")
	}
	if (s.TLSCertificate == "") != (s.TLSKey == "") {
		c.mistake("sip.tls_key_file", "goes together with sip.tls_certificate_file; one of the two is empty")
	}
	for _, origin := range s.WSOrigins {
		if origin != "*" && !isOrigin(origin) {
			c.mistake("sip.ws_origins", "%q is no origin: want scheme://host or scheme://host:port, such as https://app.example.com, or *", origin)
		}
	}
}

// balancers checks who may say whose connection it is.
func (c *checker) balancers() {
	for _, text := range c.cfg.SIP.Balancers {
		p, ok := prefixOf(text)
		switch {
		case !ok:
			c.mistake("sip.balancers", "%q is neither an address nor a CIDR range without host bits", text)
		case p.Bits() == 0:
			c.mistake("sip.balancers", "%q would let everybody say who he is", text)
		}
	}
}

// nameServers checks who is asked where SIP hosts are.
func (c *checker) nameServers() {
	all := c.cfg.SIP.DNSServers
	for _, text := range all {
		if _, ok := nameServer(text); !ok {
			c.mistake("sip.dns_servers", "%q is neither an address nor address:port", text)
		}
	}
	if len(all) > MaxDNSServers {
		c.mistake("sip.dns_servers", "%d name servers, at most %d", len(all), MaxDNSServers)
	}
}

// isOrigin reports whether browsers could send it as theirs (RFC 6454 6.1).
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && s == u.Scheme+"://"+u.Host
}

// advertisable reports whether peers can be told to send there.
func advertisable(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil {
		return !addr.IsUnspecified()
	}
	if addr, err := netip.ParseAddrPort(s); err == nil {
		return !addr.Addr().IsUnspecified() && addr.Port() != 0
	}
	host, port, named := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if named && (err != nil || n == 0) {
		return false
	}
	return domain.MatchString(strings.ToLower(host))
}

// oneOf reports a value that is none of the words.
func (c *checker) oneOf(key, value string, words ...string) {
	if !slices.Contains(words, value) {
		c.mistake(key, "%q is none of %s", value, strings.Join(words, ", "))
	}
}
