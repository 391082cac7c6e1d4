package edge_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/edge"
	"patchbay/sip/wire"
)

// fields are those of the INVITE that is spoiled: name, compact form, value.
var fields = [][3]string{
	{"Via", "v", "SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKm"},
	{"From", "f", `"A" <sip:+15550100@carrier.example>;tag=f1`},
	{"To", "t", "<sip:desk-abcdef@sip.example>"},
	{"Call-ID", "i", "m"},
	{"CSeq", "CSeq", "1 INVITE"},
	{"Max-Forwards", "Max-Forwards", "70"},
	{"Contact", "m", "<sip:+15550100@127.0.0.1:5060>"},
	{"Content-Type", "c", "application/sdp"},
	{"Content-Length", "l", "0"},
	{"Route", "Route", "<sip:127.0.0.1;lr>"},
	{"Record-Route", "Record-Route", "<sip:127.0.0.1;lr>"},
	{"Require", "Require", "100rel"},
	{"Supported", "k", "timer, 100rel"},
	{"Accept", "Accept", "application/sdp"},
	{"Expires", "Expires", "180"},
	{"Session-Expires", "x", "1800;refresher=uac"},
	{"Date", "Date", "Sat, 13 Nov 2010 23:29:00 GMT"},
	{"Subject", "s", "lunch"},
	{"Refer-To", "r", "<sip:b@carrier.example>"},
	{"P-Asserted-Identity", "P-Asserted-Identity", "<sip:+15550100@carrier.example>"},
	{"Authorization", "Authorization", `Digest username="a", realm="b", nonce="c", uri="sip:d", response="e"`},
	{"User-Agent", "User-Agent", "m/1"},
	{"X-Customer", "X-Customer", "1"},
}

// A spoiling makes lines of a field of what they were.
type spoiling struct {
	what string
	of   func(name, value string) string // without the last line's end
}

// put replaces the value.
func put(what, v string) spoiling {
	return spoiling{what, func(name, _ string) string { return name + ": " + v }}
}

// after adds to the value.
func after(what, v string) spoiling {
	return spoiling{what, func(name, value string) string { return name + ": " + value + v }}
}

// inside puts something into the middle of the value.
func inside(what, v string) spoiling {
	return spoiling{what, func(name, value string) string {
		return name + ": " + value[:len(value)/2] + v + value[len(value)/2:]
	}}
}

