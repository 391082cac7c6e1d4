package rig

import (
	bigendian "encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"patchbay/internal/tone"
)

// Keypad are the keys in the order of their events (RFC 4733 3.2).
const Keypad = "0123456789*#ABCD"

// Step is the time between two packets of a Media.
const Step = 20 * time.Millisecond

// A Media is the audio side of a phone: one RTP socket. It sends what it is told
// to, and notes the keys and the audio that come.
type Media struct {
	conn *net.UDPConn

	mu      sync.Mutex
	seq     uint16
	at      uint32 // RTP timestamp, in units of the last clock
	keys    string
	packets int
	ended   map[uint32]bool // events that have ended, by timestamp
	kinds   map[byte]int    // packets by payload type
	sung    string          // keys that came as tones
	tone    rune            // that sounds; 0: none
}

// NewMedia opens an RTP socket on loopback.
func NewMedia() (*Media, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		return nil, fmt.Errorf("open a phone's audio: %w", err)
	}
	m := &Media{conn: conn, seq: 1, at: 8000, ended: map[uint32]bool{}, kinds: map[byte]int{}}
	go m.listen()
	return m, nil
}

// Port is where the audio is received.
func (m *Media) Port() int { return int(addrPort(m.conn).Port()) }

// Close closes the socket.
func (m *Media) Close() { _ = m.conn.Close() }

// Heard are the keys that have come as RFC 4733 events, in their order, and how
// many packets of audio.
func (m *Media) Heard() (keys string, packets int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys, m.packets
}

func (m *Media) listen() {
	buf := make([]byte, 2048)
	for {
		n, err := m.conn.Read(buf)
		if err != nil {
			return
		}
		if n < 13 || buf[0]>>6 != 2 || buf[1]&0x7f >= 72 && buf[1]&0x7f <= 76 {
			continue // RTCP, or nothing
		}
		m.take(buf[:n])
	}
}

// take notes a packet: an event of 4 bytes is a key when its end comes first.
func (m *Media) take(p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	body, at := p[12:], bigendian.BigEndian.Uint32(p[4:])
	m.kinds[p[1]&0x7f]++
	if len(body) != 4 {
		m.packets++
		m.listenTo(body)
		return
	}
	if body[1]&0x80 == 0 || m.ended[at] || int(body[0]) >= len(Keypad) {
		return
	}
	m.ended[at] = true
	m.keys += string(Keypad[body[0]])
}

// Sung are the keys that have come as tones in PCMU, in their order.
func (m *Media) Sung() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sung
}

// listenTo notes the key that a packet of PCMU holds, once while it sounds.
func (m *Media) listenTo(body []byte) {
	pcm := tone.DecodePCMU(body)
	before := m.tone
	m.tone = 0
	for key, pair := range tones {
		if tone.Share(pcm, pair[0], 8000)+tone.Share(pcm, pair[1], 8000) > 0.9 {
			m.tone = key
		}
	}
	if m.tone != 0 && m.tone != before {
		m.sung += string(m.tone)
	}
}

// A Press is how a key is sent by RFC 4733.
type Press struct {
	Type     byte // payload type
	Clock    int  // of the events, Hz
	NoMarker bool // the first packet of an event has no marker bit
	Ends     int  // copies of the last packet (RFC 4733 2.5.1.4)
}

// Press sends keys, each for 60 ms, with a pause after it.
func (m *Media) Press(to netip.AddrPort, keys string, how Press) error {
	unit := uint32(how.Clock / 50)
	for _, key := range keys {
		event := strings.IndexRune(Keypad, key)
		if event < 0 {
			return fmt.Errorf("%q is no key", key)
		}
		for i := range 3 + how.Ends {
			held := unit * uint32(min(i+1, 4))
			flags := byte(10) // volume
			if i >= 3 {
				flags |= 0x80
			}
			body := []byte{byte(event), flags, byte(held >> 8), byte(held)}
			if err := m.send(to, how.Type, i == 0 && !how.NoMarker, body); err != nil {
				return err
			}
			time.Sleep(Step)
		}
		m.pass(4*unit + 2*unit)
		time.Sleep(2 * Step)
	}
	return nil
}

// tones are the two frequencies of each key (ITU-T Q.23).
var tones = map[rune][2]float64{
	'1': {697, 1209}, '2': {697, 1336}, '3': {697, 1477}, 'A': {697, 1633}, '4': {770, 1209}, '5': {770, 1336}, '6': {770, 1477}, 'B': {770, 1633},
	'7': {852, 1209}, '8': {852, 1336}, '9': {852, 1477}, 'C': {852, 1633}, '*': {941, 1209}, '0': {941, 1336}, '#': {941, 1477}, 'D': {941, 1633},
}

// Sing sends keys as tones in PCMU, each for 100 ms, with 100 ms of silence
// before and after it.
func (m *Media) Sing(to netip.AddrPort, keys string) error {
	for _, key := range keys {
		pair, ok := tones[key]
		if !ok {
			return fmt.Errorf("%q is no key", key)
		}
		for i := range 15 {
			body := slices.Repeat([]byte{0xff}, 160)
			if i >= 5 && i < 10 {
				for n := range body {
					t := 2 * math.Pi * float64((i-5)*160+n) / 8000
					body[n] = mulaw(6000*math.Sin(pair[0]*t) + 6000*math.Sin(pair[1]*t))
				}
			}
			if err := m.send(to, 0, false, body); err != nil {
				return err
			}
			m.pass(160)
			time.Sleep(Step)
		}
	}
	return nil
}

// mulaw encodes a sample (ITU-T G.711).
func mulaw(sample float64) byte {
	v, sign := int(sample), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, 32635) + 132
	exponent := 7
	for mask := 0x4000; exponent > 0 && v&mask == 0; mask >>= 1 {
		exponent--
	}
	return ^(sign | byte(exponent<<4) | byte(v>>(exponent+3))&0x0f)
}

func (m *Media) pass(units uint32) {
	m.mu.Lock()
	m.at += units
	m.mu.Unlock()
}

func (m *Media) send(to netip.AddrPort, kind byte, marker bool, body []byte) error {
	m.mu.Lock()
	m.seq++
	head := make([]byte, 12, 12+len(body))
	head[0], head[1] = 0x80, kind
	if marker {
		head[1] |= 0x80
	}
	bigendian.BigEndian.PutUint16(head[2:], m.seq)
	bigendian.BigEndian.PutUint32(head[4:], m.at)
	bigendian.BigEndian.PutUint32(head[8:], uint32(m.Port()))
	m.mu.Unlock()
	if _, err := m.conn.WriteToUDPAddrPort(append(head, body...), to); err != nil {
		return fmt.Errorf("send RTP: %w", err)
	}
	return nil
}

// AudioOf is where a message's SDP wants RTP.
func AudioOf(m Response) (netip.AddrPort, bool) {
	host, port := sdpHost.FindStringSubmatch(string(m)), sdpPort.FindStringSubmatch(string(m))
	if host == nil || port == nil {
		return netip.AddrPort{}, false
	}
	addr, err := netip.ParseAddr(host[1])
	number, err2 := strconv.ParseUint(port[1], 10, 16)
	return netip.AddrPortFrom(addr, uint16(number)), err == nil && err2 == nil
}
