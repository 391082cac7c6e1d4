package dialog

import (
	"fmt"
	"strconv"
	"strings"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/sip/token"
	"patchbay/sip/wire"
)

var (
	_ actors.Caller = (*UAC)(nil)
	_ actors.Seeker = (*UAC)(nil)
)

// anonymous is the From of a call that names nobody (RFC 3323 4.1.1.3).
const anonymous = `"Anonymous" <sip:anonymous@anonymous.invalid>`

// maxURI is how long a URI of an outgoing call may be, octets.
const maxURI = 1024

// ourFields are the header fields of an INVITE that nobody but us decides on,
// and those that ask for what is not served.
var ourFields = map[string]bool{
	"via": true, "from": true, "to": true, "call-id": true, "cseq": true, "contact": true, "max-forwards": true,
	"route": true, "record-route": true, "content-length": true, "content-type": true, "content-encoding": true,
	"content-disposition": true, "mime-version": true, "authorization": true, "proxy-authorization": true,
	"require": true, "proxy-require": true, "supported": true, "allow": true, "accept": true, "user-agent": true,
	"session-expires": true, "min-se": true, "replaces": true, "join": true,
}

// Call implements [actors.Dialogs]; the Caller is an [*UAC]. It refuses URIs
// other than sip and sips, and transports that no call can be begun over;
// header fields that are ours to write; and whatever could begin another one.
func (f *Factory) Call(id call.ID, out call.Outgoing) (actors.Caller, call.Invitation, error) {
	target, err := outgoingURI("to", out.To)
	if err != nil {
		return nil, call.Invitation{}, err
	}
	from, err := fromOf(out)
	if err != nil {
		return nil, call.Invitation{}, err
	}
	hops, err := hopsOf(target, out.Hops)
	if err != nil {
		return nil, call.Invitation{}, err
	}
	if err := checkFields(out.Headers); err != nil {
		return nil, call.Invitation{}, err
	}
	if !inert(out.Credentials.Username + out.Credentials.Password + out.Credentials.Realm) {
		return nil, call.Invitation{}, wrong("credentials", "control characters")
	}
	callID := id.String()
	if out.Nth > 0 {
		callID += "-" + strconv.Itoa(out.Nth)
	}
	further, err := referralFields(out)
	if err != nil {
		return nil, call.Invitation{}, err
	}
	d := &UAC{
		dialog: dialog{
			said:    new(description),
			options: &f.options,
			id:      id,
			callID:  callID,
			tag:     f.options.Keys.Mint(token.Call, f.options.Slot, id, callID),
			route:   &route{target: target, local: from, remote: "<" + bare(target) + ">"},
		},
		target:  target,
		hops:    hops,
		headers: append(further, out.Headers...),
		edge:    out.Edge,
		left:    out.MaxForwards,
		login:   login{credentials: out.Credentials, cnonce: f.options.Keys.Mint(token.Nonce, f.options.Slot, id, callID)},
	}
	inv := call.Invitation{
		Key:       call.TransactionKey{CallID: callID, FromTag: d.tag, CSeq: 1},
		From:      partyOf(out.From, out.Display),
		To:        call.Party{URI: out.To, User: target.User, Host: target.Host},
		Transport: hops[0].transport(),
		Source:    hops[0].uri.HostPort(),
		Headers:   out.Headers,

		MaxForwards: out.MaxForwards,
	}
	return d, inv, nil
}

// referralFields are the header fields of a call that somebody else had us begin.
func referralFields(out call.Outgoing) (all []call.Header, err error) {
	for _, h := range []call.Header{{Name: "Replaces", Value: out.Replaces}, {Name: "Referred-By", Value: out.ReferredBy}} {
		switch {
		case h.Value == "":
		case len(h.Value) > call.MaxHeaderBytes, !inert(h.Value):
			return nil, wrong("headers", "%s is too long, or has control characters", h.Name)
		default:
			all = append(all, h)
		}
	}
	return all, nil
}

