//go:build !linux

package pktinfo

import "net/netip"

// Space is room for one control message with a local address, bytes.
const Space = 64

// Want does nothing.
func Want(int, bool) error { return nil }

// Local knows nothing.
func Local([]byte) (netip.Addr, bool) { return netip.Addr{}, false }

// Append appends nothing.
func Append(b []byte, _ netip.Addr, _ bool) []byte { return b }
