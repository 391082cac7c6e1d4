package peer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/srtp/v3"
	"github.com/pion/webrtc/v4"

	"patchbay/actors/call"
	"patchbay/media/peer"
)

// twoTaps returns the ends of one SRTP connection.
func twoTaps(t testing.TB, profile srtp.ProtectionProfile, rx func([]byte)) (seal func([]byte) ([]byte, error), receive func([]byte) bool) {
	t.Helper()
	a, b := srtp.Config{Profile: profile}, srtp.Config{Profile: profile}
	size, err1 := profile.KeyLen()
	salt, err2 := profile.SaltLen()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	k1, s1 := bytes.Repeat([]byte{1}, size), bytes.Repeat([]byte{2}, salt)
	k2, s2 := bytes.Repeat([]byte{3}, size), bytes.Repeat([]byte{4}, salt)
	a.Keys = srtp.SessionKeys{LocalMasterKey: k1, LocalMasterSalt: s1, RemoteMasterKey: k2, RemoteMasterSalt: s2}
	b.Keys = srtp.SessionKeys{LocalMasterKey: k2, LocalMasterSalt: s2, RemoteMasterKey: k1, RemoteMasterSalt: s1}
	_, seal, err1 = peer.Tap(&a, func([]byte) {})
	receive, _, err2 = peer.Tap(&b, rx)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return seal, receive
}

func sealed(t testing.TB, seal func([]byte) ([]byte, error), p []byte) []byte {
	t.Helper()
	b, err := seal(p)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b)
}

func TestTheTapTakesOnlyGenuinePacketsAndEachOnce(t *testing.T) {
	t.Parallel()
	var got [][]byte
	seal, receive := twoTaps(t, srtp.ProtectionProfileAeadAes128Gcm, func(b []byte) { got = append(got, bytes.Clone(b)) })
	first := sealed(t, seal, packet(7, 0, 1))
	forged := bytes.Clone(first)
	forged[len(forged)-1] ^= 1
	if receive(forged) {
		t.Error("a forged packet was taken")
	}
	if !receive(first) {
		t.Error("a genuine packet was dropped")
	}
	if receive(first) {
		t.Error("a replayed packet was taken")
	}
	for _, short := range [][]byte{nil, {0x80}, first[:12], {0x80, 200, 0, 0}} {
		if receive(short) {
			t.Errorf("%d bytes were taken for a packet", len(short))
		}
	}
	if len(got) != 1 || !bytes.Equal(got[0], packet(7, 0, 1)) {
		t.Errorf("got %d packets, want the first, unchanged", len(got))
	}
}

func TestTheTapKnowsABoundedNumberOfSources(t *testing.T) {
	t.Parallel()
	seal, receive := twoTaps(t, srtp.ProtectionProfileAes128CmHmacSha1_80, func([]byte) {})
	for i := range uint32(peer.MaxSources + 5) {
		if took := receive(sealed(t, seal, packet(i, 0, 1))); took != (i < peer.MaxSources) {
			t.Errorf("source %d: taken=%v", i+1, took)
		}
	}
	if !receive(sealed(t, seal, packet(0, 0, 2))) {
		t.Error("a known source was dropped")
	}
}

