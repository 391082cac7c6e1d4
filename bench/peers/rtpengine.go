package peers

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/srtp/v3"

	"patchbay/bench/process"
	"patchbay/bench/rtpload"
)

// The SRTP of the far side: what rtpengine and agents both speak.
const (
	suite    = "AES_CM_128_HMAC_SHA1_80"
	profile  = srtp.ProtectionProfileAes128CmHmacSha1_80
	keyBytes = 16 // and 14 of salt
	allBytes = 30
)

// unwanted keeps rtpengine from offering other suites.
var unwanted = []string{"no-AES_256_CM_HMAC_SHA1_80", "no-AES_256_CM_HMAC_SHA1_32", "no-AES_192_CM_HMAC_SHA1_80", "no-AES_192_CM_HMAC_SHA1_32",
	"no-F8_128_HMAC_SHA1_80", "no-F8_128_HMAC_SHA1_32", "no-NULL_HMAC_SHA1_80", "no-NULL_HMAC_SHA1_32", "no-AES_CM_128_HMAC_SHA1_32"}

// RTPEngine starts rtpengine in user space with one thread; control is where it
// listens for its control protocol.
func RTPEngine(control string) (*process.Process, error) {
	if err := process.Find("rtpengine", "rtpengine-daemon"); err != nil {
		return nil, err
	}
	return process.Start(process.Target, "rtpengine", "--config-file=none", "--interface=127.0.0.1", "--listen-ng="+control, "--table=-1", "--foreground",
		"--log-level=1", "--log-stderr", "--num-threads=1", "--port-min=10000", "--port-max=13990", "--timeout=60")
}

// Calls are calls that rtpengine bridges: RTP on side A, SRTP on side B.
type Calls struct {
	A, B rtpload.Way
	seal []*srtp.Context
	open []*srtp.Context
}

// Bridge sets calls up between two ports of a load generator.
func Bridge(control string, calls int, a, b uint16) (*Calls, error) {
	conn, err := net.Dial("udp4", control)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	n, all := &ng{conn: conn}, &Calls{}
	for i := range calls {
		if err := all.add(n, i, a, b); err != nil {
			return nil, fmt.Errorf("set up call %d: %w", i, err)
		}
	}
	return all, nil
}

func (c *Calls) add(n *ng, i int, a, b uint16) error {
	id := fmt.Sprintf("bench-%d", i)
	offered, err := n.ask(pair{"DTLS", "off"}, pair{"ICE", "remove"}, pair{"SDES", unwanted}, pair{"call-id", id}, pair{"command", "offer"},
		pair{"from-tag", "a"}, pair{"sdp", describe(a, "RTP/AVP", "")}, pair{"transport-protocol", "RTP/SAVP"})
	if err != nil {
		return err
	}
	to, tag, theirs, err := readOffer(offered)
	if err != nil {
		return err
	}
	ours := make([]byte, allBytes)
	binary.BigEndian.PutUint32(ours, uint32(i)) // no secret: it protects nothing
	answered, err := n.ask(pair{"ICE", "remove"}, pair{"call-id", id}, pair{"command", "answer"}, pair{"from-tag", "a"},
		pair{"sdp", describe(b, "RTP/SAVP", "a=crypto:"+tag+" "+suite+" inline:"+base64.StdEncoding.EncodeToString(ours)+"\r\n")},
		pair{"to-tag", "b"}, pair{"transport-protocol", "RTP/AVP"})
	if err != nil {
		return err
	}
	from, err := audioPort(answered)
	if err != nil {
		return err
	}
	seal, err := srtp.CreateContext(ours[:keyBytes], ours[keyBytes:], profile)
	if err != nil {
		return err
	}
	open, err := srtp.CreateContext(theirs[:keyBytes], theirs[keyBytes:], profile)
	if err != nil {
		return err
	}
	c.A, c.B = append(c.A, from), append(c.B, to)
	c.seal, c.open = append(c.seal, seal), append(c.open, open)
	return nil
}

// Seal implements rtpload.Protection.
func (c *Calls) Seal(call int, packet []byte) ([]byte, error) {
	return c.seal[call].EncryptRTP(nil, packet, nil)
}

// Open implements rtpload.Protection: the low bits of the SSRC are the call's
// number.
func (c *Calls) Open(packet []byte) ([]byte, error) {
	if len(packet) < 12 {
		return nil, errors.New("short packet")
	}
	call := int(binary.BigEndian.Uint32(packet[8:]) & 0xffffff)
	if call >= len(c.open) {
		return nil, errors.New("packet of no call")
	}
	return c.open[call].DecryptRTP(nil, packet, nil)
}

func describe(port uint16, proto, crypto string) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d %s 0\r\na=rtpmap:0 PCMU/8000\r\n%sa=ptime:20\r\na=sendrecv\r\n",
		port, proto, crypto)
}

// readOffer returns port, crypto tag and master key of an offer with SDES (RFC
// 4568).
func readOffer(sdp string) (at netip.AddrPort, tag string, key []byte, err error) {
	if at, err = audioPort(sdp); err != nil {
		return at, "", nil, err
	}
	for line := range strings.SplitSeq(sdp, "\r\n") {
		f := strings.Fields(strings.TrimPrefix(line, "a=crypto:"))
		if !strings.HasPrefix(line, "a=crypto:") || len(f) < 3 || f[1] != suite {
			continue
		}
		inline, _, _ := strings.Cut(strings.TrimPrefix(f[2], "inline:"), "|")
		key, err = base64.StdEncoding.DecodeString(inline)
		if err == nil && len(key) != allBytes {
			err = fmt.Errorf("a key of %d bytes", len(key))
		}
		return at, f[0], key, err
	}
	return at, "", nil, errors.New("no " + suite + " in rtpengine's offer")
}

func audioPort(sdp string) (netip.AddrPort, error) {
	_, rest, _ := strings.Cut(sdp, "m=audio ")
	number, _, _ := strings.Cut(rest, " ")
	port, err := strconv.ParseUint(number, 10, 16)
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)), err
}
