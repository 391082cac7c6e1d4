package dialog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/internal/golden"
	"patchbay/sip/dialog"
	"patchbay/sip/token"
	"patchbay/sip/txn"
)

const slug = "demo-abcdefghjkmnpqrstuvwxyz2"

// inviteWith returns a carrier's INVITE after edit has changed its text.
func inviteWith(t testing.TB, edit func(string) string) call.Packet {
	t.Helper()
	p := newPeer(sceneOf(nil)).packet(t, "INVITE")
	p.Raw = []byte(edit(string(p.Raw)))
	return p
}

func replace(old, with string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, with, 1) }
}

// body replaces the SDP and its length.
func body(text string) func(string) string {
	return func(s string) string {
		head, _, _ := strings.Cut(s, "Content-Length: ")
		return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(text), text)
	}
}

func TestAnInviteThatCannotBecomeACallIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit   func(string) string
		status int
		cause  call.Cause
	}{
		"no codec of ours":        {body(strings.ReplaceAll(sdpOffer, "RTP/AVP 0 8 101", "RTP/AVP 18 101")), 488, call.CauseNoCodec},
		"video only":              {body(strings.ReplaceAll(sdpOffer, "m=audio", "m=video")), 488, call.CauseBadOffer},
		"encrypted only":          {body(strings.ReplaceAll(sdpOffer, "RTP/AVP", "RTP/SAVP")), 488, call.CauseBadOffer},
		"no SDP in the body":      {body("hello\r\n"), 400, call.CauseBadOffer},
		"text":                    {replace("application/sdp", "text/plain"), 415, call.Cause{}},
		"no Contact":              {replace("Contact: <sip:trunk@192.0.2.10:5060>\r\n", ""), 400, call.Cause{}},
		"a telephone as Contact":  {replace("<sip:trunk@192.0.2.10:5060>", "<tel:+15551000>"), 400, call.Cause{}},
		"a To-tag":                {replace("sip.example.com>", "sip.example.com>;tag=x"), 481, call.Cause{}},
		"an extension":            {replace("Max-Forwards", "Require: precondition\r\nMax-Forwards"), 420, call.Cause{}},
		"no message":              {func(string) string { return "nonsense" }, 400, call.Cause{}},
		"another method entirely": {func(s string) string { return strings.ReplaceAll(s, "INVITE", "OPTIONS") }, 405, call.Cause{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, _, err := newFactory(t, "").New(epoch, 1, inviteWith(t, tc.edit))
			var refusal *call.Refusal
			if !errors.As(err, &refusal) || d != nil {
				t.Fatalf("got %v, %v; want a refusal", d, err)
			}
			if refusal.Response.Status != tc.status || refusal.Response.Cause != tc.cause {
				t.Errorf("got %d %v, want %d %v", refusal.Response.Status, refusal.Response.Cause, tc.status, tc.cause)
			}
			if strings.Contains(err.Error(), "abcdefgh") {
				t.Errorf("%q holds the slug", err)
			}
		})
	}
}

func TestAnInvitationSaysWhatTheInviteSays(t *testing.T) {
	t.Parallel()
	p := inviteWith(t, replace("Max-Forwards: 70", strings.Join([]string{
		"Max-Forwards: 70",
		"X-Account: 42", "x-Lower: yes",
		"P-Asserted-Identity: <sip:+15551000@carrier.example>",
		"Subject: not for the agent",
		"User-to-User: 56;encoding=hex",
		"X-Long: " + strings.Repeat("x", call.MaxHeaderBytes+1),
	}, "\r\n")))
	_, inv, err := newFactory(t, "").New(epoch, 1, p)
	if err != nil {
		t.Fatal(err)
	}
	if want := (call.TransactionKey{CallID: "ladder@carrier.example", FromTag: "f1", CSeq: 1}); inv.Key != want {
		t.Errorf("key: got %v, want %v", inv.Key, want)
	}
	from := call.Party{URI: "sip:+15551000@carrier.example", User: "+15551000", Host: "carrier.example", Display: "Alice"}
	to := call.Party{URI: "sip:demo-****@sip.example.com", User: "demo-****", Host: "sip.example.com"}
	if inv.From != from || inv.To != to {
		t.Errorf("got %+v and %+v", inv.From, inv.To)
	}
	want := "[{X-Account 42} {x-Lower yes} {P-Asserted-Identity <sip:+15551000@carrier.example>} {User-to-User 56;encoding=hex}]"
	if got := fmt.Sprint(inv.Headers); got != want {
		t.Errorf("headers:\n got %s\nwant %s", got, want)
	}
	if inv.Source != "192.0.2.10:5060" || inv.Transport != call.UDP || inv.Offer == nil || len(inv.Offer.Codecs) != 2 || inv.MaxForwards != 70 {
		t.Errorf("got %+v", inv)
	}
}

