package endpoint_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/actors/endpoint"
)

func newKey(kind string, fill byte) (endpoint.APIKey, string) {
	var random [32]byte
	for i := range random {
		random[i] = fill
	}
	secret := endpoint.NewKeySecret(kind, random)
	k := endpoint.APIKey{V: 1, Tenant: "acme", Name: "one", CreatedAt: made, APIToken: endpoint.APIToken{ID: projectID, Kind: kind,
		Scopes: []string{endpoint.ScopeAll}}}
	k.SetSecret(secret)
	return k, secret
}

func TestAKeyKnowsItsSecretAndKeepsOnlyItsHash(t *testing.T) {
	t.Parallel()
	k, secret := newKey(endpoint.KindOfNative, 3)
	_, other := newKey(endpoint.KindOfNative, 4)
	if !strings.HasPrefix(secret, "pbk_") || len(secret) != 36 || k.Prefix != secret[:8] {
		t.Errorf("secret of %d bytes, prefix %s", len(secret), k.Prefix)
	}
	if !k.Matches(secret) || k.Matches(other) || k.Matches("") || (&endpoint.APIKey{}).Matches("") {
		t.Error("a key matches what is not its secret, or not what is")
	}
	if endpoint.SecretDigest(secret) != k.Digest() || len(k.Digest()) != 26 {
		t.Errorf("digest %s", k.Digest())
	}
	raw, err := json.Marshal(k)
	if err != nil || strings.Contains(string(raw)+fmt.Sprintf("%+v", k), secret) {
		t.Errorf("the stored form shows the secret: %v", err)
	}
	if _, ypr := newKey(endpoint.KindOfYappr, 1); !strings.HasPrefix(ypr, "ypr_live_") {
		t.Error("a key of Yappr's kind does not look like one")
	}
}

func TestAKeyIsGoodUntilItIsRevokedOrExpires(t *testing.T) {
	t.Parallel()
	k, _ := newKey(endpoint.KindOfNative, 1)
	if !k.Live(made) {
		t.Error("a new key is not good")
	}
	end := made.Add(time.Hour)
	k.ExpiresAt = &end
	if !k.Live(end.Add(-1)) || k.Live(end) {
		t.Error("a key is good until its end, and not at it")
	}
	k.ExpiresAt, k.RevokedAt = nil, &made
	if k.Live(made) {
		t.Error("a revoked key is good")
	}
}

func TestScopesGrantThemselvesAndYapprsWordsOurs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		scopes, need string
		want         bool
	}{
		{"*", endpoint.ScopeCallsManage, true}, {"calls:read", endpoint.ScopeCallsRead, true}, {"calls:manage", endpoint.ScopeCallsRead, false},
		{"sip_endpoints:read", endpoint.ScopeEndpointsRead, true}, {"sip_endpoints:manage", endpoint.ScopeEndpointsManage, true},
		{"sip_endpoints:read", endpoint.ScopeEndpointsManage, false}, {"endpoints:read", endpoint.ScopeAll, false}, {"", endpoint.ScopeCallsRead, false},
		{"agents:read calls:read", endpoint.ScopeCallsRead, true}, {"call", endpoint.ScopeCallsRead, false}, {"*x", endpoint.ScopeCallsRead, false},
	} {
		if got := endpoint.Allows(strings.Fields(tc.scopes), tc.need); got != tc.want {
			t.Errorf("%q for %s: %v, want %v", tc.scopes, tc.need, got, tc.want)
		}
	}
}

func TestKeysAndBlocksThatAreRefusedNameTheField(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*endpoint.APIKey)
		field  string
	}{
		"no name":    {func(k *endpoint.APIKey) { k.Name = "" }, "name"},
		"no scope":   {func(k *endpoint.APIKey) { k.Scopes = nil }, "scopes"},
		"odd scope":  {func(k *endpoint.APIKey) { k.Scopes = []string{"everything"} }, "scopes"},
		"twice":      {func(k *endpoint.APIKey) { k.Scopes = []string{"keys:read", "keys:read"} }, "scopes"},
		"odd kind":   {func(k *endpoint.APIKey) { k.Kind = "vonage" }, "kind"},
		"in the end": {func(k *endpoint.APIKey) { k.ExpiresAt = &made }, "expires_at"},
	} {
		k, _ := newKey(endpoint.KindOfNative, 1)
		if ps := k.Validate(); len(ps) != 0 {
			t.Fatalf("a good key: %v", ps)
		}
		tc.change(&k)
		if ps := k.Validate(); len(ps) != 1 || ps[0].Field != tc.field {
			t.Errorf("%s: %v, want a problem of %s", name, ps, tc.field)
		}
	}
	for raw, want := range map[string]string{
		"203.0.113.7": "", "203.0.113.9/28": "", "2001:db8::/32": "", "::ffff:203.0.113.0/120": "", "10.0.0.0/8": "",
		"0.0.0.0/0": endpoint.CodeOutOfRange, "10.0.0.0/7": endpoint.CodeOutOfRange, "::/0": endpoint.CodeOutOfRange, "2000::/3": endpoint.CodeOutOfRange,
		"everybody": endpoint.CodeInvalid, "fe80::1%eth0": endpoint.CodeInvalid, "": endpoint.CodeInvalid,
	} {
		source, err := endpoint.ParseBlock(raw)
		b := endpoint.Block{V: 1, Source: source, CreatedAt: made}
		ps := b.Validate()
		if p, ok := err.(endpoint.Problem); ok {
			ps = []endpoint.Problem{p}
		}
		codes := slices.Collect(func(yield func(string) bool) {
			for _, p := range ps {
				yield(p.Code)
			}
		})
		if want == "" && len(codes) != 0 || want != "" && !slices.Equal(codes, []string{want}) {
			t.Errorf("%q: %v, want %q", raw, ps, want)
		}
	}
}
