package endpoint_test

import (
	"fmt"
	"strings"
	"testing"

	"patchbay/actors/endpoint"
)

// Whatever is dialled has one mailbox, and prints without what may be a slug.
func FuzzDialled(f *testing.F) {
	for _, user := range []string{"", "bob", "a/b", "+15551234567", "demo-aaaaaaaaaaaaaaaaaaaaaaaa", "demo-aaaaaaaaaaaaaaaaaaaaaaa", "\x00\xff"} {
		for _, host := range []string{"", "192.0.2.1", "sip.example", "acme.sip.example", "pbx.acme.example.", "..", "a." + strings.Repeat("b", 64) + ".c", "PBX.Example"} {
			f.Add(user, host)
		}
	}
	f.Fuzz(func(t *testing.T, user, host string) {
		addr := endpoint.Dialled(user, host, "sip.example")
		_, account := addr.Account()
		at, is, own := addr.AtHost()
		if account && own || own && addr.IsNumber() {
			t.Fatalf("%q@%q is two things: %s", user, host, addr.Reveal())
		}
		if _, err := endpoint.ParseSlug(user); err == nil && !account && addr != endpoint.SlugAddress(endpoint.Slug(user)) {
			t.Fatalf("the slug %q@%q is dialled as %s", user, host, addr.Reveal())
		}
		if !own {
			return
		}
		name := strings.TrimPrefix(at.Reveal(), "d/")
		if !endpoint.IsDomain(name) || !strings.EqualFold(strings.TrimSuffix(host, "."), name) || at.Partition() != addr.Partition() {
			t.Fatalf("%q@%q is at %s", user, host, at.Reveal())
		}
		theirs, nobodys := is("acme"), is("")
		if theirs != endpoint.UserAddress("acme", user) || nobodys != endpoint.Dialled(user, "192.0.2.1", "sip.example") {
			t.Fatalf("%q@%q is %s or %s", user, host, theirs.Reveal(), nobodys.Reveal())
		}
		if len(user) > 3 && !strings.Contains(name, user) && strings.Contains(fmt.Sprint(addr), user) && user != "****" {
			t.Fatalf("%q@%q is shown as %s", user, host, addr)
		}
	})
}
