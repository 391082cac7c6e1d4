package peer

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"net/netip"
	"sync"

	"github.com/pion/dtls/v3/pkg/crypto/prf"
	"github.com/pion/srtp/v3"
)

// errNoKeys says the handshake did not show everything that SRTP keys are made
// of; audio then goes through the library's tracks.
var errNoKeys = errors.New("peer: the DTLS handshake did not show its keys")

// Numbers of DTLS 1.2 (RFC 6347, RFC 5246, RFC 5764).
const (
	recordHandshake   = 22
	recordHeader      = 13
	handshakeHeader   = 12
	typeServerHello   = 2
	extensionUseSRTP  = 14
	suiteECDSAAES256  = 0xc02c // TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	suiteRSAAES256    = 0xc030 // TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
	helloFixed        = 2 + 32 // version, random
	keyLogFields      = 3
	keyLogLabelSecret = "CLIENT_RANDOM"
)

// A hello gathers what SRTP keys are derived from (RFC 5764 section 4.2): the
// server's random, the suite and the SRTP profile from the ServerHello as it
// passes the socket in the clear, the client's random and the master secret
// from the library's key log, which goes nowhere else.
type hello struct {
	mu           sync.Mutex
	serverRandom []byte
	clientRandom []byte
	master       []byte
	suite        uint16
	profile      uint16
	client       bool           // the ServerHello came in: we are the DTLS client
	with         netip.AddrPort // where our side of the handshake goes
}

// sent looks at a packet of ours.
func (h *hello) sent(packet []byte, to netip.AddrPort) {
	if !isHandshake(packet) {
		return
	}
	h.mu.Lock()
	h.with = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	h.mu.Unlock()
	h.see(packet, false)
}

// came looks at a packet of the agent's: of where our side goes, for anybody's
// ServerHello would spoil the keys. The client speaks first, so none comes before
// that is known.
func (h *hello) came(packet []byte, from netip.AddrPort) {
	if !isHandshake(packet) {
		return
	}
	h.mu.Lock()
	known := h.with == from
	h.mu.Unlock()
	if known {
		h.see(packet, true)
	}
}

func isHandshake(packet []byte) bool { return len(packet) > 0 && packet[0] == recordHandshake }

// see looks for a ServerHello among the records of one DTLS packet. Once the
// handshake is over it looks no more, so that nothing can be slipped in later.
func (h *hello) see(packet []byte, incoming bool) {
	for len(packet) >= recordHeader {
		size := int(binary.BigEndian.Uint16(packet[11:]))
		if len(packet) < recordHeader+size {
			return
		}
		epoch := binary.BigEndian.Uint16(packet[3:])
		if packet[0] == recordHandshake && epoch == 0 {
			h.messages(packet[recordHeader:recordHeader+size], incoming)
		}
		packet = packet[recordHeader+size:]
	}
}

func (h *hello) messages(b []byte, incoming bool) {
	for len(b) >= handshakeHeader {
		offset := uint24(b[6:])
		size := uint24(b[9:])
		if len(b) < handshakeHeader+size {
			return
		}
		if b[0] == typeServerHello && offset == 0 {
			h.serverHello(b[handshakeHeader:handshakeHeader+size], incoming)
		}
		b = b[handshakeHeader+size:]
	}
}

func (h *hello) serverHello(b []byte, incoming bool) {
	if len(b) < helloFixed+1 {
		return
	}
	rest := b[helloFixed+1:]
	id := int(b[helloFixed])
	if len(rest) < id+5 {
		return
	}
	rest = rest[id:]
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.master != nil {
		return
	}
	h.serverRandom, h.client = append([]byte(nil), b[2:helloFixed]...), incoming
	h.suite = binary.BigEndian.Uint16(rest)
	h.profile = srtpProfile(rest[5:])
}

// srtpProfile finds the chosen profile in a ServerHello's extensions (RFC 5764
// section 4.1.1); 0 where there is none.
func srtpProfile(ext []byte) uint16 {
	for len(ext) >= 4 {
		kind, size := binary.BigEndian.Uint16(ext), int(binary.BigEndian.Uint16(ext[2:]))
		if len(ext) < 4+size {
			return 0
		}
		if kind == extensionUseSRTP && size >= 4 {
			return binary.BigEndian.Uint16(ext[6:])
		}
		ext = ext[4+size:]
	}
	return 0
}

// Write implements io.Writer for the library's key log.
func (h *hello) Write(line []byte) (int, error) {
	f := bytes.Fields(line)
	if len(f) != keyLogFields || string(f[0]) != keyLogLabelSecret {
		return len(line), nil
	}
	client, err1 := hex.DecodeString(string(f[1]))
	master, err2 := hex.DecodeString(string(f[2]))
	if err1 == nil && err2 == nil {
		h.mu.Lock()
		h.clientRandom, h.master = client, master
		h.mu.Unlock()
	}
	return len(line), nil
}

// ExportKeyingMaterial implements srtp.KeyingMaterialExporter (RFC 5705
// section 4, without context).
func (h *hello) ExportKeyingMaterial(label string, _ []byte, length int) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clientRandom == nil || h.serverRandom == nil || h.master == nil {
		return nil, errNoKeys
	}
	sum := func() hash.Hash { return sha256.New() }
	if h.suite == suiteECDSAAES256 || h.suite == suiteRSAAES256 {
		sum = sha512.New384
	}
	seed := append([]byte(label), h.clientRandom...)
	seed = append(seed, h.serverRandom...)
	return prf.PHash(h.master, seed, length, sum)
}

// keys derives the SRTP keys of both directions.
func (h *hello) keys() (*srtp.Config, error) {
	h.mu.Lock()
	profile, client := h.profile, h.client
	h.mu.Unlock()
	if profile == 0 {
		return nil, errNoKeys
	}
	cfg := &srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := cfg.ExtractSessionKeysFromDTLS(h, client); err != nil {
		return nil, err
	}
	return cfg, nil
}

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
