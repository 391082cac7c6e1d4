package dialog_test

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"testing"

	"patchbay/actors/call"
)

// challengedBy lets a carrier answer the first INVITE with these header fields
// and returns what we sent next, and whether the call failed.
func challengedBy(t *testing.T, c call.Credentials, status int, fields ...string) (raw string, failed bool) {
	t.Helper()
	d, _, err := newFactory(t, "").Call(7, call.Outgoing{To: "sip:bob@192.0.2.10", Credentials: c})
	if err != nil {
		t.Fatal(err)
	}
	s := &callSim{t: t, dialog: d, callee: newCallee(), heard: map[string]bool{}}
	s.do(step{from: agent, text: "invite"})
	s.seen = func(o call.Output) {
		switch {
		case o.Event != nil:
			failed = failed || o.Event.Kind == call.CarrierFailed
		case strings.HasPrefix(string(o.Send.Raw), "INVITE "):
			raw = string(o.Send.Raw)
		}
	}
	p := s.callee.packet(t, fmt.Sprintf("%d tag=a", status))
	p.Raw = []byte(strings.Replace(string(p.Raw), "Content-Length", strings.Join(append(fields, "Content-Length"), "\r\n"), 1))
	s.carryOut(d.Receive(s.at(), p))
	return raw, failed
}

var alice = call.Credentials{Username: "alice", Password: "open sesame"}

// param returns a parameter of a Digest value.
func param(value, name string) string {
	_, rest, _ := strings.Cut(value, " "+name+"=")
	if strings.HasPrefix(rest, `"`) {
		rest, _, _ = strings.Cut(rest[1:], `"`)
		return rest
	}
	rest, _, _ = strings.Cut(rest, ",")
	return rest
}

// The response is what RFC 7616 3.4 says, computed here once more.
func TestAChallengeIsAnsweredInEachAlgorithm(t *testing.T) {
	t.Parallel()
	for algorithm, h := range map[string]func() hash.Hash{
		"": md5.New, "MD5": md5.New, "md5": md5.New, "SHA-256": sha256.New, "SHA-512-256": sha512.New512_256, "MD5-sess": md5.New, "SHA-256-sess": sha256.New,
	} {
		for _, qop := range []string{"", "auth", "auth-int, auth"} {
			if qop == "" && strings.HasSuffix(algorithm, "-sess") {
				continue // RFC 7616 has no such
			}
			t.Run(algorithm+"/"+qop, func(t *testing.T) {
				t.Parallel()
				challenge := `Digest Realm="the, trunk",nonce="abc==" , opaque="o"`
				if algorithm != "" {
					challenge += ",algorithm=" + algorithm
				}
				if qop != "" {
					challenge += `,QOP="` + qop + `"`
				}
				raw, _ := challengedBy(t, alice, 401, "WWW-Authenticate: "+challenge)
				got := header(raw, "Authorization")
				sum := func(parts ...string) string {
					s := h()
					s.Write([]byte(strings.Join(parts, ":")))
					return hex.EncodeToString(s.Sum(nil))
				}
				a1 := sum("alice", "the, trunk", "open sesame")
				if strings.HasSuffix(algorithm, "-sess") {
					a1 = sum(a1, "abc==", param(got, "cnonce"))
				}
				a2 := sum("INVITE", "sip:bob@192.0.2.10")
				want := sum(a1, "abc==", a2)
				if qop != "" {
					want = sum(a1, "abc==", "00000001", param(got, "cnonce"), "auth", a2)
				}
				if param(got, "response") != want || param(got, "opaque") != "o" || param(got, "algorithm") != algorithm || param(got, "uri") != "sip:bob@192.0.2.10" {
					t.Errorf("got %s\nwant the response %s", got, want)
				}
			})
		}
	}
}

func TestAChallengeThatCannotBeAnsweredFailsTheCall(t *testing.T) {
	t.Parallel()
	digest := `WWW-Authenticate: Digest realm="r", nonce="n"`
	for name, tc := range map[string]struct {
		c      call.Credentials
		fields []string
	}{
		"no credentials":          {call.Credentials{}, []string{digest}},
		"no challenge":            {alice, nil},
		"no Digest":               {alice, []string{`WWW-Authenticate: Basic realm="r"`}},
		"no nonce":                {alice, []string{`WWW-Authenticate: Digest realm="r"`}},
		"an unknown algorithm":    {alice, []string{digest + ", algorithm=CRC-32"}},
		"only auth-int":           {alice, []string{digest + `, qop="auth-int"`}},
		"another realm than ours": {call.Credentials{Username: "alice", Realm: "ours"}, []string{digest}},
		"too many realms": {alice, []string{digest, strings.Replace(digest, `"r"`, `"s"`, 1), strings.Replace(digest, `"r"`, `"t"`, 1),
			strings.Replace(digest, `"r"`, `"u"`, 1), strings.Replace(digest, `"r"`, `"v"`, 1)}},
	} {
		if raw, failed := challengedBy(t, tc.c, 401, tc.fields...); raw != "" || !failed {
			t.Errorf("%s: failed %t, sent\n%s", name, failed, raw)
		}
	}
}

func TestTheFirstChallengeOfARealmThatWeKnowIsAnswered(t *testing.T) {
	t.Parallel()
	raw, _ := challengedBy(t, alice, 407,
		`Proxy-Authenticate: Digest realm="r", nonce="n1", algorithm=CRC-32`,
		`Proxy-Authenticate: Digest realm="r", nonce="n2", algorithm=SHA-256`,
		`Proxy-Authenticate: Digest realm="r", nonce="n3", algorithm=MD5`,
		`WWW-Authenticate: Digest realm="r", nonce="n4"`)
	if got := header(raw, "Proxy-Authorization"); param(got, "nonce") != "n2" {
		t.Errorf("the proxy got %s", got)
	}
	if got := header(raw, "Authorization"); param(got, "nonce") != "n4" {
		t.Errorf("the callee got %s", got)
	}
}
