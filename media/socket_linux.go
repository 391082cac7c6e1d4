package media

import (
	"errors"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// connect fixes the far side of a bound UDP socket: the kernel then drops
// packets of others and needs no route look-up to send.
func connect(conn *net.UDPConn, to netip.AddrPort) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var address unix.Sockaddr
	if to.Addr().Is4() {
		address = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	} else {
		if to.Addr().Zone() != "" {
			return unix.EAFNOSUPPORT // link-local: sources are checked here alone
		}
		address = &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	}
	var failure error
	if err := raw.Control(func(fd uintptr) { failure = unix.Connect(int(fd), address) }); err != nil {
		return err
	}
	return failure
}

// disconnect undoes connect: connect(2) with AF_UNSPEC. The port stays bound.
func disconnect(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	address := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	var failure error
	err = raw.Control(func(fd uintptr) {
		_, _, errno := unix.Syscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&address)), unix.SizeofSockaddrInet4)
		if errno != 0 {
			failure = errno
		}
	})
	return errors.Join(err, failure)
}

// maxDrained is how many packets are thrown away before a call begins.
const maxDrained = 1000

// drain throws away what waits in a socket.
func drain(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	var b [1]byte
	_ = raw.Read(func(fd uintptr) bool {
		for range maxDrained {
			if _, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_DONTWAIT); err != nil {
				break
			}
		}
		return true
	})
}