// bare returns a URI without the header fields that it asks for.
func bare(u wire.URI) string {
	s, _, _ := strings.Cut(u.Reveal(), "?")
	return s
}

func partyOf(uri, display string) call.Party {
	if uri == "" {
		return call.Party{URI: "sip:anonymous@anonymous.invalid", User: "anonymous", Host: "anonymous.invalid", Display: "Anonymous"}
	}
	p := call.Party{URI: uri, Display: display}
	if u, err := wire.ParseURI(uri); err == nil {
		p.User, p.Host = u.User, u.Host
	}
	return p
}

// fromOf returns the value of From, without our tag.
func fromOf(out call.Outgoing) (string, error) {
	if out.From == "" {
		return anonymous, nil
	}
	uri, err := outgoingURI("from", out.From)
	if err != nil {
		return "", err
	}
	if !inert(out.Display) || len(out.Display) > call.MaxHeaderBytes {
		return "", wrong("display", "control characters, or over %d bytes", call.MaxHeaderBytes)
	}
	if out.Display == "" {
		return "<" + bare(uri) + ">", nil
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(out.Display) + `" <` + bare(uri) + ">", nil
}

func hopsOf(target wire.URI, all []string) ([]hop, error) {
	if len(all) > call.MaxHops {
		return nil, wrong("hops", "%d addresses, at most %d", len(all), call.MaxHops)
	}
	hops := make([]hop, 0, max(len(all), 1))
	for _, one := range all {
		uri, err := outgoingURI("hops", one)
		if err != nil {
			return nil, err
		}
		if target.Scheme == "sips" && transportOf(uri, call.UDP) != call.TLS {
			return nil, wrong("hops", "a sips URI is reached over TLS only")
		}
		hops = append(hops, hop{uri: uri})
	}
	if len(hops) == 0 {
		hops = append(hops, hop{uri: target})
	}
	return hops, nil
}

// outgoingURI reads a URI that a call may be sent to, or come from.
func outgoingURI(field, s string) (wire.URI, error) {
	if len(s) > maxURI {
		return wire.URI{}, wrong(field, "over %d bytes", maxURI)
	}
	u, err := wire.ParseURI(s)
	switch {
	case err != nil:
		return wire.URI{}, wrong(field, "no sip or sips URI")
	case u.Headers:
		return wire.URI{}, wrong(field, "a URI with header fields")
	}
	if asked, ok := u.Param("transport"); ok {
		switch call.Transport(strings.ToLower(asked)) {
		case call.UDP, call.TCP, call.TLS:
		default:
			return wire.URI{}, wrong(field, "transport: want udp, tcp or tls")
		}
	}
	return u, nil
}

// checkFields holds further header fields to their limits. Compact names are
// no names here: two spellings of one would get past the list.
func checkFields(all []call.Header) error {
	if len(all) > call.MaxHeaders {
		return wrong("headers", "%d fields, at most %d", len(all), call.MaxHeaders)
	}
	for _, h := range all {
		switch {
		case len(h.Name) < 2 || strings.Trim(h.Name, fieldNameSet) != "":
			return wrong("headers", "a name that is none")
		case ourFields[strings.ToLower(h.Name)]:
			return wrong("headers", "%s is not the caller's to set", h.Name)
		case len(h.Value) > call.MaxHeaderBytes:
			return wrong("headers", "%s is over %d bytes", h.Name, call.MaxHeaderBytes)
		case !inert(h.Value):
			return wrong("headers", "%s has control characters", h.Name)
		}
	}
	return nil
}

// fieldNameSet are the characters of a token (RFC 3261 25.1).
const fieldNameSet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~"

// inert reports whether text has no control characters, a tab apart.
func inert(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func wrong(field, why string, args ...any) *call.WrongOutgoing {
	return &call.WrongOutgoing{Field: field, Why: fmt.Sprintf(why, args...)}
}
