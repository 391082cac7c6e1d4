package wire

import (
	"net/netip"
	"strconv"
	"strings"
)

// Stamp notes in the top Via where a request came from, and returns where its
// responses go (RFC 3261 18.2.1 and 18.2.2, RFC 3581 4): with rport, to the
// source; without, to the source's address and the port of sent-by. What the
// sender wrote as received, maddr or the value of rport decides nothing, so no
// response leaves for an address that sent no packet. A zero source stamps nothing.
func (m *Message) Stamp(source netip.AddrPort) netip.AddrPort {
	if !source.IsValid() {
		return source // nothing to note
	}
	source = netip.AddrPortFrom(source.Addr().Unmap().WithZone(""), source.Port())
	for i := range m.fields {
		if m.fields[i].id == via {
			value, reply := stampVia(m.value(i), source)
			m.replace(i, value)
			return reply
		}
	}
	return source
}

// ReplyTo returns where a response goes whose request came on a connection that
// is gone: to the source's address and the port of sent-by, or its default
// (RFC 3261 18.2.2). A zero source returns itself.
func (m *Message) ReplyTo(source netip.AddrPort) netip.AddrPort {
	value := m.first(via)
	head := value[:len(value)-len(paramsOf(value))]
	_, sentBy, _ := strings.Cut(head, " ")
	_, port := splitHostPort(sentBy)
	if port == 0 {
		port = defaultPort(head)
	}
	if !source.IsValid() {
		return source
	}
	return netip.AddrPortFrom(source.Addr().Unmap().WithZone(""), port)
}

// stampVia returns the stamped Via value and the address for responses.
func stampVia(value string, source netip.AddrPort) (string, netip.AddrPort) {
	params := paramsOf(value)
	head := value[:len(value)-len(params)]
	_, sentBy, _ := strings.Cut(head, " ")
	host, port := splitHostPort(sentBy)
	_, wanted := param(value, "rport")

	out := make([]byte, 0, len(value)+64)
	out = append(out, head...)
	for len(params) > 0 {
		var p string
		p, params = cutParam(params)
		if k, _, _ := strings.Cut(p, "="); k != "received" && k != "rport" {
			out = append(append(out, ';'), p...)
		}
	}
	same := false
	if a, err := netip.ParseAddr(host); err == nil {
		same = a.Unmap() == source.Addr()
	}
	if wanted || !same {
		out = source.Addr().AppendTo(append(out, ";received="...))
	}
	if wanted {
		out = strconv.AppendUint(append(out, ";rport="...), uint64(source.Port()), 10)
		return string(out), source
	}
	if port == 0 {
		port = defaultPort(head)
	}
	return string(out), netip.AddrPortFrom(source.Addr(), port)
}

// defaultPort is the port of a sent-by that names none (RFC 3261 18.2.2).
func defaultPort(head string) uint16 {
	if hop, _, _ := strings.Cut(head, " "); strings.HasSuffix(strings.ToUpper(hop), "/TLS") {
		return 5061
	}
	return 5060
}

// splitHostPort splits a sent-by in normal form; port 0 means none.
func splitHostPort(s string) (host string, port uint16) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return strings.Trim(s, "[]"), 0
	}
	n, _ := strconv.ParseUint(s[i+1:], 10, 16)
	return strings.Trim(s[:i], "[]"), uint16(n)
}

// replace gives the ith field another value, in Raw and in the index.
func (m *Message) replace(i int, value string) {
	f := &m.fields[i]
	grown := int32(len(value)) - (f.lineEnd - f.valueStart)
	raw := make([]byte, 0, len(m.Raw)+int(grown))
	raw = append(raw, m.Raw[:f.valueStart]...)
	raw = append(raw, value...)
	raw = append(raw, m.Raw[f.lineEnd:]...)
	m.Raw, m.text = raw, string(raw)
	f.lineEnd += grown
	for j := i + 1; j < len(m.fields); j++ {
		g := &m.fields[j]
		g.name, g.nameEnd, g.valueStart, g.lineEnd = g.name+grown, g.nameEnd+grown, g.valueStart+grown, g.lineEnd+grown
	}
}
