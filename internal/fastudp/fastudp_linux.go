package fastudp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// A Conn is a UDP socket. One goroutine may read it; any may write.
type Conn struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	six  bool // a socket of IPv6, or of both families

	in  exchange
	mu  sync.Mutex // of out
	out exchange
}

// An exchange is what one system call reads or writes. It is kept, so that a
// packet allocates nothing.
type exchange struct {
	msg  syscall.Msghdr
	iov  syscall.Iovec
	name syscall.RawSockaddrInet6 // RawSockaddrInet4 is shorter
	n    int
	err  syscall.Errno
	call func(fd uintptr) bool
}

// New takes a socket over for reading and writing; Close it as before.
func New(conn *net.UDPConn) (*Conn, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{conn: conn, raw: raw}
	if err := raw.Control(func(fd uintptr) {
		at, _ := syscall.Getsockname(int(fd))
		_, c.six = at.(*syscall.SockaddrInet6)
	}); err != nil {
		return nil, err
	}
	c.in.call = func(fd uintptr) bool { c.in.run(syscall.SYS_RECVMSG, fd); return c.in.err != syscall.EAGAIN }
	c.out.call = func(fd uintptr) bool { c.out.run(syscall.SYS_SENDMSG, fd); return true }
	return c, nil
}

// run makes the call, again where a signal came between.
func (x *exchange) run(trap, fd uintptr) {
	for {
		n, _, err := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(&x.msg)), 0)
		if err != syscall.EINTR {
			x.n, x.err = int(n), err
			return
		}
	}
}

// set points the call at its buffers.
func (x *exchange) set(b, oob []byte) {
	x.iov.Base = unsafe.SliceData(b)
	x.iov.SetLen(len(b))
	x.msg.Iov, x.msg.Iovlen = &x.iov, 1
	x.msg.Control = unsafe.SliceData(oob)
	x.msg.SetControllen(len(oob))
}

// forget lets go of the caller's buffers.
func (x *exchange) forget() { x.iov.Base, x.msg.Control = nil, nil }

// Read waits for a packet and returns its size, the size of its control
// messages, and where it came from, IPv4 never mapped. The error is
// net.ErrClosed once the socket is closed, or what the kernel says of an
// earlier packet.
func (c *Conn) Read(b, oob []byte) (n, control int, from netip.AddrPort, err error) {
	x := &c.in
	x.set(b, oob)
	defer x.forget()
	x.msg.Name, x.msg.Namelen = (*byte)(unsafe.Pointer(&x.name)), uint32(unsafe.Sizeof(x.name))
	if err := c.raw.Read(x.call); err != nil {
		return 0, 0, netip.AddrPort{}, err
	}
	if x.err != 0 {
		return 0, 0, netip.AddrPort{}, os.NewSyscallError("recvmsg", x.err)
	}
	return x.n, int(x.msg.Controllen), x.source(), nil
}

func (x *exchange) source() netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&x.name.Port))[:])
	if x.name.Family == syscall.AF_INET {
		four := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&x.name))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), port)
	}
	return netip.AddrPortFrom(zoned(netip.AddrFrom16(x.name.Addr).Unmap(), x.name.Scope_id), port)
}

// zoned names the interface of a link-local address, as the standard library
// does.
func zoned(a netip.Addr, scope uint32) netip.Addr {
	if scope == 0 || !a.Is6() {
		return a
	}
	if i, err := net.InterfaceByIndex(int(scope)); err == nil {
		return a.WithZone(i.Name)
	}
	return a
}

// Write sends one packet with control messages, to an address, or where the
// socket is connected if it is the zero AddrPort. It never waits: EAGAIN says
// that the packet is lost.
func (c *Conn) Write(b, oob []byte, to netip.AddrPort) (int, error) {
	if to.Addr().Zone() != "" { // rare, and its scope is the library's to find
		n, _, err := c.conn.WriteMsgUDPAddrPort(b, oob, to)
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := &c.out
	x.set(b, oob)
	defer x.forget()
	if !x.aim(to, c.six) {
		return 0, &net.AddrError{Err: "an address of another family than the socket's", Addr: to.String()}
	}
	if err := c.raw.Write(x.call); err != nil {
		return 0, err
	}
	if x.err != 0 {
		return 0, os.NewSyscallError("sendmsg", x.err)
	}
	return x.n, nil
}

// aim writes the address of a packet that leaves. It refuses one that a socket
// of this family cannot reach.
func (x *exchange) aim(to netip.AddrPort, six bool) bool {
	x.msg.Name, x.msg.Namelen = nil, 0
	if !to.IsValid() {
		return true
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&x.name.Port))[:], to.Port())
	x.msg.Name = (*byte)(unsafe.Pointer(&x.name))
	switch a := to.Addr().Unmap(); {
	case six:
		x.name.Family, x.name.Addr, x.name.Flowinfo, x.name.Scope_id = syscall.AF_INET6, a.As16(), 0, 0
		x.msg.Namelen = syscall.SizeofSockaddrInet6
	case a.Is4():
		x.name.Family = syscall.AF_INET
		(*syscall.RawSockaddrInet4)(unsafe.Pointer(&x.name)).Addr = a.As4()
		x.msg.Namelen = syscall.SizeofSockaddrInet4
	default:
		return false
	}
	return true
}