func TestNothingIsKeptOfSourcesBeyondTheBound(t *testing.T) {
	t.Parallel()
	profile := srtp.ProtectionProfileAeadAes128Gcm
	key, salt := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 12)
	agent, err := srtp.CreateContext(key, salt, profile)
	if err != nil {
		t.Fatal(err)
	}
	receive, keepsRTP, keepsRTCP, err := peer.Remembered(&srtp.Config{Profile: profile,
		Keys: srtp.SessionKeys{LocalMasterKey: key, LocalMasterSalt: salt, RemoteMasterKey: key, RemoteMasterSalt: salt}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint32(peer.MaxSources + 5) {
		audio, err := agent.EncryptRTP(nil, packet(i, 0, 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		report := binary.BigEndian.AppendUint32([]byte{0x80, 201, 0, 1}, i)
		control, err := agent.EncryptRTCP(nil, report, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := i < peer.MaxSources
		if a, c := receive(audio), receive(control); a != want || c != want {
			t.Errorf("source %d: audio taken=%v, report taken=%v", i+1, a, c)
		}
		if keepsRTP(i) != want || keepsRTCP(i) != want {
			t.Errorf("source %d: kept for RTP=%v, for RTCP=%v, want %v", i+1, keepsRTP(i), keepsRTCP(i), want)
		}
	}
}

func TestStrangersPacketsNeverReachTheCall(t *testing.T) {
	t.Parallel()
	p := newStack(t, settings(true), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}})
	defer p.Close(call.CauseNormal)
	a := newAgent(t, agentOptions{})
	join(t, p, a)
	got := make(chan []byte, 64)
	p.Start(func(b []byte) { got <- bytes.Clone(b) }, func(call.Cause) {}, nil)
	stranger, err := net.Dial("udp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), p.Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for seq := range uint16(50) {
		if _, err := stranger.Write(append(packet(9, 0, seq), make([]byte, 16)...)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.track.Write(packet(0, 0, 1000)); err != nil {
		t.Fatal(err)
	}
	if first := <-got; binary.BigEndian.Uint16(first[2:]) != 1000 {
		t.Error("a stranger's packet reached the call")
	}
}

func TestAStrangersServerHelloDoesNotSpoilTheKeys(t *testing.T) {
	t.Parallel()
	for name, role := range map[string]webrtc.DTLSRole{"we are the server": webrtc.DTLSRoleClient, "the agent is": webrtc.DTLSRoleServer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newStack(t, settings(true), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}})
			defer p.Close(call.CauseNormal)
			a := newAgent(t, agentOptions{role: role})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			offer, err := p.Offer(ctx)
			if err != nil {
				t.Fatal(err)
			}
			stranger, err := net.Dial("udp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), p.Port()).String())
			if err != nil {
				t.Fatal(err)
			}
			over := make(chan struct{})
			go func() {
				defer close(over)
				for ctx.Err() == nil {
					_, _ = stranger.Write(serverHello(7))
					time.Sleep(50 * time.Microsecond)
				}
			}()
			defer func() { cancel(); <-over; stranger.Close() }()
			if err := p.Accept(a.answer(t, offer)); err != nil {
				t.Fatal(err)
			}
			connected(t, p, a)
			got := make(chan []byte, 64)
			p.Start(func(b []byte) {
				select {
				case got <- bytes.Clone(b):
				default:
				}
			}, func(call.Cause) {}, nil)
			for seq := uint16(0); ; seq++ {
				if _, err := a.track.Write(packet(0, 0, seq)); err != nil {
					t.Fatal(err)
				}
				select {
				case <-got:
					return
				case <-time.After(20 * time.Millisecond):
				case <-ctx.Done():
					t.Fatal("nothing of the agent's can be read")
				}
			}
		})
	}
}

func TestAByeIsFoundInACompoundRTCPPacket(t *testing.T) {
	t.Parallel()
	rr := []byte{0x80, 201, 0, 1, 0, 0, 0, 1}
	bye := []byte{0x81, 203, 0, 1, 0, 0, 0, 1}
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"report and bye": {slices.Concat(rr, bye), true},
		"report only":    {rr, false},
		"length too far": {[]byte{0x80, 201, 0, 9, 0, 0, 0, 1, 0x81, 203, 0, 0}, false},
		"nothing":        {nil, false},
	} {
		if got := peer.HasBye(c.b); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestLoopbackIsOfferedOnlyWhereThereIsNothingElse(t *testing.T) {
	t.Parallel()
	addrs := func(s ...string) (out []netip.Addr) {
		for _, a := range s {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	for name, c := range map[string]struct{ in, want []netip.Addr }{
		"no network":     {addrs("127.0.0.1", "::1"), addrs("127.0.0.1", "::1")},
		"one network":    {addrs("127.0.0.1", "192.0.2.4"), addrs("192.0.2.4")},
		"link-local":     {addrs("127.0.0.1", "fe80::1", "169.254.1.1"), addrs("127.0.0.1")},
		"mapped address": {addrs("::ffff:192.0.2.4"), addrs("192.0.2.4")},
		"two families":   {addrs("::1", "2001:db8::1", "192.0.2.4"), addrs("2001:db8::1", "192.0.2.4")},
	} {
		if got := peer.UsableAddrs(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	both := addrs("192.0.2.4", "192.0.2.5", "2001:db8::1")
	if got, want := peer.Announced(both, netip.MustParseAddr("198.51.100.7")), addrs("198.51.100.7", "2001:db8::1"); !slices.Equal(got, want) {
		t.Errorf("behind NAT: got %v, want %v", got, want)
	}
}

func FuzzHello(f *testing.F) {
	f.Add([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(serverHello(1))
	f.Fuzz(func(_ *testing.T, b []byte) { peer.See(b) })
}

// serverHello is a DTLS packet with one, as RFC 6347 and RFC 5764 lay it out.
func serverHello(profile byte) []byte {
	body := append([]byte{254, 253}, make([]byte, 32)...)
	body = append(body, 0, 0xc0, 0x2b, 0, 0, 9, 0, 14, 0, 5, 0, 2, 0, profile, 0)
	msg := append([]byte{2, 0, 0, byte(len(body)), 0, 0, 0, 0, 0, 0, 0, byte(len(body))}, body...)
	return append([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(msg))}, msg...)
}

func TestTheSRTPProfileIsReadFromTheServerHello(t *testing.T) {
	t.Parallel()
	if got := peer.See(serverHello(7)); got != 7 {
		t.Errorf("got profile %d, want 7", got)
	}
	later := serverHello(7)
	later[4] = 1 // epoch 1 is encrypted
	if got := peer.See(later); got != 0 {
		t.Errorf("a record of epoch 1 was read: %d", got)
	}
}

func FuzzReadAudio(f *testing.F) {
	f.Add("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0 8 111\r\na=rtpmap:111 opus/48000/2\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		if names, err := peer.ReadFormats(s); err == nil && len(names) == 0 {
			t.Error("neither codecs nor an error")
		}
	})
}

func BenchmarkFromAgent(b *testing.B) {
	for name, profile := range profiles {
		b.Run(name, func(b *testing.B) {
			seal, receive := twoTaps(b, profile, func([]byte) {})
			const batch = 1 << 12
			packets := make([][]byte, batch)
			seq, n := uint16(0), batch
			b.ReportAllocs()
			for b.Loop() {
				if n == batch {
					b.StopTimer()
					for i := range packets {
						packets[i] = sealed(b, seal, packet(7, 0, seq))
						seq++
					}
					n = 0
					b.StartTimer()
				}
				if !receive(packets[n]) {
					b.Fatal("a genuine packet was dropped")
				}
				n++
			}
		})
	}
}

func BenchmarkToAgent(b *testing.B) {
	for name, profile := range profiles {
		b.Run(name, func(b *testing.B) {
			seal, _ := twoTaps(b, profile, func([]byte) {})
			p := packet(7, 0, 0)
			b.ReportAllocs()
			for b.Loop() {
				binary.BigEndian.PutUint16(p[2:], binary.BigEndian.Uint16(p[2:])+1)
				if _, err := seal(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var profiles = map[string]srtp.ProtectionProfile{
	"AEAD_AES_128_GCM": srtp.ProtectionProfileAeadAes128Gcm, "AES128_CM_SHA1_80": srtp.ProtectionProfileAes128CmHmacSha1_80,
}

// BenchmarkWriteRTP is the whole way out: tap or track, and the system call.
func BenchmarkWriteRTP(b *testing.B) {
	for name, tap := range map[string]bool{"tap": true, "track": false} {
		b.Run(name, func(b *testing.B) {
			p := newStack(b, settings(tap), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}})
			defer p.Close(call.CauseNormal)
			a := newAgent(b, agentOptions{})
			join(b, p, a)
			p.Start(func([]byte) {}, func(call.Cause) {}, nil)
			out := packet(p.SSRC(), 0, 0)
			b.ReportAllocs()
			for b.Loop() {
				binary.BigEndian.PutUint16(out[2:], binary.BigEndian.Uint16(out[2:])+1)
				if err := p.WriteRTP(out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
