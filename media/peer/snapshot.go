package peer

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"patchbay/actors/call"
)

// stateVersion is the major version of a leg's snapshot. Fields may be added
// within it; readers ignore those that they do not know.
const stateVersion = 1

// maxKept is how many of an agent's candidates a snapshot names.
const maxKept = 16

// A secret is key material. It prints redacted everywhere but in the JSON of a
// snapshot, which is sealed.
type secret []byte

// String hides the key.
func (secret) String() string { return "[redacted]" }

// Format hides the key from every verb of fmt.
func (secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// A state is what another node needs to be the same peer from another port,
// with no word to the agent: ICE credentials and SRTP keys as they were
// negotiated, and who played which role.
type state struct {
	V int `json:"v"`

	// ICE (RFC 8445).
	LocalUfrag  string         `json:"ice_ufrag"`
	LocalPwd    secret         `json:"ice_pwd"`
	RemoteUfrag string         `json:"remote_ice_ufrag"`
	RemotePwd   secret         `json:"remote_ice_pwd"`
	Controlling bool           `json:"ice_controlling"`       // we offered
	Lite        bool           `json:"ice_lite"`              // we answered
	Remote      netip.AddrPort `json:"remote"`                // of the selected pair; zero: not known
	Candidates  []string       `json:"candidates,omitempty"`  // the agent's, as its SDP had them
	Fingerprint string         `json:"fingerprint,omitempty"` // of the agent's certificate

	// SRTP as the DTLS handshake made it (RFC 5764 4.2); profile 0: the library
	// keeps the keys to itself.
	DTLSClient bool   `json:"dtls_client,omitempty"` // we were
	Profile    uint16 `json:"srtp_profile,omitempty"`
	LocalKey   secret `json:"srtp_key,omitempty"`
	LocalSalt  secret `json:"srtp_salt,omitempty"`
	RemoteKey  secret `json:"remote_srtp_key,omitempty"`
	RemoteSalt secret `json:"remote_srtp_salt,omitempty"`

	SSRC    uint32      `json:"ssrc"` // ours
	Codec   call.Codec  `json:"codec"`
	DTMF    *call.Codec `json:"dtmf,omitempty"`
	Channel bool        `json:"data_channel,omitempty"` // lost with the node: SCTP is not carried on
}

// A side is what one description says of ICE and DTLS.
type side struct {
	ufrag, pwd, fingerprint string
	candidates              []string
}

// readSide reads the lines of a description that ICE and DTLS need.
func readSide(sdp string) (s side) {
	for line := range strings.Lines(sdp) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		switch name {
		case "a=ice-ufrag":
			s.ufrag = strings.Clone(value)
		case "a=ice-pwd":
			s.pwd = strings.Clone(value)
		case "a=fingerprint":
			s.fingerprint = strings.Clone(value)
		case "a=candidate":
			if len(s.candidates) < maxKept {
				s.candidates = append(s.candidates, strings.Clone(value))
			}
		}
	}
	return s
}

// Snapshot is all that another node needs to carry the leg on; nil where the
// leg is not connected.
func (p *Peer) Snapshot() json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isUp || p.isDown {
		return nil
	}
	s := state{V: stateVersion, LocalUfrag: p.ours.ufrag, LocalPwd: secret(p.ours.pwd), RemoteUfrag: p.theirs.ufrag, RemotePwd: secret(p.theirs.pwd),
		Controlling: !p.lite, Lite: p.lite, Candidates: p.theirs.candidates, Fingerprint: p.theirs.fingerprint,
		SSRC: p.ssrc, Codec: p.codec, DTMF: p.digits, Channel: p.wantDC}
	if to := p.sock.remote.Load(); to != nil {
		s.Remote = to.addr
	}
	if cfg, err := p.sock.hello.keys(); err == nil {
		k := cfg.Keys
		s.Profile, s.DTLSClient = uint16(cfg.Profile), p.sock.hello.isClient()
		s.LocalKey, s.LocalSalt, s.RemoteKey, s.RemoteSalt = k.LocalMasterKey, k.LocalMasterSalt, k.RemoteMasterKey, k.RemoteMasterSalt
	}
	raw, err := json.Marshal(s)
	if err != nil { // strings and numbers only: it cannot be
		return nil
	}
	return raw
}

// isClient reports that we were the DTLS client.
func (h *hello) isClient() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.client
}
