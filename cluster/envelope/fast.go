package envelope

import (
	"encoding/json"
	"net/netip"
	"strconv"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Heads of messages on the path of every call are written and read here
// without reflection, four times as fast. Writers write what encoding/json
// would; readers understand exactly what writers write, and leave everything
// else, such as a newer node's fields, to encoding/json.

func appendFlow(b []byte, f *call.Flow) []byte {
	b = appendString(append(b, `{"edge":`...), f.Edge)
	b = strconv.AppendUint(append(b, `,"boot":`...), f.Boot, 10)
	b = appendString(append(b, `,"transport":`...), string(f.Transport))
	b = appendAddr(append(b, `,"local":`...), f.Local)
	b = appendAddr(append(b, `,"remote":`...), f.Remote)
	b = appendAddr(append(b, `,"reply":`...), f.Reply)
	if f.Conn != 0 {
		b = strconv.AppendUint(append(b, `,"conn":`...), f.Conn, 10)
	}
	if f.Advertise != "" {
		b = appendString(append(b, `,"advertise":`...), f.Advertise)
	}
	return append(b, '}')
}

func appendInvite(b []byte, inv *endpoint.Invite) []byte {
	b = appendString(append(b, `{"address":`...), inv.Address.Reveal())
	b = appendString(append(b, `,"call_id":`...), inv.CallID)
	b = appendString(append(b, `,"from_tag":`...), inv.FromTag)
	b = strconv.AppendUint(append(b, `,"cseq":`...), uint64(inv.CSeq), 10)
	b = appendString(append(b, `,"branch":`...), inv.Branch)
	b = appendAddr(append(b, `,"source":`...), inv.Source)
	b = appendString(append(b, `,"transport":`...), inv.Transport)
	if inv.FromUser != "" {
		b = appendString(append(b, `,"from_user":`...), inv.FromUser)
	}
	if inv.ToUser != "" {
		b = appendString(append(b, `,"to_user":`...), inv.ToUser)
	}
	return append(b, '}')
}

func appendAddr(b []byte, a netip.AddrPort) []byte {
	b = append(b, '"')
	if a.IsValid() {
		b = a.AppendTo(b)
	}
	return append(b, '"')
}

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if !plain(s[i]) {
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// plain reports whether encoding/json writes the character as itself.
func plain(c byte) bool {
	return ' ' <= c && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
}

// A reader takes a head apart. Once something is not as a writer wrote it, it
// is lost and says so at the end.
type reader struct {
	b    []byte
	lost bool
}

// is reads text if it comes next.
func (r *reader) is(text string) bool {
	if len(r.b) < len(text) || string(r.b[:len(text)]) != text {
		return false
	}
	r.b = r.b[len(text):]
	return true
}

func (r *reader) must(text string) {
	if !r.is(text) {
		r.lost = true
	}
}

// done reports whether all was read and understood.
func (r *reader) done() bool { return !r.lost && len(r.b) == 0 }

// text reads a string without escapes; the bytes are part of the message.
func (r *reader) text() []byte {
	r.must(`"`)
	for i, c := range r.b {
		if c == '"' {
			s := r.b[:i]
			r.b = r.b[i+1:]
			return s
		}
		if !plain(c) {
			break
		}
	}
	r.lost = true
	return nil
}

func (r *reader) string() string { return string(r.text()) }

func (r *reader) uint(bits int) uint64 {
	i := 0
	for i < len(r.b) && '0' <= r.b[i] && r.b[i] <= '9' {
		i++
	}
	if i == 0 || i > 1 && r.b[0] == '0' || i > 20 {
		r.lost = true
		return 0
	}
	n, err := strconv.ParseUint(string(r.b[:i]), 10, bits)
	if err != nil {
		r.lost = true
	}
	r.b = r.b[i:]
	return n
}

// transports saves an allocation for the names that there are.
var transports = map[string]call.Transport{"udp": call.UDP, "tcp": call.TCP, "tls": call.TLS, "ws": call.WS, "wss": call.WSS}

func (r *reader) transport() call.Transport {
	s := r.text()
	if t, ok := transports[string(s)]; ok {
		return t
	}
	return call.Transport(s)
}

func (r *reader) addr() netip.AddrPort {
	s := r.text()
	if len(s) == 0 {
		return netip.AddrPort{}
	}
	a, err := netip.ParseAddrPort(string(s))
	if err != nil {
		r.lost = true
	}
	return a
}

func (r *reader) flow(f *call.Flow) {
	r.must(`{"edge":`)
	f.Edge = r.string()
	r.must(`,"boot":`)
	f.Boot = r.uint(64)
	r.must(`,"transport":`)
	f.Transport = r.transport()
	r.must(`,"local":`)
	f.Local = r.addr()
	r.must(`,"remote":`)
	f.Remote = r.addr()
	r.must(`,"reply":`)
	f.Reply = r.addr()
	if r.is(`,"conn":`) {
		f.Conn = r.uint(64)
	}
	if r.is(`,"advertise":`) {
		f.Advertise = r.string()
	}
	r.must(`}`)
}

func (r *reader) invite(inv *endpoint.Invite) {
	r.must(`{"address":`)
	inv.Address = endpoint.Address(r.string())
	r.must(`,"call_id":`)
	inv.CallID = r.string()
	r.must(`,"from_tag":`)
	inv.FromTag = r.string()
	r.must(`,"cseq":`)
	inv.CSeq = uint32(r.uint(32))
	r.must(`,"branch":`)
	inv.Branch = r.string()
	r.must(`,"source":`)
	inv.Source = r.addr()
	r.must(`,"transport":`)
	inv.Transport = string(r.transport())
	if r.is(`,"from_user":`) {
		inv.FromUser = r.string()
	}
	if r.is(`,"to_user":`) {
		inv.ToUser = r.string()
	}
	r.must(`}`)
}
