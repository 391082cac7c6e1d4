package dialog

import (
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// FuzzChallenge answers whatever a carrier asks: the answer is one header field,
// and says the realm, the nonce and what else is to be handed back as they came.
func FuzzChallenge(f *testing.F) {
	for _, value := range []string{
		`Digest realm="trunk", nonce="n1", qop="auth", algorithm=MD5`,
		`digest REALM="a \"b\" c",nonce = "x,y" , opaque="\\", stale=TRUE, qop="auth-int,auth", algorithm=SHA-256-sess`,
		`Digest realm=trunk,nonce=n,algorithm=SHA-512-256`, `Digest nonce="`, `Basic realm="x"`, `Digest realm="é", nonce="%", userhash=true`,
		"Digest realm=\"\x88\u200b\", nonce=0", // what is not printable comes back as it is
	} {
		f.Add(value, "alice", "secret")
	}
	f.Fuzz(func(t *testing.T, value, user, password string) {
		raw := "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\nWWW-Authenticate: " +
			value + "\r\nContent-Length: 0\r\n\r\n"
		m, fault := wire.Read([]byte(raw), wire.DatagramLimits())
		if fault != nil {
			return
		}
		l := &login{credentials: call.Credentials{Username: user, Password: password}, cnonce: "c"}
		if !l.take(m, false) {
			return
		}
		asked := l.realms[0].challenge
		for _, h := range l.headers("INVITE", "sip:c@d") {
			request := wire.Request{Method: "INVITE", URI: "sip:c@d", Vias: []string{"SIP/2.0/UDP h;branch=z9hG4bK2"}, From: "<sip:a@b>;tag=1", To: "<sip:c@d>", CallID: "i", CSeq: 2, Headers: []call.Header{h}}
			read, fault := wire.Read(request.Bytes(), wire.DatagramLimits())
			if fault != nil {
				if strings.ContainsFunc(user, func(r rune) bool { return r < ' ' || r == 0x7f }) {
					return // no carrier's doing
				}
				t.Fatalf("our answer is refused: %v\n%q", fault, h.Value)
			}
			said, ok := readChallenge(read.Header("Authorization"))
			if !ok || said.Realm != asked.Realm || said.Nonce != asked.Nonce || said.Opaque != asked.Opaque {
				t.Errorf("asked %q\nanswered %q", value, h.Value)
			}
		}
	})
}
