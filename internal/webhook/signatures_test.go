package webhook_test

import (
	"net/url"
	"testing"
	"time"

	"patchbay/internal/webhook"
)

// TestStandardSignaturesAreThoseOfTheSpecification has the vector that the
// libraries of Standard Webhooks test themselves with.
func TestStandardSignaturesAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	const secret, want = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	at, sum := webhook.Standard([]string{secret}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if at != "1614265330" || sum != want {
		t.Errorf("got %s at %s", sum, at)
	}
	_, both := webhook.Standard([]string{"other", secret}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if len(both) != 2*len(want)+1 || both[len(want):] != " "+want {
		t.Errorf("of two secrets: %s", both)
	}
}

// TestSignalWireAndVobizVectors has fixed values; those of
// SignalWire and of Plivo are what the vendors' own verifiers accept.
func TestSignalWireAndVobizVectors(t *testing.T) {
	t.Parallel()
	one, two := webhook.SignalWireJSON("PSK_test_key", "https://app.example.com/swml?tenant=7",
		[]byte(`{"call":{"call_id":"c1","type":"sip"},"vars":{},"envs":{},"params":{}}`))
	form := webhook.SignalWireForm("PSK_test_key", "https://app.example.com/voice", url.Values{
		"AccountSid": {"b08c0000-0000-4000-8000-000000000001"}, "ApiVersion": {"2010-04-01"}, "CallSid": {"c0c0c0c0-0000-4000-8000-000000000002"},
		"CallStatus": {"ringing"}, "Direction": {"inbound"}, "From": {"sip:c3p0@acme.sip.example.com"}, "To": {"sip:helpdesk@acme.sip.example.com"}})
	const token, at, nonce = "vobiz_auth_token", "https://app.example.com/answer", "12345678901234567890"
	params := url.Values{"CallUUID": {"u-1"}, "Direction": {"inbound"}, "From": {"15550100"}, "To": {"15550101"}}
	for what, c := range map[string][2]string{
		"SWML, SHA-1":          {one, "88e663848541c14301275b31fbc672f3d03e94d0"},
		"SWML, SHA-256":        {two, "73bf36d6a7c28727dba061ee59e2ab043773b2712b04d286951449ea3535a592"},
		"cXML":                 {form, "CcC16g8GGEi8MTUYi7gA3ldbnII="},
		"Vobiz V2":             {webhook.VobizV2(token, at, nonce), "cNhJVkcy5Y+GALcECYiCLGe2KM9VB/Pubghx8BO6JRs="},
		"Vobiz V2 and a query": {webhook.VobizV2(token, at+"?a=b", nonce), "cNhJVkcy5Y+GALcECYiCLGe2KM9VB/Pubghx8BO6JRs="},
		"Vobiz V3":             {webhook.VobizV3(token, at, nonce), "jNVftNM7+W6ld+oF7OADTiZU4aYhXWxH/OB6n+mTgaI="},
		"Plivo V3, no params":  {webhook.PlivoV3(token, at, nil, nonce), "jNVftNM7+W6ld+oF7OADTiZU4aYhXWxH/OB6n+mTgaI="},
		"Plivo V3":             {webhook.PlivoV3(token, at, params, nonce), "zak2wZ+fuRhVjR60wbSTdo3Zd9FScLab5xpFsrKH81s="},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: got %s, want %s", what, c[0], c[1])
		}
	}
	if got := webhook.Nonce([20]byte{0, 1, 9, 10, 255}); got != "01905000000000000000" {
		t.Errorf("nonce %s", got)
	}
}
