package wire_test

import (
	"strings"
	"testing"

	"patchbay/sip/wire"
)

// carrier is an INVITE as a carrier's SBC sends it, about 1 kB.
const carrier = "INVITE sip:desk-7k2mq9x4c8v3b6n1z5w0r2ty@sip.example.com:5060;transport=udp SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bK0cBf2a9d8e7c6b5a4;rport\r\n" +
	"Via: SIP/2.0/UDP 10.20.30.40:5080;received=10.20.30.40;branch=z9hG4bK-524287-1---9f8e7d6c\r\n" +
	"Record-Route: <sip:203.0.113.7;lr;ftag=gK0c9a1b2c>\r\n" +
	"From: \"Alice Example\" <sip:+15551230100@carrier.example.net;user=phone>;tag=gK0c9a1b2c\r\n" +
	"To: <sip:desk-7k2mq9x4c8v3b6n1z5w0r2ty@sip.example.com>\r\n" +
	"Call-ID: 1867321-3923847-29834@carrier.example.net\r\n" +
	"CSeq: 3482 INVITE\r\n" +
	"Max-Forwards: 67\r\n" +
	"Contact: <sip:+15551230100@203.0.113.7:5060>\r\n" +
	"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO\r\n" +
	"Supported: timer, 100rel, replaces\r\n" +
	"P-Asserted-Identity: <sip:+15551230100@carrier.example.net>\r\n" +
	"X-Trunk: gold\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length: 224\r\n\r\n" + sdp

const sdp = "v=0\r\no=- 3920 1 IN IP4 203.0.113.7\r\ns=call\r\nc=IN IP4 203.0.113.9\r\nt=0 0\r\n" +
	"m=audio 41922 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n" +
	"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"

// request returns a small valid INVITE without a body, with lines changed: one
// that begins like a mandatory field replaces it, any other is added.
func request(lines ...string) string {
	base := []string{
		"INVITE sip:desk@example.com SIP/2.0",
		"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1",
		"From: <sip:a@example.net>;tag=f1",
		"To: <sip:desk@example.com>",
		"Call-ID: c-1",
		"CSeq: 1 INVITE",
		"Max-Forwards: 70",
		"Content-Length: 0",
	}
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		replaced := false
		for i, b := range base {
			if strings.HasPrefix(b, name+":") || i == 0 && strings.HasSuffix(strings.TrimRight(line, " "), "SIP/2.0") {
				base[i], replaced = line, true
				break
			}
		}
		if !replaced {
			base = append(base, line)
		}
	}
	return strings.Join(base, "\r\n") + "\r\n\r\n"
}

func read(t testing.TB, raw string) *wire.Message {
	t.Helper()
	m, f := wire.Read([]byte(raw), wire.DatagramLimits())
	if f != nil {
		t.Fatalf("%v", f)
	}
	return m
}

// fault reads raw, which must not be let through.
func fault(t testing.TB, raw string) *wire.Fault {
	t.Helper()
	m, f := wire.Read([]byte(raw), wire.DatagramLimits())
	if f == nil {
		t.Fatalf("was read as %v", m)
	}
	return f
}
