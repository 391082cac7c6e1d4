package wire_test

import (
	"net/netip"
	"testing"

	"patchbay/sip/wire"
)

func BenchmarkRead(b *testing.B) {
	raw, limits := []byte(carrier), wire.DatagramLimits()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, f := wire.Read(raw, limits); f != nil {
			b.Fatal(f)
		}
	}
}

// BenchmarkReject is all that a stateless refusal costs on this side of the
// verdict.
func BenchmarkReject(b *testing.B) {
	raw, limits, source := []byte(carrier), wire.DatagramLimits(), netip.MustParseAddrPort("198.51.100.9:40000")
	b.ReportAllocs()
	for b.Loop() {
		m, f := wire.Read(raw, limits)
		if f != nil {
			b.Fatal(f)
		}
		m.Stamp(source)
		m.Reply(wire.Reply{Status: 404, Tag: "0123456789abcdef0123456789abcdef"})
	}
}

func BenchmarkFault(b *testing.B) {
	raw, limits := []byte(request("CSeq: x")), wire.DatagramLimits()
	b.ReportAllocs()
	for b.Loop() {
		_, f := wire.Read(raw, limits)
		f.Reply("t")
	}
}

func BenchmarkReply(b *testing.B) {
	m, f := wire.Read([]byte(carrier), wire.DatagramLimits())
	if f != nil {
		b.Fatal(f)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Reply(wire.Reply{Status: 404, Tag: "0123456789abcdef0123456789abcdef"})
	}
}
