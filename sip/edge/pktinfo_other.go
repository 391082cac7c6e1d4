//go:build !linux

package edge

import "net/netip"

// Elsewhere the local address of a packet is not asked for: an edge bound to
// every address answers from the one the kernel chooses.
const localAddrSpace = 64

func wantLocalAddr(int, bool) error { return nil }

func localAddrOf([]byte) (netip.Addr, bool) { return netip.Addr{}, false }

func appendLocalAddr(b []byte, _ netip.Addr, _ bool) []byte { return b }