// TestEachHeaderThatAgentsAndEventsHaveIsOfTheInvitation names them one by one,
// and that a bearer slug in one is blanked out.
func TestEachHeaderThatAgentsAndEventsHaveIsOfTheInvitation(t *testing.T) {
	t.Parallel()
	identity := strings.Repeat("e", 2000) + ";info=<https://cert.example/c.pem>;alg=ES256;ppt=shaken"
	for field, want := range map[string]string{
		"P-Asserted-Identity: \"Bob\" <sip:+15551000@carrier.example>":   "\"Bob\" <sip:+15551000@carrier.example>",
		"Diversion: <sip:" + slug + "@sip.example.com>;reason=user-busy": "<sip:demo-****@sip.example.com>;reason=user-busy",
		"User-to-User: 56a390f3d2b7310023;encoding=hex":                  "56a390f3d2b7310023;encoding=hex",
		"Identity: " + identity:                                          identity,
		"History-Info: <sip:" + slug + "@sip.example.com>;index=1":       "<sip:demo-****@sip.example.com>;index=1",
		"X-Anything-At-All: yes":                                         "yes",
		"x-lower: yes":                                                   "yes",
		"Authorization: Digest username=\"a\"":                           "",
		"Proxy-Authorization: Digest username=\"a\"":                     "",
		"P-Access-Network-Info: 3GPP":                                    "",
		"Identity: " + strings.Repeat("e", call.MaxIdentityBytes+1):      "",
	} {
		p := inviteWith(t, replace("Max-Forwards: 70", "Max-Forwards: 70\r\n"+field))
		_, inv, err := newFactory(t, "").New(epoch, 1, p)
		if err != nil {
			t.Fatalf("%.40s: %v", field, err)
		}
		name, _, _ := strings.Cut(field, ":")
		got := ""
		for _, h := range inv.Headers {
			if h.Name != name {
				t.Errorf("%.40s: also %s", field, h.Name)
			}
			got = h.Value
		}
		if got != want || len(inv.Headers) > 1 {
			t.Errorf("%.40s: got %.80q, want %.80q", field, got, want)
		}
	}
}

func TestTheHeadersOfAnInvitationAreBounded(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range call.MaxHeaders + 10 {
		fmt.Fprintf(&many, "X-H%d: v\r\n", i)
	}
	_, inv, err := newFactory(t, "").New(epoch, 1, inviteWith(t, replace("Max-Forwards", many.String()+"Max-Forwards")))
	if err != nil || len(inv.Headers) != call.MaxHeaders {
		t.Errorf("got %d headers, %v; want %d", len(inv.Headers), err, call.MaxHeaders)
	}
}

func TestABearerSlugReachesNoInvitation(t *testing.T) {
	t.Parallel()
	secret := strings.TrimPrefix(slug, "demo-")
	for name, user := range map[string]string{
		"as it is":     slug,
		"upper case":   strings.ToUpper(slug),
		"escaped":      "demo%2D" + secret,
		"no real slug": "demo" + secret,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := inviteWith(t, func(s string) string {
				s = strings.ReplaceAll(s, slug, user)
				s = strings.Replace(s, "\"Alice\"", "\"via "+user+"\"", 1)
				s = strings.Replace(s, "Call-ID: ", "Call-ID: "+user+"-", 1)
				s = strings.Replace(s, ";tag=", ";tag="+user, 1)
				return strings.Replace(s, "Max-Forwards", "Diversion: <sip:"+user+"@sip.example.com>;reason=unknown\r\n"+
					"History-Info: <sip:"+strings.ToUpper(user)+"@sip.example.com>;index=1, <sip:"+user+"@x>;index=1.1\r\nMax-Forwards", 1)
			})
			_, inv, err := newFactory(t, "").New(epoch, 1, p)
			if err != nil {
				t.Fatal(err)
			}
			if text := strings.ToLower(fmt.Sprintf("%+v", inv)); strings.Contains(text, secret) {
				t.Errorf("the slug is in %s", text)
			}
		})
	}
}

func TestACallIDKeepsWhatIsNoSlug(t *testing.T) {
	t.Parallel()
	p := inviteWith(t, func(s string) string { return strings.Replace(s, "To: <sip:"+slug+"@", "To: <sip:l@", 1) })
	_, inv, err := newFactory(t, "").New(epoch, 1, p)
	if err != nil || inv.Key.CallID != "ladder@carrier.example" {
		t.Errorf("got Call-ID %q, %v; want it as it came", inv.Key.CallID, err)
	}
}

