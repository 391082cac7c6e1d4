package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

func TestACarriersInviteIsIndexed(t *testing.T) {
	t.Parallel()
	m := read(t, carrier)
	if got, want := m.TransactionKey(), (call.TransactionKey{CallID: "1867321-3923847-29834@carrier.example.net", FromTag: "gK0c9a1b2c", CSeq: 3482}); got != want {
		t.Errorf("key %+v", got)
	}
	if m.Method != "INVITE" || !m.IsRequest() || m.Branch != "z9hG4bK0cBf2a9d8e7c6b5a4" || m.ToTag != "" {
		t.Errorf("%s %q %q", m.Method, m.Branch, m.ToTag)
	}
	if got, want := m.From(), (call.Party{URI: "sip:+15551230100@carrier.example.net;user=phone", User: "+15551230100", Host: "carrier.example.net", Display: "Alice Example"}); got != want {
		t.Errorf("From %+v", got)
	}
	if c, err := m.Contact(); err != nil || c.Reveal() != "sip:+15551230100@203.0.113.7:5060" {
		t.Errorf("Contact %v, %v", c, err)
	}
	if got := m.RecordRoute(); len(got) != 1 || got[0] != "<sip:203.0.113.7;lr;ftag=gK0c9a1b2c>" {
		t.Errorf("Record-Route %q", got)
	}
	if m.ContentType() != "application/sdp" || string(m.Body()) != sdp || string(m.SDP()) != sdp {
		t.Errorf("body %q %q", m.ContentType(), m.Body())
	}
	if string(m.Raw) != carrier {
		t.Errorf("a message in normal form was changed:\n%s", m.Raw)
	}
}

func TestReadKeepsNothingOfItsInput(t *testing.T) {
	t.Parallel()
	raw := []byte(carrier)
	m, f := wire.Read(raw, wire.DatagramLimits())
	if f != nil {
		t.Fatal(f)
	}
	clear(raw)
	if string(m.Raw) != carrier || m.Header("X-Trunk") != "gold" {
		t.Error("the message changed with its input")
	}
}

func TestPartiesAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]call.Party{
		`caller<sip:caller@example.com>;tag=1`:        {URI: "sip:caller@example.com", User: "caller", Host: "example.com", Display: "caller"},
		`"A \"B\" \\" <sip:a%20b@Example.COM>;tag=1`:  {URI: "sip:a%20b@Example.COM", User: "a b", Host: "example.com", Display: `A "B" \`},
		`sip:+1555@example.net;user=phone;tag=1`:      {URI: "sip:+1555@example.net", User: "+1555", Host: "example.net"},
		`<tel:+1-555-0100;phone-context=x>;tag=1`:     {URI: "tel:+1-555-0100;phone-context=x", User: "+1-555-0100"},
		`<sips:[2001:DB8::1]:5061>;tag=1`:             {URI: "sips:[2001:DB8::1]:5061", Host: "2001:db8::1"},
		`Jürgen (Büro) <sip:j@example.net>;tag=1`:     {URI: "sip:j@example.net", User: "j", Host: "example.net", Display: "Jürgen (Büro)"},
		`"<sip:fake@x>" <sip:real@example.net>;tag=1`: {URI: "sip:real@example.net", User: "real", Host: "example.net", Display: "<sip:fake@x>"},
		`<http://www.example.com>;tag=1`:              {URI: "http://www.example.com"},
		`<sip:a;tag=no@example.net;tag=no2>;tag=1`:    {URI: "sip:a;tag=no@example.net;tag=no2", User: "a;tag=no", Host: "example.net"},
	} {
		m := read(t, request("From: "+value))
		if got := m.From(); got != want || m.FromTag != "1" {
			t.Errorf("%s: got %+v, tag %q", value, got, m.FromTag)
		}
	}
}

func TestSDPIsFoundBesideISUP(t *testing.T) {
	t.Parallel()
	body := "--b1\r\nContent-Type: application/isup;version=x\r\n\r\n\x01\x00\r\n--b1\r\nContent-Type: Application/SDP\r\n\r\nv=0\r\n\r\n--b1--\r\n"
	message := func(typ string) string {
		return strings.TrimSuffix(request(fmt.Sprintf("Content-Length: %d", len(body)), "Content-Type: "+typ), "") + body
	}
	if got := read(t, message(`multipart/mixed; boundary="b1"`)).SDP(); string(got) != "v=0\r\n" {
		t.Errorf("got %q", got)
	}
	for _, typ := range []string{"multipart/mixed", `multipart/mixed;boundary="b2"`} {
		if got := read(t, message(typ)).SDP(); got != nil {
			t.Errorf("%s: got %q", typ, got)
		}
	}
}

func TestOctetsAfterADatagramsBodyAreCut(t *testing.T) {
	t.Parallel()
	m := read(t, request()+"INVITE sip:second@example.com SIP/2.0\r\n")
	if len(m.Body()) != 0 || bytes.Contains(m.Raw, []byte("second")) {
		t.Errorf("body %q", m.Body())
	}
	if _, f := wire.Read([]byte(request()+"x"), wire.StreamLimits()); f == nil || f.Word != "trailing_octets" {
		t.Errorf("on a stream: %v", f)
	}
}

