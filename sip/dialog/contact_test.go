package dialog_test

import (
	"net/netip"
	"strings"
	"testing"

	"patchbay/actors"
	"patchbay/actors/call"
)

// A visit is a call that is answered, acknowledged and ended by us: what the
// carrier sees of our address, and how our BYE goes out.
type visit struct {
	contact string
	bye     call.Transmission
}

// inCall is a call that has been answered, with the Contact that the answer had.
func inCall(t *testing.T, edge, advertise string, by call.Flow, edit func(string) string) (d actors.Dialog, contact string) {
	t.Helper()
	p, over := inviteWith(t, edit), by.Transport
	p.Flow.Advertise = edge
	p.Flow.Transport, p.Flow.Local = over, by.Local
	if over.Reliable() {
		p.Flow.Conn = 7
	}
	d, _, err := newFactory(t, advertise).New(epoch, 1, p)
	if err != nil {
		t.Fatal(err)
	}
	answer := string(d.Respond(epoch, call.Response{Status: 200})[0].Send.Raw)
	ack := strings.NewReplacer("INVITE sip", "ACK sip", "1 INVITE", "1 ACK").Replace(string(p.Raw))
	ack = strings.Replace(ack, "\r\nTo: "+field(ack, "To"), "\r\nTo: "+field(answer, "To"), 1)
	d.Receive(epoch, call.Packet{Flow: p.Flow, Raw: []byte(ack)})
	return d, field(answer, "Contact")
}

func visited(t *testing.T, advertise string, over call.Transport, edit func(string) string) visit {
	t.Helper()
	return visitedBy(t, "", advertise, call.Flow{Transport: over, Local: netip.MustParseAddrPort("198.51.100.1:7443")}, edit)
}

// visitedBy is visited by a flow of its own, and an edge that advertises
// something.
func visitedBy(t *testing.T, edge, advertise string, by call.Flow, edit func(string) string) visit {
	t.Helper()
	d, contact := inCall(t, edge, advertise, by, edit)
	out := d.Bye(epoch, call.CauseNormal)
	if len(out) == 0 || out[0].Send == nil {
		t.Fatalf("no BYE: %+v", out)
	}
	return visit{contact: contact, bye: *out[0].Send}
}

