//go:build !linux

package media

import (
	"errors"
	"net"
	"net/netip"
)

// connect is left out elsewhere: sources are checked for each packet anyway.
func connect(*net.UDPConn, netip.AddrPort) error { return errors.ErrUnsupported }

// disconnect has nothing to undo.
func disconnect(*net.UDPConn) error { return nil }

// drain is left out elsewhere: the latch refuses what does not belong.
func drain(*net.UDPConn) {}
