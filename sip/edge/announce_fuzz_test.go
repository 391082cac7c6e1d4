package edge

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"

	"github.com/pires/go-proxyproto"
)

// FuzzAnnouncement reads what a balancer, or who stands at its address, writes
// first: exactly one header is taken from the connection, and only addresses
// that a connection can have come of it.
func FuzzAnnouncement(f *testing.F) {
	client, dialled := &net.TCPAddr{IP: net.ParseIP("2001:db8::9"), Port: 40000}, &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 5061}
	for _, h := range []*proxyproto.Header{
		proxyproto.HeaderProxyFromAddrs(2, client, dialled),
		proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 2}),
		proxyproto.HeaderProxyFromAddrs(2, nil, nil), proxyproto.HeaderProxyFromAddrs(1, client, dialled),
	} {
		raw, err := h.Format()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(raw, "OPTIONS sip:a SIP/2.0\r\n"...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		rest := bytes.NewReader(raw)
		h, err := readAnnouncement(rest)
		if taken := len(raw) - rest.Len(); taken > proxyHead+maxAnnounce {
			t.Errorf("%d bytes were taken, at most %d", taken, proxyHead+maxAnnounce)
		}
		if err != nil {
			return
		}
		if want := proxyHead + int(binary.BigEndian.Uint16(raw[proxyHead-2:])); len(raw)-rest.Len() != want {
			t.Errorf("%d bytes were taken of a header of %d", len(raw)-rest.Len(), want)
		}
		if h == nil {
			return // the balancer speaks for itself
		}
		for _, a := range []net.Addr{h.SourceAddr, h.DestinationAddr} {
			tcp, ok := a.(*net.TCPAddr)
			if !ok || !sound(tcp) || !addrPortOf(a).IsValid() {
				t.Errorf("%T %v is no end of a connection", a, a)
			}
		}
	})
}
