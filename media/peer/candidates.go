package peer

import (
	"net/netip"
	"strings"
)

// maxRemote is how many of an agent's candidates are tried; further ones are left
// out. Each gets maxChecks packets from us, at any address that an agent names.
const maxRemote = 64

// reachable leaves an agent's link-local candidates out of its description, as
// the socket drops packets from such addresses. We announce none of ours, so a
// packet to one would leave from an address that the agent does not know: its
// checks would succeed now and then, and its audio be dropped.
func reachable(text string) string {
	if !strings.Contains(text, "a=candidate:") {
		return text
	}
	var b strings.Builder
	kept := 0
	for line := range strings.FieldsFuncSeq(text, lineEnd) {
		if strings.HasPrefix(line, "a=candidate:") {
			if kept == maxRemote || linkLocal(line) {
				continue
			}
			kept++
		}
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	return b.String()
}

// lineEnd is what ends a line to the library: a CR alone does, too.
func lineEnd(r rune) bool { return r == '\r' || r == '\n' }

// linkLocal reports whether the line is a candidate (RFC 8839 5.1) of a
// link-local address.
func linkLocal(line string) bool {
	rest, ok := strings.CutPrefix(line, "a=candidate:")
	if !ok {
		return false
	}
	fields := strings.Fields(rest)
	if len(fields) < 6 {
		return false
	}
	addr, err := netip.ParseAddr(fields[4])
	return err == nil && addr.Unmap().IsLinkLocalUnicast()
}