// spoilings are all that is done to each field.
func spoilings() []spoiling {
	all := []spoiling{
		put("empty", ""), put("blank", " \t "), {"no colon", func(name, value string) string { return name + " " + value }},
		{"space before the colon", func(name, value string) string { return name + " \t: " + value }},
		{"no name", func(_, value string) string { return ": " + value }},
		{"left out", func(string, string) string { return "X-Left-Out: 1" }},
		{"twice", func(name, value string) string { return name + ": " + value + "\r\n" + name + ": " + value }},
		after("a comma more", ","), after("commas", ",,,,"), after("the same again", ", x"), after("a semicolon", ";"), after("semicolons", ";;;=;"),
		after("an empty tag", ";tag="), after("two tags", ";tag=a;tag=b"), after("an open quote", ` "`), after("an open bracket", "<"), after("a closed bracket", ">"),
		after("headers in a URI", "?Replaces=a%3Bto-tag%3Db"), after("a backslash", `\`),
		put("only brackets", "<>"), put("only quotes", `""`), put("open bracket", "<sip:a@b"), put("no host", "<sip:a@>"), put("three ats", "sip:a@b@c@d"),
		put("bad port", "<sip:a@b:99999>"), put("negative port", "<sip:a@b:-1>"), put("long host", "<sip:a@"+strings.Repeat("b.", 200)+"c>"),
		put("bad IPv6", "<sip:a@[::1:::]>"), put("open IPv6", "<sip:a@[::1>"), put("zone", "<sip:a@[fe80::1%25eth0]>"), put("tel", "tel:+15550100"),
		put("scheme only", "sip:"), put("other scheme", "javascript:alert(1)"), put("format", "%s%n%x%p%d"), put("bad escape", "sip:%zz@b"), put("escaped NUL", "sip:%00@b"),
		put("star", "*"), put("path", strings.Repeat("../", 4)+"etc/passwd"), put("template", "${jndi:ldap://a}"), put("markup", "<script>1</script>"),
	}
	for _, n := range []string{"-1", "+1", "0", "00", "007", "0x10", "1e9", "1.5", "2147483647", "2147483648", "4294967295", "4294967296",
		"9223372036854775807", "9223372036854775808", "18446744073709551616", "36893488147419103232", "१२"} {
		all = append(all, put("number "+n, n), put("number and method "+n, n+" INVITE"))
	}
	for what, octets := range map[string]string{
		"NUL": "\x00", "bell": "\a", "delete": "\x7f", "high": "\x80\xff", "overlong": "\xc0\x80", "half a rune": "\xe2\x82", "surrogate": "\xed\xa0\x80",
		"right to left": "\u202e", "byte order mark": "\ufeff", "no-break space": "\u00a0", "line separator": "\u2028",
		"bare LF": "\nX-Injected: 1", "bare CR": "\rX-Injected: 1", "CR CR LF": "\r\r\nX-Injected: 1", "LF CR": "\n\rX-Injected: 1",
		"folded": "\r\n ", "folded twice": "\r\n \r\n\t", "header end": "\r\n\r\n", "LF LF": "\n\n", "escaped CRLF": "%0d%0aX-Injected: 1", "vertical tab": "\v",
	} {
		all = append(all, inside(what+" inside", octets), after(what+" at the end", octets), put("only "+what, octets))
	}
	for _, n := range []int{100, 1_000, 10_000, 100_000} {
		all = append(all,
			put(fmt.Sprintf("%d letters", n), strings.Repeat("a", n)),
			put(fmt.Sprintf("%d digits", n), strings.Repeat("9", n)),
			after(fmt.Sprintf("%d parameters", n), strings.Repeat(";a", n)),
			after(fmt.Sprintf("%d brackets", n), strings.Repeat("<", n)),
			spoiling{fmt.Sprintf("%d values", n), func(name, value string) string { return name + ": " + strings.Repeat(value+", ", n/10) + value }})
		if n <= 10_000 {
			all = append(all, spoiling{fmt.Sprintf("%d lines", n/10), func(name, value string) string {
				return strings.Repeat(name+": "+value+"\r\n", n/10) + name + ": " + value
			}})
		}
	}
	return all
}

// invite writes the INVITE with some fields spoiled, by their index.
func invite(n int, spoiled map[int]spoiling, compact bool) string {
	var b strings.Builder
	b.WriteString("INVITE sip:desk-abcdef@sip.example SIP/2.0\r\n")
	for i, f := range fields {
		name, value := f[0], f[2]
		if compact {
			name = f[1]
		}
		if f[0] == "Via" || f[0] == "Call-ID" {
			value += fmt.Sprint(n)
		}
		if s, ok := spoiled[i]; ok {
			b.WriteString(s.of(name, value) + "\r\n")
		} else if f[0] != "Require" && f[0] != "Authorization" {
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	return b.String() + "\r\n"
}

// malformed makes each field of the INVITE each kind of bad, and start lines,
// then pairs of them, by a fixed seed.
func malformed() []string {
	ways := spoilings()
	var all []string
	for i := range fields {
		for k, s := range ways {
			all = append(all, invite(len(all), map[int]spoiling{i: s}, k%2 == 1))
		}
	}
	whole := invite(0, nil, false)
	_, rest, _ := strings.Cut(whole, "\r\n")
	for _, s := range ways {
		all = append(all,
			strings.TrimPrefix(s.of("INVITE", "sip:a@sip.example"), ":")+" SIP/2.0\r\n"+rest,
			"INVITE "+strings.TrimPrefix(s.of("x", "sip:a@sip.example"), "x: ")+" SIP/2.0\r\n"+rest,
			"INVITE sip:a@sip.example "+strings.TrimPrefix(s.of("x", "SIP/2.0"), "x: ")+"\r\n"+rest)
	}
	dice := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		i, k := dice.IntN(len(fields)), dice.IntN(len(fields))
		all = append(all, invite(len(all), map[int]spoiling{i: ways[dice.IntN(len(ways))], k: ways[dice.IntN(len(ways))]}, dice.IntN(2) == 0))
	}
	return all
}

// checkPassed fails unless what the guard let through is well-formed: it is in
// its normal form, and holds none of what it was spoiled with.
func checkPassed(t *testing.T, raw []byte) {
	m, f := wire.Read(raw, wire.RelayLimits())
	if f != nil {
		t.Errorf("the router got what no node reads: %v\n%.300q", f, raw)
		return
	}
	if string(m.Raw) != string(raw) {
		t.Errorf("the router got another form than the normal one:\n%.300q\n%.300q", raw, m.Raw)
	}
	text, _, _ := strings.Cut(string(raw), "\r\n\r\n") // a body may hold anything: two spoils can end the header early and leave a line end behind it
	if bare := strings.ReplaceAll(text, "\r\n", ""); strings.ContainsAny(bare, "\r\n\x00") || strings.Contains(text, "\r\nX-Injected") {
		t.Errorf("the router got an octet that breaks lines, or an injected field:\n%.300q", raw)
	}
	start, _, _ := strings.Cut(text, "\r\n")
	// Display names come in all encodings, and a call is not lost for one. What
	// routes is ASCII (RFC 3261 25.1).
	for _, routes := range []string{start, m.CallID, m.Branch, m.FromTag, m.ToTag, m.CSeqMethod, m.Method} {
		if strings.ContainsFunc(routes, func(r rune) bool { return r <= ' ' && routes != start || r > '~' }) {
			t.Errorf("the router got %q to go by", routes)
		}
	}
}

// TestNothingMalformedPassesTheGuard sends more than 5,000 spoiled INVITEs to a
// live edge, over UDP where they fit, else over TCP.
func TestNothingMalformedPassesTheGuard(t *testing.T) {
	t.Parallel()
	var passed atomic.Int64
	r := rejecting(404)
	r.invite = func(_ endpoint.Invite, _ bool, p call.Packet, done func(edge.Outcome)) {
		passed.Add(1)
		checkPassed(t, p.Raw)
		done(edge.Outcome{Status: 404})
	}
	cfg := settings()
	cfg.MaxConns, cfg.MaxConnsPerIP = 1000, 1000
	rig := start(t, cfg, r)
	all := malformed()
	if len(all) < 5000 {
		t.Fatalf("%d messages, want 5,000 at least", len(all))
	}
	p, answered := rig.udp(), 0
	for i, m := range all {
		if len(m) > 60_000 {
			c := rig.tcp()
			_, _ = c.conn.Write([]byte(m)) // the edge may close before it has read it all
			_ = c.conn.Close()
			continue
		}
		p.send(m)
		if i%32 == 0 { // in step with the edge
			answered += p.drain(t, fmt.Sprintf("step-%d", i))
		}
	}
	answered += p.drain(t, "end")
	t.Logf("%d messages, %d answers over UDP, %d were well-formed enough to be decided on", len(all), answered, passed.Load())
	if passed.Load() < 500 || answered < 3000 {
		t.Error("too few were read or answered for the test to mean something")
	}
	for _, where := range []string{"udp", "stream", "keep-alive", "dispatch", "answer", "outcome", "in-dialog"} {
		if n := rig.seen.of("panic " + where); n != 0 {
			t.Errorf("%d panics in %s", n, where)
		}
	}
	if got := status(rig.tcp().ask(msg{method: "OPTIONS"}.String())); got != "200" {
		t.Errorf("afterwards OPTIONS get %q", got)
	}
}

// drain asks for OPTIONS and returns how many other answers came before theirs.
// Answers that a slow worker gives all at once may find no room in the peer's
// socket: OPTIONS are asked again, as over any network.
func (p *peer) drain(t *testing.T, callID string) (n int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		p.send(msg{method: "OPTIONS", callID: callID, branch: "z9hG4bK" + callID}.String())
		for res := p.read(2 * time.Second); res != ""; res = p.read(2 * time.Second) {
			switch id := header(res, "Call-ID"); {
			case id == callID:
				return n
			case !strings.HasPrefix(id, "step-"): // a copy's
				n++
			}
		}
	}
	t.Fatalf("no answer to OPTIONS %s", callID)
	return n
}