func field(message, name string) string {
	_, rest, _ := strings.Cut(message, "\r\n"+name+": ")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

func TestOurContactLeadsBackOverTheTransportOfTheInvite(t *testing.T) {
	t.Parallel()
	asIs := func(s string) string { return s }
	for name, tc := range map[string]struct {
		advertise string
		over      call.Transport
		edit      func(string) string
		want      string // after the tag
		scheme    string
	}{
		"UDP":                     {"", call.UDP, asIs, "198.51.100.1:7443;transport=udp>", "<sip:"},
		"TLS":                     {"", call.TLS, asIs, "198.51.100.1:7443;transport=tls>", "<sip:"},
		"advertised":              {"sip.example.com", call.TCP, asIs, "sip.example.com;transport=tcp>", "<sip:"},
		"another port than UDP's": {"sip.example.com:5070", call.TLS, asIs, "sip.example.com:7443;transport=tls>", "<sip:"},
		"ws in a URI is WSS too":  {"sip.example.com", call.WSS, asIs, "sip.example.com:7443;transport=ws>", "<sip:"},
		"a SIPS Request-URI":      {"", call.TLS, replace("INVITE sip:", "INVITE sips:"), "198.51.100.1:7443>", "<sips:"},
		"a SIPS Contact":          {"", call.WSS, replace("<sip:trunk", "<sips:trunk"), "198.51.100.1:7443;transport=ws>", "<sips:"},
		"a SIPS proxy":            {"", call.TLS, replace("Contact", "Record-Route: <sips:p.example;lr>\r\nContact"), "198.51.100.1:7443>", "<sips:"},
		"a SIPS Contact behind a hop": {"", call.TLS, func(s string) string {
			return replace("<sip:trunk", "<sips:trunk")(replace("Contact", "Record-Route: <sip:p.example;lr>\r\nContact")(s))
		}, "198.51.100.1:7443;transport=tls>", "<sip:"},
	} {
		got := visited(t, tc.advertise, tc.over, tc.edit).contact
		if !strings.HasPrefix(got, tc.scheme) || !strings.HasSuffix(got, "@"+tc.want) {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// TestOurContactInARequestIsAsSecureAsItsWay has a REFER go to a SIPS URI, or to
// any by a SIPS proxy (RFC 3261 8.1.1.8).
func TestOurContactInARequestIsAsSecureAsItsWay(t *testing.T) {
	t.Parallel()
	by := call.Flow{Transport: call.TLS, Local: netip.MustParseAddrPort("198.51.100.1:7443")}
	for name, tc := range map[string]struct {
		edit func(string) string
		want string
	}{
		"neither":         {func(s string) string { return s }, "<sip:"},
		"a SIPS Contact":  {replace("<sip:trunk", "<sips:trunk"), "<sips:"},
		"a SIPS proxy":    {replace("Contact", "Record-Route: <sips:p.example;lr>\r\nContact"), "<sips:"},
		"a strict router": {replace("Contact", "Record-Route: <sips:p.example>\r\nContact"), "<sips:"},
	} {
		d, _ := inCall(t, "", "", by, tc.edit)
		out := d.(actors.Referrer).Refer(epoch, call.Transfer{To: "sip:sales@pbx.example"})
		if got := field(string(out[0].Send.Raw), "Contact"); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestAnEdgesOwnAddressGoesFirst(t *testing.T) {
	t.Parallel()
	by := call.Flow{Transport: call.UDP, Local: netip.MustParseAddrPort("198.51.100.1:7443")}
	got := visitedBy(t, "203.0.113.10:5070", "sip.example.com", by, func(s string) string { return s })
	if !strings.HasSuffix(got.contact, "@203.0.113.10:5070;transport=udp>") {
		t.Errorf("Contact: %s", got.contact)
	}
	if via := field(string(got.bye.Raw), "Via"); !strings.HasPrefix(via, "SIP/2.0/UDP 203.0.113.10:5070;") {
		t.Errorf("Via: %s", via)
	}
}

// A carrier of IPv6 hears an address of IPv6 in Contact and Via, whatever is
// advertised to those of IPv4, and the other way round.
func TestACarrierHearsAnAddressOfItsFamily(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		advertise, local string
		over             call.Transport
		want             string
	}{
		"nothing advertised":          {"", "[2001:db8::7]:5060", call.UDP, "[2001:db8::7]:5060"},
		"its family":                  {"[2001:db8::1]:5070", "[2001:db8::7]:5060", call.UDP, "[2001:db8::1]:5070"},
		"its family, another port":    {"[2001:db8::1]:5070", "[2001:db8::7]:7443", call.WS, "[2001:db8::1]:7443"},
		"its family, no port":         {"[2001:db8::1]", "[2001:db8::7]:5061", call.TLS, "[2001:db8::1]:5061"},
		"the other family":            {"203.0.113.10:5070", "[2001:db8::7]:5060", call.TCP, "[2001:db8::7]:5060"},
		"the other family, IPv4 here": {"[2001:db8::1]", "198.51.100.1:5061", call.TLS, "198.51.100.1:5061"},
		"a name is of both":           {"sip.example.com", "[2001:db8::7]:5060", call.UDP, "sip.example.com"},
	} {
		by := call.Flow{Transport: tc.over, Local: netip.MustParseAddrPort(tc.local)}
		got := visitedBy(t, "", tc.advertise, by, func(s string) string { return s })
		if want := "@" + tc.want + ";transport=" + string(tc.over) + ">"; !strings.HasSuffix(got.contact, want) {
			t.Errorf("%s: Contact %s, want %s", name, got.contact, want)
		}
		if tc.over.Reliable() {
			continue // its BYE goes out on the connection, with the same Via
		}
		if via := field(string(got.bye.Raw), "Via"); !strings.Contains(via, " "+tc.want+";") {
			t.Errorf("%s: Via %s, want %s", name, via, tc.want)
		}
	}
}

func TestOurByeTakesTheConnectionThatThePeerHas(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		over    call.Transport
		contact string
		want    call.Transport
		conn    uint64
		via     string
	}{
		"a browser over TLS":        {call.WSS, "<sip:x@8u2d.invalid;transport=ws>", call.WSS, 7, "SIP/2.0/WSS "},
		"a browser with sips":       {call.WSS, "<sips:x@8u2d.invalid;transport=ws>", call.WSS, 7, "SIP/2.0/WSS "},
		"a browser without TLS":     {call.WS, "<sip:x@8u2d.invalid;transport=ws>", call.WS, 7, "SIP/2.0/WS "},
		"TLS, said so":              {call.TLS, "<sip:x@192.0.2.10:5061;transport=tls>", call.TLS, 7, "SIP/2.0/TLS "},
		"TLS by SIPS":               {call.TLS, "<sips:x@192.0.2.10>", call.TLS, 7, "SIP/2.0/TLS "},
		"TLS, not said":             {call.TLS, "<sip:x@192.0.2.10>", call.TLS, 7, "SIP/2.0/TLS "},
		"another transport":         {call.TLS, "<sip:x@192.0.2.10;transport=udp>", call.UDP, 0, "SIP/2.0/UDP "},
		"TLS after UDP":             {call.UDP, "<sip:x@pbx.example;transport=tls>", call.TLS, 0, "SIP/2.0/TLS "},
		"SIPS after a plain INVITE": {call.TCP, "<sips:x@pbx.example>", call.TLS, 0, "SIP/2.0/TLS "},
	} {
		bye := visited(t, "", tc.over, replace("<sip:trunk@192.0.2.10:5060>", tc.contact)).bye
		if bye.Flow.Transport != tc.want || bye.Flow.Conn != tc.conn || !strings.HasPrefix(field(string(bye.Raw), "Via"), tc.via) {
			t.Errorf("%s: got %s, connection %d, Via %s", name, bye.Flow.Transport, bye.Flow.Conn, field(string(bye.Raw), "Via"))
		}
	}
}
