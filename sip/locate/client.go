package locate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Limits of asking.
const (
	resolvConf  = "/etc/resolv.conf"
	exchangeFor = time.Second     // one server, one try
	askFor      = 4 * time.Second // one question, all servers
	rounds      = 2               // through all servers
	maxServers  = 4
	maxRecords  = 64 // of one answer
	ednsSize    = 1232
	hostsTTL    = 30 * time.Second // of what the system's resolver says: it tells no TTL
)

// errRefused is a name server that has no answer for such a question.
var errRefused = errors.New("a name server answers")

// A client asks name servers.
type client struct {
	servers []string
	named   bool // the operator named them: what they do not know does not exist
}

func newClient(servers []netip.AddrPort) (*client, error) {
	c := &client{named: len(servers) > 0}
	for _, s := range servers {
		c.servers = append(c.servers, s.String())
	}
	if len(c.servers) == 0 {
		conf, err := dns.ClientConfigFromFile(resolvConf)
		if errors.Is(err, fs.ErrNotExist) { // resolv.conf(5): the server of this machine
			conf, err = &dns.ClientConfig{Servers: []string{"127.0.0.1"}, Port: "53"}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", resolvConf, err)
		}
		for _, s := range conf.Servers {
			c.servers = append(c.servers, net.JoinHostPort(s, conf.Port))
		}
	}
	if len(c.servers) == 0 {
		return nil, errors.New("no name servers")
	}
	c.servers = c.servers[:min(len(c.servers), maxServers)]
	return c, nil
}

// canonical is how a name is asked for: lower case, without the last dot.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// ask implements source for NAPTR and SRV.
func (c *client) ask(ctx context.Context, kind, name string) (answer, error) {
	reply, err := c.exchange(ctx, name, dns.StringToType[kind])
	if err != nil {
		return answer{}, err
	}
	return recordsIn(reply), nil
}

// recordsIn reads the NAPTR and SRV records of a reply.
func recordsIn(reply *dns.Msg) answer {
	a := answer{ttl: lifeOf(reply)}
	for _, rr := range reply.Answer[:min(len(reply.Answer), maxRecords)] {
		switch r := rr.(type) {
		case *dns.NAPTR:
			a.records = append(a.records, record{order: r.Order, preference: r.Preference, flags: strings.ToUpper(r.Flags),
				service: strings.ToUpper(r.Service), target: canonical(r.Replacement)})
		case *dns.SRV:
			a.records = append(a.records, record{priority: r.Priority, weight: r.Weight, port: r.Port, target: canonical(r.Target)})
		}
	}
	return a
}

// hosts implements source for addresses. Names without a dot, and those that
// the system's name servers do not know, are the system's: /etc/hosts, search
// domains.
func (c *client) hosts(ctx context.Context, name string) (answer, error) {
	if !strings.Contains(name, ".") {
		return c.local(ctx, name)
	}
	var v4, v6 answer
	var err4, err6 error
	var both sync.WaitGroup
	both.Go(func() { v4, err4 = c.family(ctx, name, dns.TypeA) })
	both.Go(func() { v6, err6 = c.family(ctx, name, dns.TypeAAAA) })
	both.Wait()
	all := append(v4.addrs, v6.addrs...)
	switch {
	case len(all) > 0 && err4 == nil && err6 == nil:
		return answer{addrs: all, ttl: min(v4.life(), v6.life())}, nil
	case len(all) > 0: // half an answer, not for long
		return answer{addrs: all, ttl: minTTL}, nil
	}
	if !c.named {
		if a, err := c.local(ctx, name); err == nil && len(a.addrs) > 0 {
			return a, nil
		}
	}
	return answer{ttl: min(v4.ttl, v6.ttl)}, errors.Join(err4, err6)
}

// life of an answer for another: one without addresses shortens nothing.
func (a answer) life() time.Duration {
	if len(a.addrs) == 0 {
		return maxTTL
	}
	return a.ttl
}

func (c *client) family(ctx context.Context, name string, kind uint16) (answer, error) {
	reply, err := c.exchange(ctx, name, kind)
	if err != nil {
		return answer{}, err
	}
	return addressesIn(reply), nil
}

// addressesIn reads the A and AAAA records of a reply.
func addressesIn(reply *dns.Msg) answer {
	a := answer{ttl: lifeOf(reply)}
	for _, rr := range reply.Answer[:min(len(reply.Answer), maxRecords)] {
		var ip net.IP
		switch r := rr.(type) {
		case *dns.A:
			ip = r.A
		case *dns.AAAA:
			ip = r.AAAA
		}
		if addr, ok := netip.AddrFromSlice(ip); ok {
			a.addrs = append(a.addrs, addr.Unmap())
		}
	}
	return a
}

// local asks the system's resolver.
func (c *client) local(ctx context.Context, name string) (answer, error) {
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if not := (*net.DNSError)(nil); errors.As(err, &not) && not.IsNotFound {
		return answer{ttl: noneTTL}, nil
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return answer{addrs: found, ttl: hostsTTL}, err
}

// exchange asks one server after the other. That a name does not exist is an
// answer.
func (c *client) exchange(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind).SetEdns0(ednsSize, false)
	var last error
	for range rounds {
		for _, server := range c.servers {
			reply, err := c.exchangeWith(ctx, q, server)
			switch {
			case err != nil:
				last = err
			case reply.Rcode == dns.RcodeSuccess, reply.Rcode == dns.RcodeNameError:
				return reply, nil
			case reply.Rcode == dns.RcodeServerFailure: // it could not find out
				last = errors.New("a name server answers SERVFAIL")
			default:
				last = fmt.Errorf("%w %s", errRefused, dns.RcodeToString[reply.Rcode])
			}
			if ctx.Err() != nil {
				return nil, errors.Join(last, ctx.Err())
			}
		}
	}
	return nil, last
}

// exchangeWith goes over TCP where the answer does not fit.
func (c *client) exchangeWith(ctx context.Context, q *dns.Msg, server string) (*dns.Msg, error) {
	q = q.Copy()
	q.Id = dns.Id()
	over := dns.Client{Net: "udp", Timeout: exchangeFor, UDPSize: ednsSize}
	reply, _, err := over.ExchangeContext(ctx, q, server)
	if err == nil && reply.Truncated {
		over.Net = "tcp"
		reply, _, err = over.ExchangeContext(ctx, q, server)
	}
	return reply, err
}

// lifeOf is how long an answer may be kept: its shortest TTL; of none, what the
// zone says (RFC 2308 5).
func lifeOf(m *dns.Msg) time.Duration {
	seconds := uint32(maxTTL / time.Second)
	for _, rr := range m.Answer {
		seconds = min(seconds, rr.Header().Ttl)
	}
	if len(m.Answer) == 0 {
		seconds = uint32(noneTTL / time.Second)
		for _, rr := range m.Ns {
			if soa, ok := rr.(*dns.SOA); ok {
				seconds = min(seconds, soa.Minttl, soa.Hdr.Ttl)
			}
		}
	}
	return time.Duration(seconds) * time.Second
}
