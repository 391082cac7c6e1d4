// Package zone is a name server for tests: it answers on loopback, over UDP and
// TCP, from records in the form of zone files. It knows no delegation, and no
// wildcard.
package zone

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// A Zone is one name server.
type Zone struct {
	addr netip.AddrPort

	mu      sync.Mutex
	records []string
	rcode   int
	rcodes  map[uint16]int // by type
}

// Start opens a server with some records. It ends with the test. A SOA record
// stands beside answers that have nothing, for the names below it (RFC 2308 2).
func Start(t testing.TB, records ...string) *Zone {
	t.Helper()
	z := &Zone{records: records}
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
	if l == nil {
		t.Fatal("no port is free over UDP and TCP")
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
	t.Cleanup(func() {
		_, _ = udp.Shutdown(), tcp.Shutdown()
		ended.Wait()
	})
	return z
}

// ServeDNS implements dns.Handler.
func (z *Zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	reply := new(dns.Msg).SetReply(q)
	reply.Rcode = z.rcode
	name, kind := q.Question[0].Name, q.Question[0].Qtype
	if rcode, ok := z.rcodes[kind]; ok {
		reply.Rcode = rcode
	}
	for _, line := range z.records {
		rr, err := dns.NewRR(line)
		switch {
		case err != nil || reply.Rcode != dns.RcodeSuccess:
		case strings.EqualFold(rr.Header().Name, name) && rr.Header().Rrtype == kind:
			reply.Answer = append(reply.Answer, rr)
		case rr.Header().Rrtype == dns.TypeSOA && dns.IsSubDomain(rr.Header().Name, name):
			reply.Ns = append(reply.Ns, rr)
		}
	}
	if len(reply.Answer) > 0 {
		reply.Ns = nil
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		reply.Truncate(512)
	}
	_ = w.WriteMsg(reply)
}

// Addr is where it answers.
func (z *Zone) Addr() netip.AddrPort { return z.addr }

// Set changes its records.
func (z *Zone) Set(records ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.rcode, z.records = dns.RcodeSuccess, records
}

// Fail makes it answer every question with SERVFAIL.
func (z *Zone) Fail() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.rcode = dns.RcodeServerFailure
}

// Refuse makes it answer questions for one type with that code, such as
// NOTIMP.
func (z *Zone) Refuse(kind, rcode string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.rcodes = map[uint16]int{dns.StringToType[kind]: dns.StringToRcode[rcode]}
}

// Hold makes it answer nothing until the returned func is called.
func (z *Zone) Hold() (release func()) {
	z.mu.Lock()
	return z.mu.Unlock
}
