package load_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"patchbay/e2e/rig"
)

// Datagrams under addresses that are not their sender's.
const (
	forged     = 1_000_000
	forgedWarm = 100_000          // after so many, what is bounded is full
	forgedRate = 10_000           // a second
	forgedMore = 32 << 20         // bytes of memory that the rest may add
	forgedRest = 45 * time.Second // for what is kept of a transaction to go
)

// TestSoakAMillionForgedSourcesLeaveNothing sends each of a million datagrams
// from another address, in a network of the test's own: INVITEs to nobody,
// OPTIONS, and what is no SIP.
func TestSoakAMillionForgedSourcesLeaveNothing(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("a soak test: make soak runs it")
	}
	if !rig.OwnNetwork(t) {
		return
	}
	for _, line := range [][]string{{"link", "set", "lo", "up"}, {"route", "add", "default", "dev", "lo"}} {
		if out, err := exec.CommandContext(t.Context(), "ip", line...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", line, err, out)
		}
	}
	node := rig.StartWide(t, 1, nil)
	raw, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_RAW)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(raw) }()
	need := func() (memory, goroutines float64) {
		return node.Metric("process_resident_memory_bytes"), rig.Typical(3*time.Second, func() float64 { return node.Metric(rig.Goroutines) })
	}
	began := time.Now()
	forge(t, node, raw, 0, forgedWarm)
	memory, goroutines := need()
	forge(t, node, raw, forgedWarm, forged)
	sent := time.Since(began)
	peak, _ := need()
	time.Sleep(forgedRest)
	after, left := need()
	heard := node.Metric("patchbay_sip_received_total")
	t.Logf("%d datagrams from as many addresses in %v, %.0f messages counted; memory %.0f -> %.0f -> %.0f MiB, goroutines %v -> %v",
		forged, sent.Round(time.Second), heard, memory/(1<<20), peak/(1<<20), after/(1<<20), goroutines, left)
	if after > memory+forgedMore || left > goroutines*(1+slack) {
		t.Errorf("memory went from %.0f to %.0f MiB and goroutines from %v to %v", memory/(1<<20), after/(1<<20), goroutines, left)
	}
	if n := node.Metric(rig.Panics); n != 0 {
		t.Errorf("%v panics were contained, want none", n)
	}
}

// forge sends the datagrams from one number to another, each from the address
// of its number.
func forge(t *testing.T, node *rig.Node, raw, from, to int) {
	t.Helper()
	dst := syscall.SockaddrInet4{Addr: node.SIP.Addr().As4()}
	texts := []func(src string, i int) string{
		func(string, int) string { return "no SIP at all" },
		func(src string, i int) string {
			return node.Text(rig.Request{Method: "OPTIONS", URI: "sip:" + node.SIP.String(), CallID: fmt.Sprint("o", i)}.Fresh())
		},
		func(src string, i int) string {
			return node.Text(rig.Request{Method: "INVITE", URI: node.URI("e2e-abcdefghjkmnpqrstuvwxyz23"), CallID: fmt.Sprint("i", i), Body: rig.Offer(9)}.Fresh())
		},
	}
	began := time.Now()
	for i := from; i < to; i++ {
		src := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		packet := datagram(src, node.SIP, texts[i%len(texts)](src.String(), i))
		if err := syscall.Sendto(raw, packet, 0, &dst); err != nil && err != syscall.ENOBUFS {
			t.Fatalf("send from %s: %v", src, err)
		}
		if ahead := time.Duration(i-from)*time.Second/forgedRate - time.Since(began); i%100 == 0 && ahead > 0 {
			time.Sleep(ahead)
		}
	}
}

// datagram is an IPv4 packet with UDP; the kernel fills in length and checksum of
// the header, and UDP may go without one (RFC 768).
func datagram(src netip.Addr, to netip.AddrPort, text string) []byte {
	const ip, udp = 20, 8
	b := make([]byte, ip+udp, ip+udp+len(text))
	b[0], b[8], b[9] = 0x45, 64, syscall.IPPROTO_UDP
	copy(b[12:], src.AsSlice())
	copy(b[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[2:], uint16(ip+udp+len(text)))
	binary.BigEndian.PutUint16(b[ip:], 5060)
	binary.BigEndian.PutUint16(b[ip+2:], to.Port())
	binary.BigEndian.PutUint16(b[ip+4:], uint16(udp+len(text)))
	return append(b, text...)
}
