package reference

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Forward passes packets of calls between two parties on loopback, with two
// sockets and two goroutines a call and no encryption, until ctx ends: what Go
// pays for the packets alone. Call i has the ports first+2i, whose packets go
// to b, and first+2i+1, whose packets go to a.
func Forward(ctx context.Context, first uint16, calls int, a, b netip.AddrPort) error {
	if calls < 1 || int(first)+2*calls > 1<<16 {
		return fmt.Errorf("forward %d calls from port %d: not that many ports", calls, first)
	}
	for i := range calls {
		left, err := listen(ctx, first+uint16(2*i))
		if err != nil {
			return err
		}
		right, err := listen(ctx, first+uint16(2*i+1))
		if err != nil {
			return err
		}
		go pass(left, right, b)
		go pass(right, left, a)
	}
	<-ctx.Done()
	return nil
}

func listen(ctx context.Context, port uint16) (*net.UDPConn, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
	if err != nil {
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return conn, nil
}

func pass(from, out *net.UDPConn, to netip.AddrPort) {
	packet := make([]byte, 1500)
	for {
		n, _, err := from.ReadFromUDPAddrPort(packet)
		if err != nil {
			return
		}
		_, _ = out.WriteToUDPAddrPort(packet[:n], to) // lost, as on any network
	}
}
