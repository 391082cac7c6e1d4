// Package sdp reads the session descriptions that carriers send and writes
// ours (RFC 8866, RFC 3264).
//
// The reader is lenient: it takes what it needs of each line and passes over
// the rest, because a description it refuses is a lost call. It decides which
// m-line carries the audio, where that audio goes, and which formats of it we
// can pass on. The writer is strict: what it writes, any implementation reads.
//
// What it refuses has a name: see the errors below. It looks up no host names
// and knows no keys: m-lines of RTP/SAVP are never the ones chosen.
package sdp

import (
	"errors"
	"net/netip"

	"patchbay/actors/call"
)

// Limits of what is read.
const (
	MaxBytes = 8 << 10 // bytes of one description
	MaxMedia = 10      // m-lines of one description
	MaxParts = 10      // parts of a multipart body
)

// Errors of [Read].
var (
	// ErrNotSDP says that the body holds no description: 415.
	ErrNotSDP = errors.New("sdp: body is not application/sdp")
	// ErrTooLarge says that the description exceeds MaxBytes: 488.
	ErrTooLarge = errors.New("sdp: description is too large")
	// ErrTooManyMedia says that it has more than MaxMedia m-lines: 488.
	ErrTooManyMedia = errors.New("sdp: too many m-lines")
	// ErrMalformed says that nothing can be made of the body: 400.
	ErrMalformed = errors.New("sdp: malformed description")
)

// Errors of [Session.Offer]; the answer to each is 488.
var (
	// ErrNoAudio says that no m-line offers audio over RTP/AVP or RTP/AVPF.
	ErrNoAudio = errors.New("sdp: no usable audio m-line")
	// ErrSecureOnly says that audio is offered over RTP/SAVP or DTLS only.
	ErrSecureOnly = errors.New("sdp: audio is offered encrypted only")
	// ErrNoCodec says that the audio m-line has none of PCMU, PCMA, G722, opus.
	ErrNoCodec = errors.New("sdp: no codec in common")
	// ErrNoAddress says that no c= line gives the audio a unicast address.
	ErrNoAddress = errors.New("sdp: no usable address")
	// ErrHostName says that the c= line holds a name; only addresses are served.
	ErrHostName = errors.New("sdp: c= holds a host name")
)

// An Origin is what tells two descriptions of ours apart (RFC 8866 5.2). The
// version grows by one when, and only when, the description changed
// (RFC 3264 8).
type Origin struct {
	ID, Version uint64
	Addr        netip.Addr // zero: the address of the media
}

// A Session is one description as it was read. It is never changed.
type Session struct {
	origin string // the value of o=
	times  string // the value of t=
	common section
	media  []media
}

// A section is what may stand at session or at media level.
type section struct {
	connection string // the value of the first c=
	attributes []attribute
}

type attribute struct{ name, value string }

type media struct {
	section
	kind    string // audio, video, image, ...
	port    uint16 // 0: refused, or not readable
	proto   string
	formats []string
}

// OriginLine returns the value of o=. Two descriptions of one dialog with the
// same line ought to be the same description (RFC 3264 8).
func (s *Session) OriginLine() string { return s.origin }

// Mirror returns the direction that agrees with d as the other side sees it
// (RFC 3264 6.1): the widest answer to an offer of d.
func Mirror(d call.Direction) call.Direction {
	switch d {
	case call.SendOnly:
		return call.RecvOnly
	case call.RecvOnly:
		return call.SendOnly
	case call.Inactive:
		return call.Inactive
	default:
		return call.SendRecv
	}
}

// first returns the value of the section's first attribute of that name.
func (s section) first(name string) (string, bool) {
	for _, a := range s.attributes {
		if a.name == name {
			return a.value, true
		}
	}
	return "", false
}
