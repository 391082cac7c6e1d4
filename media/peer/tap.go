package peer

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// Bounds of the tap.
const (
	// MaxSources is how many synchronization sources one agent may use in a
	// call; packets of further ones are dropped.
	MaxSources = 16
	// replayWindow is how far behind the newest packet one may come, packets
	// (RFC 3711 section 3.3.2).
	replayWindow = 64
)

const (
	rtpHeader = 12
	rtcpBye   = 203
)

// A tap is SRTP at the socket. receive runs in the socket's read loop, send in
// whatever goroutine writes to the leg; they share nothing.
type tap struct {
	rx  *atomic.Pointer[func([]byte)]
	bye func() // the agent said goodbye by RTCP

	in       *srtp.Context
	inBuf    []byte
	inHdr    rtp.Header
	sources  sources // of RTP
	controls sources // of RTCP

	out    *srtp.Context
	outBuf []byte
	outHdr rtp.Header

	control sync.Mutex    // guards rtcp, which send does not use
	rtcp    *srtp.Context // RTCP has an index of its own: RFC 3711 section 3.4
}

func newTap(cfg *srtp.Config, rx *atomic.Pointer[func([]byte)], bye func()) (*tap, error) {
	t := &tap{rx: rx, bye: bye, inBuf: make([]byte, 0, 2048), outBuf: make([]byte, 0, 2048)}
	k := cfg.Keys
	var err error
	if t.in, err = srtp.CreateContext(k.RemoteMasterKey, k.RemoteMasterSalt, cfg.Profile,
		srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow)); err != nil {
		return nil, err
	}
	if t.out, err = srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt, cfg.Profile); err != nil {
		return nil, err
	}
	t.rtcp, err = srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt, cfg.Profile)
	return t, err
}

// receive takes one SRTP or SRTCP packet and reports whether it was genuine.
func (t *tap) receive(b []byte) bool {
	if len(b) < rtpHeader {
		return false
	}
	if b[1] >= 192 && b[1] <= 223 { // RFC 5761 section 4
		return t.receiveControl(b)
	}
	ssrc := binary.BigEndian.Uint32(b[8:])
	if !t.sources.room(ssrc) {
		return false
	}
	plain, err := t.in.DecryptRTP(t.inBuf[:0], b, &t.inHdr)
	if err != nil {
		return false
	}
	t.sources.add(ssrc)
	if rx := t.rx.Load(); rx != nil {
		(*rx)(plain)
	}
	return true
}

func (t *tap) receiveControl(b []byte) bool {
	ssrc := binary.BigEndian.Uint32(b[4:])
	if !t.controls.room(ssrc) {
		return false
	}
	plain, err := t.in.DecryptRTCP(t.inBuf[:0], b, nil)
	if err != nil {
		return false
	}
	t.controls.add(ssrc)
	if hasBye(plain) {
		t.bye()
	}
	return true
}

// sources are those under which genuine packets came. They bound what an agent
// can make us remember by changing its SSRC: the library keeps a state for each
// that it has decrypted a packet of, so it is not shown those of further ones.
type sources []uint32

// room reports whether a packet of ssrc may be decrypted.
func (s sources) room(ssrc uint32) bool { return len(s) < MaxSources || slices.Contains(s, ssrc) }

func (s *sources) add(ssrc uint32) {
	if !slices.Contains(*s, ssrc) {
		*s = append(*s, ssrc)
	}
}

// hasBye looks through a compound RTCP packet (RFC 3550 section 6.1).
func hasBye(b []byte) bool {
	for len(b) >= 4 {
		if b[1] == rtcpBye {
			return true
		}
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if size > len(b) {
			return false
		}
		b = b[size:]
	}
	return false
}

// seal encrypts one RTP packet. The result is good until the next call.
func (t *tap) seal(packet []byte) ([]byte, error) {
	return t.out.EncryptRTP(t.outBuf[:0], packet, &t.outHdr)
}

// sealControl encrypts one RTCP packet.
func (t *tap) sealControl(packet []byte) ([]byte, error) {
	t.control.Lock()
	defer t.control.Unlock()
	return t.rtcp.EncryptRTCP(nil, packet, nil)
}

// goodbye is an empty receiver report and a BYE (RFC 3550 sections 6.1, 6.6).
func goodbye(ssrc uint32) []byte {
	b := []byte{0x80, 201, 0, 1, 0, 0, 0, 0, 0x81, rtcpBye, 0, 1, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(b[4:], ssrc)
	binary.BigEndian.PutUint32(b[12:], ssrc)
	return b
}
