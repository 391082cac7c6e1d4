package endpoint_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"patchbay/actors/endpoint"
)

const canary = "abcdefghijkmnpqrstuvwxyz"

// secrets returns everything that holds the canary and may end up in a log.
func secrets(t *testing.T) map[string]any {
	t.Helper()
	slug, err := endpoint.ParseSlug("desk-" + canary)
	if err != nil {
		t.Fatal(err)
	}
	address := endpoint.SlugAddress(slug)
	ep := endpoint.Endpoint{Name: "desk", Slug: slug, Auth: endpoint.Auth{HA1MD5: canary}}
	agent := endpoint.Agent{WebRTC: endpoint.AgentTransport{AuthSecret: canary}}
	inv := endpoint.Invite{Address: address, ToUser: slug.Reveal(), FromUser: "alice"}
	return map[string]any{
		"slug": slug, "address": address, "secret": endpoint.SecretRef(canary),
		"pointer": &slug, "endpoint": ep, "endpoint pointer": &ep, "agent": agent, "invite": inv, "invite pointer": &inv,
		"struct": struct{ Slug endpoint.Slug }{slug}, "slice": []endpoint.Address{address},
		"map": map[endpoint.Slug]endpoint.SecretRef{slug: canary}, "error": fmt.Errorf("get %v: %w", slug, endpoint.ErrNotFound),
	}
}

func TestSecretsHideFromEveryVerb(t *testing.T) {
	t.Parallel()
	for name, v := range secrets(t) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
			if out := fmt.Sprintf(verb, v); strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) {
				t.Errorf("%s of %s shows the secret: %s", verb, name, out)
			}
		}
	}
}

func TestSecretsHideFromStructuredLogs(t *testing.T) {
	t.Parallel()
	for name, v := range secrets(t) {
		if name == "struct" || name == "slice" || name == "map" {
			continue // JSON handlers marshal these; nothing of ours logs such values
		}
		var out bytes.Buffer
		slog.New(slog.NewJSONHandler(&out, nil)).Info("seen", "value", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("seen", "value", v)
		if strings.Contains(out.String(), canary) {
			t.Errorf("%s shows the secret: %s", name, out.String())
		}
	}
}

func TestSlugShowsItsPrefixOnly(t *testing.T) {
	t.Parallel()
	for slug, want := range map[endpoint.Slug]string{
		"night-desk-" + canary: "night-desk-****",
		canary:                 "****",
		"":                     "****",
	} {
		if got := slug.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := endpoint.SlugAddress("desk-" + canary).String(); got != "s/desk-****" {
		t.Errorf("address shows as %s", got)
	}
	if got := endpoint.UserAddress("ACME", "support").String(); got != "a/acme/support" {
		t.Errorf("an account's address is no secret: %s", got)
	}
}
