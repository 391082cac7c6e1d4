package endpoint_test

import (
	"strings"
	"testing"

	"patchbay/actors/endpoint"
)

func TestTargetsAreSIPURIsAndNothingElse(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"sip:+15551234567@carrier.example":               "sip:+15551234567@carrier.example",
		"SIP:bob@PBX.Example:5070;transport=TCP":         "sip:bob@pbx.example:5070;transport=tcp",
		"sip:1000@192.0.2.7;user=phone":                  "sip:1000@192.0.2.7",
		"sip:a%20b@[2001:db8::1]:5061":                   "sip:a%20b@[2001:db8::1]:5061",
		"sip:a@localhost":                                "sip:a@localhost",
		"sip:a:secret@host.example":                      "",
		"sip:carrier.example":                            "",
		"sip:@carrier.example":                           "",
		"sips:a@carrier.example":                         "",
		"sip:a@carrier.example?Subject=x":                "",
		"sip:a@carrier.example;lr":                       "",
		"sip:a@carrier.example;transport=ws":             "",
		"sip:a@carrier.example;":                         "",
		"sip:a@carrier.example:0":                        "",
		"sip:a@carrier.example:65536":                    "",
		"sip:a@carrier.example:+80":                      "",
		"sip:a b@carrier.example":                        "",
		"sip:a%0d%0aX@carrier.example":                   "",
		"sip:a@carrier.example\r\nX-Evil: 1":             "",
		"sip:a>@carrier.example":                         "",
		"<sip:a@carrier.example>":                        "",
		"sip:a@[fe80::1%25eth0]":                         "",
		"sip:a@b@carrier.example":                        "",
		"sip:" + strings.Repeat("a", 600) + "@x.example": "",
	} {
		got, ok := endpoint.ParseTarget(uri)
		if ok != (want != "") || ok && got.URI() != want {
			t.Errorf("%q: %q, %v; want %q", uri, got.URI(), ok, want)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"sip:a@b.example", "sip:a%41@[::1]:5060;transport=tls;user=phone", "sip:@", "sip:a@b:c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got, ok := endpoint.ParseTarget(uri)
		if !ok {
			return
		}
		if strings.ContainsAny(got.URI(), "\r\n<>\" \t") {
			t.Fatalf("%q became %q", uri, got.URI())
		}
		again, ok := endpoint.ParseTarget(got.URI())
		if !ok || again != got {
			t.Fatalf("%q became %q, and that %+v", uri, got.URI(), again)
		}
	})
}
