// Package pktinfo tells to which of a host's addresses a UDP packet was sent,
// and lets an answer leave from there. A socket that is bound to every address
// otherwise answers from the one that the kernel chooses, which the far side
// may not know.
//
// It decides nothing. Where the system is not Linux it knows nothing, and the
// kernel chooses.
package pktinfo

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Space is room for one control message with a local address, bytes.
const Space = 64

// Want asks the kernel to say with each packet of a UDP socket which address it
// was sent to. six says that the socket is of IPv6, or of both families.
func Want(fd int, six bool) error {
	if six {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
}

// Local reads the address a packet was sent to out of its control messages.
// x/net's own parser allocates per packet, so this one reads the bytes in place.
func Local(oob []byte) (netip.Addr, bool) {
	for len(oob) > 0 {
		hdr, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return netip.Addr{}, false
		}
		switch {
		case hdr.Level == unix.IPPROTO_IP && hdr.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			return netip.AddrFrom4([4]byte(data[8:12])), true // after ifindex and spec_dst: the header's destination
		case hdr.Level == unix.IPPROTO_IPV6 && hdr.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			return netip.AddrFrom16([16]byte(data[:16])), true
		}
		oob = rest
	}
	return netip.Addr{}, false
}

// Append appends the control message that makes a packet leave from an address. On a socket of both families an IPv4 address goes mapped, which
// x/net refuses to write.
func Append(b []byte, local netip.Addr, six bool) []byte {
	var level, kind, size int
	if six {
		level, kind, size = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo
	} else {
		level, kind, size = unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo
	}
	at := len(b)
	b = append(b, make([]byte, unix.CmsgSpace(size))...)
	var hdr unix.Cmsghdr
	hdr.SetLen(unix.CmsgLen(size))
	if unsafe.Sizeof(hdr.Len) == 8 {
		binary.NativeEndian.PutUint64(b[at:], uint64(hdr.Len))
	} else {
		binary.NativeEndian.PutUint32(b[at:], uint32(hdr.Len))
	}
	at += int(unsafe.Sizeof(hdr.Len))
	binary.NativeEndian.PutUint32(b[at:], uint32(level))
	binary.NativeEndian.PutUint32(b[at+4:], uint32(kind))
	data := b[len(b)-unix.CmsgSpace(size)+unix.CmsgLen(0):]
	if six {
		ip := local.As16()
		copy(data, ip[:])
	} else {
		ip := local.As4()
		copy(data[4:], ip[:]) // spec_dst
	}
	return b
}
