// Package port holds ports at which nobody listens. Only tests import it.
//
// A port that was free a moment ago is any other test's a moment later: a socket
// that is bound and does not listen keeps it, and refuses whoever connects.
package port

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// Closed is an address of loopback at which nobody listens while the test runs.
func Closed(t testing.TB) netip.AddrPort {
	t.Helper()
	addr, ok := Hold(t, 0)
	if !ok {
		t.Fatal("no port is free")
	}
	return addr
}

// ClosedUDP is a UDP address of loopback that refuses what comes while the test
// runs: its socket is connected with another, and takes nothing else.
func ClosedUDP(t testing.TB) netip.AddrPort {
	t.Helper()
	c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Hold takes a port of loopback, 0 for any, until the test ends: no listener gets
// it, and no connection has it as its own end. ok is false where it is taken.
func Hold(t testing.TB, port uint16) (addr netip.AddrPort, ok bool) {
	t.Helper()
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(s) })
	if syscall.Bind(s, &syscall.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}}) != nil {
		return addr, false
	}
	at, err := syscall.Getsockname(s)
	if err != nil {
		t.Fatal(err)
	}
	in := at.(*syscall.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), true
}