func TestAResponseIsRead(t *testing.T) {
	t.Parallel()
	m := read(t, "SIP/2.0 200 \r\nv: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx-1\r\nf: <sip:a@x>;tag=1\r\nt: <sip:b@x>;tag=2\r\ni: c-1\r\nCSeq: 2 BYE\r\n\r\n")
	if m.IsRequest() || m.Status != 200 || m.CSeqMethod != "BYE" || m.Branch != "z9hG4bKx-1" || m.ToTag != "2" {
		t.Errorf("%+v %d", m, m.Status)
	}
}

func TestAMessageDoesNotPrintItsUsers(t *testing.T) {
	t.Parallel()
	m := read(t, carrier)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("message", "sip", m, "uri", m.RequestURI)
	f := fault(t, strings.Replace(carrier, "Max-Forwards: 67", "Max-Forwards: 0", 1))
	slog.New(slog.NewTextHandler(&log, nil)).Info("fault", "err", f, "fault", slog.AnyValue(f))
	_, _ = fmt.Fprintf(&log, "%v %+v %#v %s %v %#v", m, m, m, m.RequestURI, f, f)
	_, _ = fmt.Fprint(&log, errors.Join(f))
	for _, secret := range []string{"7k2mq9x4c8v3b6n1z5w0r2ty", "desk-"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the slug was printed:\n%s", &log)
		}
	}
}

func TestURIs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"sip:sips%3Auser%40example.com@example.net": "sips:user@example.com|example.net|0",
		"sip:a%2541@example.net":                    "a%41|example.net|0", // unescaped once
		"sip:user;par=u%40example.net@example.com":  "user;par=u@example.net|example.com|0",
		"SIPS:[2001:db8::10:5070]":                  "|2001:db8::10:5070|0",
		"sip:[2001:db8::10]:5070":                   "|2001:db8::10|5070",
		"sip:[2001:db8:::192.0.2.1]:5070":           "|2001:db8::192.0.2.1|5070", // RFC 5118 4.10
		"sip:a@[:::192.0.2.1]":                      "a|::192.0.2.1|0",
		"sip:alice:secret@Host.Example:5062;lr":     "alice|host.example|5062",
		"sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com": "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*|example.com|0",
	} {
		u, err := wire.ParseURI(text)
		if got := fmt.Sprintf("%s|%s|%d", u.User, u.Host, u.Port); err != nil || got != want || u.Reveal() != text {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
	for text, want := range map[string]error{
		"": wire.ErrURI, "sip": wire.ErrURI, "sip:": wire.ErrURI, "sip:@h": wire.ErrURI, "sip:a@": wire.ErrURI,
		"sip:a@b@c": wire.ErrURI, "sip:a@h:0": wire.ErrURI, "sip:a@h:65536": wire.ErrURI, "sip:a@h:+5": wire.ErrURI,
		"sip:a@h:5x": wire.ErrURI, "sip:a:b:c@h": wire.ErrURI, "sip:a[b@h": wire.ErrURI, "sip:[::1]x": wire.ErrURI,
		"sip:[1.2.3.4]": wire.ErrURI, "sip:[2001:db8:::1]": wire.ErrURI, "sip:[1:::192.0.2.1:::192.0.2.2]": wire.ErrURI, "sip:[fe80::1%25eth0]": wire.ErrURI, "sip:2001:db8::10": wire.ErrURI,
		"sip:a%4@h": wire.ErrURI, "sip:a%zz@h": wire.ErrURI, "sip:a b@h": wire.ErrURI, "sip:a@h\r\nX: 1": wire.ErrURI,
		"tel:+1555": wire.ErrScheme, "soap.beep://h": wire.ErrScheme, "1sip:h": wire.ErrURI, "<sip:a@h>": wire.ErrURI,
	} {
		if _, err := wire.ParseURI(text); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", text, err, want)
		}
	}
}

func TestAURIsParametersAndParts(t *testing.T) {
	t.Parallel()
	u, err := wire.ParseURI("sip:bob@[2001:db8::1]:5070;Transport=TCP;lr")
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := u.Param("transport"); !ok || v != "TCP" {
		t.Errorf("transport %q %v", v, ok)
	}
	if _, ok := u.Param("lr"); !ok {
		t.Error("lr is not there")
	}
	if _, ok := u.Param("maddr"); ok {
		t.Error("maddr is there")
	}
	if a, ok := u.Addr(); !ok || a.String() != "2001:db8::1" || u.HostPort() != "[2001:db8::1]:5070" {
		t.Errorf("%v %v %s", a, ok, u.HostPort())
	}
	for text, want := range map[string]bool{"sip:a@h?x=1": true, "sip:h?x=1": true, "sip:a?b@h": false, "sip:a?b@h?c=d": true, "sip:a@h;p?x=1": true} {
		if u, err := wire.ParseURI(text); err != nil || u.Headers != want {
			t.Errorf("%s: headers %v, %v", text, u.Headers, err)
		}
	}
}
