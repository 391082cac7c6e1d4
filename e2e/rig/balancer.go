package rig

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
)

// BalancerHost is where balancers connect from; whoever is to believe them names
// it in sip.balancers.
const BalancerHost = "127.0.0.2"

// A Balancer takes connections and passes each on to the next of some servers,
// which it first tells whose connection it is (PROXY protocol, version 2).
type Balancer struct {
	At netip.AddrPort // where it listens
}

// NewBalancer opens a balancer on loopback. It ends with the test.
func NewBalancer(t testing.TB, servers []netip.AddrPort) *Balancer {
	t.Helper()
	ln, err := net.Listen("tcp4", netip.AddrPortFrom(loopback, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for next := 0; ; next++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go pass(conn, servers[next%len(servers)])
		}
	}()
	return &Balancer{At: ln.Addr().(*net.TCPAddr).AddrPort()}
}

// pass carries one connection until either side ends it.
func pass(client net.Conn, to netip.AddrPort) {
	defer func() { _ = client.Close() }()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(BalancerHost)}, Timeout: answerLimit}
	server, err := d.Dial("tcp4", to.String())
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	if _, err := server.Write(announcement(client)); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(client, server) // it has ended
		_ = client.Close()
	}()
	_, _ = io.Copy(server, client) // likewise
}

// announcement is the header of a connection over IPv4: signature, version 2 and
// PROXY, TCP over IPv4, and both ends (PROXY protocol 2.2).
func announcement(client net.Conn) []byte {
	var b bytes.Buffer
	b.WriteString("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c")
	ends := [2]netip.AddrPort{client.RemoteAddr().(*net.TCPAddr).AddrPort(), client.LocalAddr().(*net.TCPAddr).AddrPort()}
	for _, end := range ends {
		b.Write(end.Addr().Unmap().AsSlice())
	}
	for _, end := range ends {
		b.Write([]byte{byte(end.Port() >> 8), byte(end.Port())})
	}
	return b.Bytes()
}
