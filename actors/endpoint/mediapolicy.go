package endpoint

import (
	"fmt"
	"strings"
)

// Limits of a media policy.
const (
	MaxCodecs = 32 // names in media.codecs, and in media.ciphers
	maxCodec  = 64 // bytes of one
)

// Words of encryption: of an endpoint, and of an account for those that
// inherit.
const (
	EncryptionDefault   = "default" // the account's
	EncryptionOptional  = "optional"
	EncryptionForbidden = "forbidden"
)

// validate checks the shape of a policy. Codecs and ciphers that are not
// served are stored: they narrow what a call may have, and one that is left
// with nothing is refused.
func (m *MediaPolicy) validate(ps *problems) {
	ps.word("media.encryption", m.Encryption, "", EncryptionDefault, EncryptionOptional, EncryptionForbidden, EncryptionRequired)
	ps.names("media.codecs", orNothing(m.Codecs))
	ps.names("media.ciphers", orNothing(m.Ciphers))
	m.Keys().validate(ps, "media.")
}

// Ways of keys to a carrier and from it.
const (
	DTMFAuto    = "auto"    // out: as RFC 4733 where that was agreed on, else by INFO where the carrier takes it, else as tones
	DTMFRFC4733 = "rfc4733" // out: as RFC 4733, or not at all
	DTMFInfo    = "info"    // out: by INFO, whatever was agreed on
	DTMFOff     = "off"     // in-band: tones in the audio are no keys
)

// A KeyPolicy says how keys go to a carrier and come from it. The zero value is
// auto both ways.
type KeyPolicy struct {
	Out    string `json:"out,omitempty"`
	InBand string `json:"inband,omitempty"` // auto: tones are keys where the carrier has no telephone-event
}

func (k KeyPolicy) validate(ps *problems, at string) {
	ps.word(at+"dtmf_out", k.Out, "", DTMFAuto, DTMFRFC4733, DTMFInfo)
	ps.word(at+"dtmf_inband", k.InBand, "", DTMFAuto, DTMFOff)
}

// Listens reports whether tones in the carrier's audio may be keys.
func (k KeyPolicy) Listens() bool { return k.InBand != DTMFOff }

// Keys is the policy for keys of the endpoint's calls.
func (m *MediaPolicy) Keys() KeyPolicy { return KeyPolicy{Out: m.DTMFOut, InBand: m.DTMFInBand} }

// Keys is the policy for keys of calls through the trunk.
func (t *Trunk) Keys() KeyPolicy { return KeyPolicy{Out: t.DTMFOut, InBand: t.DTMFInBand} }

// Keys is the policy for keys of the endpoint's calls; of an account's own
// addresses it is auto.
func (a *Account) Keys(ep *Endpoint) KeyPolicy {
	if ep == nil {
		return KeyPolicy{}
	}
	return ep.Media.Keys()
}

func (ps *problems) names(field string, list []string) {
	if len(list) > MaxCodecs {
		ps.add(field, CodeTooMany, "%d names, want at most %d", len(list), MaxCodecs)
		return
	}
	for i, name := range list {
		ps.text(fmt.Sprintf("%s[%d]", field, i), name, 1, maxCodec)
	}
}

func orNothing(list *[]string) []string {
	if list == nil {
		return nil
	}
	return *list
}

// Codecs returns what a call of the endpoint may be carried with, by name in
// the order of preference: the endpoint's, else the account's; nil: anything.
// An empty list inherits as an absent one does (SignalWire).
func (a *Account) Codecs(ep *Endpoint) []string {
	list := a.SIP.DefaultCodecs
	if ep != nil && len(orNothing(ep.Media.Codecs)) > 0 {
		list = *ep.Media.Codecs
	}
	if len(list) == 0 {
		return nil
	}
	names := make([]string, len(list))
	for i, name := range list {
		names[i], _, _ = strings.Cut(name, "@") // OPUS@48000H@20I: name, rate, packet time
	}
	return names
}

// encryption returns the word that counts for calls of the endpoint.
func (a *Account) encryption(ep *Endpoint) string {
	if word := ep.Media.Encryption; word != "" && word != EncryptionDefault {
		return word
	}
	return a.SIP.DefaultEncryption
}
