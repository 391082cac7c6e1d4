package dialog_test

import (
	"strings"
	"testing"

	"patchbay/actors/call"
)

// of replaces the body and its type.
func of(contentType, text string) func(string) string {
	return func(s string) string {
		return strings.Replace(body(text)(s), "Content-Type: application/sdp", "Content-Type: "+contentType, 1)
	}
}

// A body of a type that nobody here knows, which its sender leaves to us, is as
// none (RFC 3261 8.2.3): an INVITE with it has no offer, and we make one.
func TestABodyThatMayBeLeftUnreadIsNoOffer(t *testing.T) {
	t.Parallel()
	for _, isup := range []func(string) string{
		of("application/isup\r\nContent-Disposition: signal;handling=optional", "\x01\x02\x03"),
		of("multipart/mixed;boundary=x", "--x\r\nContent-Type: application/isup\r\nContent-Disposition: signal;handling=optional\r\n\r\n\x01\r\n--x--\r\n"),
	} {
		d, inv, err := newFactory(t, "").New(epoch, 1, inviteWith(t, isup))
		if err != nil || inv.Offer != nil {
			t.Fatalf("%v, offer %v", err, inv.Offer)
		}
		answer := d.Respond(epoch, call.Response{Status: 180})
		if len(answer) == 0 || !strings.HasPrefix(string(answer[0].Send.Raw), "SIP/2.0 180 ") {
			t.Errorf("it does not ring: %+v", answer)
		}
	}
}

func TestAChangeWithABodyOfAnotherTypeIsRefusedAndTheCallGoesOn(t *testing.T) {
	t.Parallel()
	asIs := func(s string) string { return s }
	p := inviteWith(t, asIs)
	d, _, err := newFactory(t, "").New(epoch, 1, p)
	if err != nil {
		t.Fatal(err)
	}
	answered := string(d.Respond(epoch, call.Response{Status: 200})[0].Send.Raw)
	within := func(method, cseq string, edit func(string) string) call.Packet {
		raw := strings.NewReplacer("INVITE sip", method+" sip", "1 INVITE", cseq+" "+method).Replace(string(p.Raw))
		raw = strings.Replace(raw, "\r\nTo: "+field(raw, "To"), "\r\nTo: "+field(answered, "To"), 1)
		return call.Packet{Flow: p.Flow, Raw: []byte(edit(raw))}
	}
	d.Receive(epoch, within("ACK", "1", body("")))
	optional := of("text/plain\r\nContent-Disposition: render; handling=optional", "hello\r\n")
	for _, tc := range []struct {
		method, cseq string
		edit         func(string) string
		status       string
	}{
		{"UPDATE", "2", of("text/plain", "hello\r\n"), "415"},
		{"UPDATE", "3", optional, "200"},
		{"UPDATE", "4", of("multipart/mixed;boundary=x", "--x\r\nContent-Type: application/isup\r\n\r\n\x01\r\n--x--\r\n"), "415"},
		{"OPTIONS", "5", of("text/plain", "hello\r\n"), "200"},
	} {
		out := d.Receive(epoch, within(tc.method, tc.cseq, tc.edit))
		if len(out) == 0 || out[0].Send == nil {
			t.Errorf("%s %s: no answer", tc.method, tc.cseq)
			continue
		}
		raw := string(out[0].Send.Raw)
		if !strings.HasPrefix(raw, "SIP/2.0 "+tc.status+" ") || tc.status == "415" && field(raw, "Accept") != "application/sdp" {
			t.Errorf("%s %s: want %s, got\n%s", tc.method, tc.cseq, tc.status, raw)
		}
	}
}
