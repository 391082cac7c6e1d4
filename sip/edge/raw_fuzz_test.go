package edge

import (
	"bytes"
	"strings"
	"testing"

	"patchbay/sip/wire"
)

// FuzzRaw looks at messages before anybody has checked them: the Call-ID by
// which they are spread, the lines that are filled in, hosts of their URIs. Of
// what the guard lets through, the same Call-ID is seen; but for folded ones,
// which only keep less order.
func FuzzRaw(f *testing.F) {
	for _, s := range []string{
		"INVITE sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nCALL-ID : x \r\nCSeq: 1 INVITE\r\n\r\n", "x\r\ni:a\r\n\r\n", "i: \r\n\r\ny", "[::1]:5060", "a:b:c", "\r\n \r\n",
		"OPTIONS sip:h SIP/2.0\r\nv: SIP/2.0/UDP h\r\nf: <sip:a@b>;tag=1\r\nt: <sip:c@d>\r\ni:\tq@r\r\nCSeq: 1 OPTIONS\r\nl: 0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		id := rawCallID(raw)
		if len(id) > 0 && !bytes.Contains(raw, id) {
			t.Errorf("%q is not in the message", id)
		}
		host, _ := splitHost(string(raw))
		if !strings.Contains(string(raw), host) {
			t.Errorf("host %q of %q", host, raw)
		}
		m, fault := wire.Read(raw, wire.DatagramLimits())
		if fault != nil || m.CallID == string(id) || bytes.HasPrefix(raw, []byte("\r\n")) || bytes.Contains(raw, []byte("\r\n ")) || bytes.Contains(raw, []byte("\r\n\t")) {
			return
		}
		t.Errorf("spread by %q, and its Call-ID is %q:\n%q", id, m.CallID, raw)
	})
}