func TestNamesAndNumbersAreNoSecrets(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"sip:alice@acme.sip.example.com":                            "alice",
		"sip:+15551234@198.51.100.1":                                "+15551234",
		"sip:" + slug + "@acme.sip.example.com":                     "demo-****",
		"sip:bob@sip.example.com":                                   "****", // which has slugs and nothing else
		"sip:bob@elsewhere.example":                                 "bob",  // an account's own, perhaps
		"sip:night.desk-2@elsewhere.example":                        "night.desk-2",
		"sip:" + slug + "@elsewhere.example":                        "demo-****",
		"sip:" + slug[:8] + slug[11:] + "@elsewhere.example":        "demo-****",
		"sip:" + strings.Replace(slug, "-", "", 1) + "@pbx.example": "****",
	} {
		p := inviteWith(t, func(s string) string { return strings.ReplaceAll(s, "sip:"+slug+"@sip.example.com", uri) })
		_, inv, err := newFactory(t, "").New(epoch, 1, p)
		if err != nil || inv.To.User != want {
			t.Errorf("%s: got %q, %v; want %q", uri, inv.To.User, err, want)
		}
	}
}

func TestAnotherUserOfToIsNoSecret(t *testing.T) {
	t.Parallel()
	other := "desk-" + strings.Repeat("k", endpoint.SlugSecret)
	for to, want := range map[string]string{
		"sip:sales@pbx.example":            "sales",
		"sip:" + other + "@pbx.example":    "desk-****",
		"sip:x" + slug + "y@pbx.example":   "xdemo-****y",
		"sip:" + slug + "@sip.example.com": "demo-****",
	} {
		p := inviteWith(t, func(s string) string {
			return strings.Replace(s, "To: <sip:"+slug+"@sip.example.com>", "To: <"+to+">", 1)
		})
		_, inv, err := newFactory(t, "").New(epoch, 1, p)
		if err != nil || inv.To.User != want || strings.Contains(inv.To.URI, slug[5:]) {
			t.Errorf("%s: got %+v, %v; want %q", to, inv.To, err, want)
		}
	}
}

func TestWhoDialsAsterisksIsReadLikeAnybody(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"*", "**", "***", "****", "*****", "%2A", "%2a*", "*-*"} {
		p := inviteWith(t, func(s string) string { return strings.ReplaceAll(s, slug+"@sip.example.com", user+"@sip.example.com") })
		_, inv, err := newFactory(t, "").New(epoch, 1, p)
		if err != nil || inv.To.Host != "sip.example.com" || !strings.Contains(inv.To.User, "****") {
			t.Errorf("%s: To is %+v, %v", user, inv.To, err)
		}
	}
}

// TestOurMessages holds every kind of message that a dialog writes, byte for
// byte.
func TestOurMessages(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, history := range [][]string{
		{"INVITE", "chosen", "joined PCMU", "ACK", "OPTIONS", "INFO", "INVITE", "ACK", "left agent_hangup"},
		{"INVITE", "joined PCMU", "ACK", "BYE", "BYE branch=late"},
		{"INVITE", "CANCEL"},
		{"INVITE", "failed 503 no_ports"},
		{"INVITE", "failed 488 no_common_codec"},
		{"INVITE", "INVITE branch=other", "joined PCMU", "ACK", "BYE cseq=0", "BYE to-tag=x"},
	} {
		s := newSim(t, sceneOf(map[string]string{"record-route": "<sip:192.0.2.77;lr>, <sip:inner.carrier.example;lr>"}))
		s.factory = newFactory(t, "sip.example.com:5080")
		s.sent = func(tx call.Transmission) {
			out.WriteString(strings.ReplaceAll(string(tx.Raw), "\r\n", "\n") + "----\n")
		}
		for _, text := range history {
			if strings.ToUpper(text[:1]) == text[:1] {
				s.do(step{from: carrier, text: text})
			} else {
				s.do(step{from: agent, text: text})
			}
		}
	}
	golden.Compare(t, "testdata/messages.golden", []byte(out.String()))
}

func TestOptionsNoDialogCouldWorkWithAreRefused(t *testing.T) {
	t.Parallel()
	keys, err := token.NewKeys(token.Key{ID: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]dialog.Options{
		"no keys":           {Timers: timers},
		"no timers":         {Keys: keys},
		"T2 below T1":       {Keys: keys, Timers: txn.Timers{T1: 2, T2: 1, T4: 1}},
		"a URI":             {Keys: keys, Timers: timers, Advertise: "sip:host"},
		"a user":            {Keys: keys, Timers: timers, Advertise: "me@host"},
		"a parameter":       {Keys: keys, Timers: timers, Advertise: "host;lr"},
		"an injected field": {Keys: keys, Timers: timers, Advertise: "host\r\nX: y"},
	} {
		if _, err := dialog.NewFactory(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
