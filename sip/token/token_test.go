package token_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"patchbay/actors/call"
	"patchbay/sip/token"
)

func key(id uint8, fill byte) token.Key {
	k := token.Key{ID: id}
	copy(k.Secret[:], bytes.Repeat([]byte{fill}, len(k.Secret)))
	return k
}

func keys(t testing.TB, current token.Key, previous *token.Key) *token.Keys {
	t.Helper()
	k, err := token.NewKeys(current, previous)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The golden vector pins the wire format: nodes of two releases must open each
// other's tokens.
func TestTheFormatOnTheWireIsPinned(t *testing.T) {
	t.Parallel()
	k := keys(t, key(3, 0xa5), nil)
	for got, want := range map[string]string{
		k.Mint(token.Call, 77, 0x0123456789abcdef, "a84b4c76e66710@pc33.example.com"):   goldenCall,
		k.Reject("a84b4c76e66710@pc33.example.com"):                                     goldenReject,
		k.Branch(77, 0x0123456789abcdef, "a84b4c76e66710@pc33.example.com", 4294967295): goldenBranch,
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestATokenOpensToWhatItWasMintedFrom(t *testing.T) {
	t.Parallel()
	k := keys(t, key(1, 1), nil)
	rapid.Check(t, func(t *rapid.T) {
		want := token.Token{
			Kind: rapid.SampledFrom([]token.Kind{token.Call, token.Reject, token.Via, token.Nonce}).Draw(t, "kind"),
			Slot: call.Slot(rapid.Uint16().Draw(t, "slot")),
			ID:   call.ID(rapid.Uint64().Draw(t, "id")),
		}
		callID := rapid.String().Draw(t, "call id")
		text := k.Mint(want.Kind, want.Slot, want.ID, callID)
		if len(text) != token.Size || strings.Trim(text, "0123456789abcdefghijklmnopqrstuv") != "" {
			t.Fatalf("%q is no lower-case base32hex of %d characters", text, token.Size)
		}
		for _, form := range []string{text, strings.ToUpper(text)} {
			if got, ok := k.Open(form, callID); !ok || got != want {
				t.Fatalf("%s opened to %+v, %v; want %+v", form, got, ok, want)
			}
		}
		if _, ok := k.Open(text, callID+"x"); ok {
			t.Fatal("opened on another Call-ID")
		}
	})
}

func TestOneChangedCharacterClosesAToken(t *testing.T) {
	t.Parallel()
	k := keys(t, key(1, 1), nil)
	text := k.Mint(token.Call, 7, 42, "c-1")
	for i := range text {
		for _, c := range "0123456789abcdefghijklmnopqrstuvwz-=" {
			if byte(c) == text[i] {
				continue
			}
			if _, ok := k.Open(text[:i]+string(c)+text[i+1:], "c-1"); ok {
				t.Errorf("still opens with %c at %d", c, i)
			}
		}
	}
	for _, other := range []string{"", text[:31], text + "0", " " + text[1:]} {
		if _, ok := k.Open(other, "c-1"); ok {
			t.Errorf("%q opened", other)
		}
	}
}

func TestARotatedKeyStillOpensAndARetiredOneDoesNot(t *testing.T) {
	t.Parallel()
	old, current := key(1, 1), key(2, 2)
	text := keys(t, old, nil).Mint(token.Call, 7, 42, "c-1")
	if _, ok := keys(t, current, &old).Open(text, "c-1"); !ok {
		t.Error("the previous key does not open its token")
	}
	if _, ok := keys(t, current, nil).Open(text, "c-1"); ok {
		t.Error("a retired key opens its token")
	}
	impostor := key(1, 9)
	if _, ok := keys(t, current, &impostor).Open(text, "c-1"); ok {
		t.Error("another key of the same id opens the token")
	}
}

func TestKeysThatCannotLiveTogetherAreRefused(t *testing.T) {
	t.Parallel()
	big, same := key(16, 1), key(1, 2)
	if _, err := token.NewKeys(big, nil); err == nil {
		t.Error("key id 16 was taken")
	}
	if _, err := token.NewKeys(key(1, 1), &big); err == nil {
		t.Error("previous key id 16 was taken")
	}
	if _, err := token.NewKeys(key(1, 1), &same); err == nil {
		t.Error("one id for two keys was taken")
	}
}

func TestARejectionHasOneTagForEveryCopy(t *testing.T) {
	t.Parallel()
	k := keys(t, key(1, 1), nil)
	first, second := k.Reject("c-1"), k.Reject("c-1")
	if first != second {
		t.Error("two copies got two tags")
	}
	got, ok := k.Open(k.Reject("c-1"), "c-1")
	if !ok || got != (token.Token{Kind: token.Reject}) {
		t.Errorf("got %+v, %v", got, ok)
	}
}

func TestABranchTellsItsCallAndItsRequest(t *testing.T) {
	t.Parallel()
	k := keys(t, key(1, 1), nil)
	branch := k.Branch(7, 42, "c-1", 12)
	got, n, ok := k.OpenBranch(branch, "c-1")
	if !ok || n != 12 || got != (token.Token{Kind: token.Via, Slot: 7, ID: 42}) {
		t.Errorf("got %+v, %d, %v", got, n, ok)
	}
	tag := k.Mint(token.Call, 7, 42, "c-1")
	for _, other := range []string{
		"", "z9hG4bK", "z9hG4bKnashds8", branch[:len(branch)-2], branch[:len(branch)-1] + "x", branch + "99999999999",
		"z9hG4bK" + tag + "-1", strings.Replace(branch, "-", ".", 1),
	} {
		if _, _, ok := k.OpenBranch(other, "c-1"); ok {
			t.Errorf("%q opened", other)
		}
	}
}

func TestOnlyACallsTokenStandsInARequestURI(t *testing.T) {
	t.Parallel()
	k := keys(t, key(1, 1), nil)
	if _, ok := k.OpenURIUser(k.Mint(token.Call, 7, 42, "c-1"), "c-1"); !ok {
		t.Error("a call's token did not open")
	}
	if _, ok := k.OpenURIUser(k.Mint(token.Via, 7, 42, "c-1"), "c-1"); ok {
		t.Error("a branch opened as a Request-URI's user")
	}
}

func TestAKeyDoesNotPrintItsSecret(t *testing.T) {
	t.Parallel()
	if got := fmt.Sprintf("%v %+v %#v %s", key(1, 0xa5), key(1, 0xa5), key(1, 0xa5), key(1, 0xa5)); strings.Contains(got, "165") || strings.Contains(got, "a5") {
		t.Errorf("got %s", got)
	}
}

func TestATokenCostsOneString(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	k := keys(t, key(1, 1), nil)
	text := k.Mint(token.Call, 7, 42, "c-1")
	if n := testing.AllocsPerRun(100, func() { k.Mint(token.Call, 7, 42, "c-1") }); n > 1 {
		t.Errorf("Mint allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { k.Open(text, "c-1") }); n > 0 {
		t.Errorf("Open allocates %v times", n)
	}
}

func FuzzOpen(f *testing.F) {
	k := keys(f, key(1, 1), nil)
	f.Add(k.Mint(token.Call, 7, 42, "c-1"), "c-1")
	f.Add(k.Branch(7, 42, "c-1", 3), "c-1")
	f.Add("", "")
	f.Add(strings.Repeat("v", token.Size), "x")
	f.Fuzz(func(t *testing.T, text, callID string) {
		if got, ok := k.Open(text, callID); ok && k.Mint(got.Kind, got.Slot, got.ID, callID) != strings.ToLower(text) {
			t.Errorf("%q opened to %+v, which is another token", text, got)
		}
		if got, n, ok := k.OpenBranch(text, callID); ok {
			if again, m, ok := k.OpenBranch(k.Branch(got.Slot, got.ID, callID, n), callID); !ok || m != n || again != got {
				t.Errorf("%q opened to %+v %d, which does not come back", text, got, n)
			}
		}
		k.OpenURIUser(text, callID)
	})
}

func BenchmarkMint(b *testing.B) {
	k := keys(b, key(1, 1), nil)
	b.ReportAllocs()
	for b.Loop() {
		k.Mint(token.Call, 7, 42, "a84b4c76e66710@pc33.example.com")
	}
}

func BenchmarkOpen(b *testing.B) {
	k := keys(b, key(1, 1), nil)
	text := k.Mint(token.Call, 7, 42, "a84b4c76e66710@pc33.example.com")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := k.Open(text, "a84b4c76e66710@pc33.example.com"); !ok {
			b.Fatal("does not open")
		}
	}
}
