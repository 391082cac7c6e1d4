package peer

import (
	"net/netip"
	"strings"
)

// reachable leaves an agent's link-local candidates out of its description, as
// the socket drops packets from such addresses. We announce none of ours, so a
// packet to one would leave from an address that the agent does not know: its
// checks would succeed now and then, and its audio be dropped.
func reachable(text string) string {
	if !strings.Contains(text, "a=candidate:") {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !linkLocal(line) {
			b.WriteString(line)
		}
	}
	return b.String()
}

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
