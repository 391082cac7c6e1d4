package endpoint_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"patchbay/actors/endpoint"
)

func TestSlugIsPrefixHyphenAnd24RandomSymbols(t *testing.T) {
	t.Parallel()
	var random [endpoint.SlugSecret]byte
	for i := range random {
		random[i] = byte(i * 11)
	}
	slug, err := endpoint.NewSlug("night-desk", random)
	if err != nil {
		t.Fatal(err)
	}
	secret, ok := strings.CutPrefix(slug.Reveal(), "night-desk-")
	if !ok || len(secret) != 24 || strings.ContainsAny(secret, "lo01") {
		t.Errorf("got a slug with prefix %v and a secret of %d symbols", slug, len(secret))
	}
}

func TestSlugUsesEverySymbolAlike(t *testing.T) {
	t.Parallel()
	seen := map[rune]int{}
	for b := range 256 {
		var random [endpoint.SlugSecret]byte
		random[0] = byte(b)
		slug, _ := endpoint.NewSlug("p", random)
		seen[rune(slug.Reveal()[2])]++
	}
	if len(seen) != 32 {
		t.Fatalf("%d symbols, want 32", len(seen))
	}
	for symbol, n := range seen {
		if n != 8 {
			t.Errorf("%q came %d times of 256, want 8", symbol, n)
		}
	}
}

func TestSlugPrefixMistakesNameTheirField(t *testing.T) {
	t.Parallel()
	for prefix, code := range map[string]string{
		"":              endpoint.CodeRequired,
		"thirteen-char": endpoint.CodeTooLong,
		"Upper":         endpoint.CodeInvalid,
		"-start":        endpoint.CodeInvalid,
		"end-":          endpoint.CodeInvalid,
		"two--hyphens":  endpoint.CodeInvalid,
		"dot.dot":       endpoint.CodeInvalid,
		"umläut":        endpoint.CodeInvalid,
	} {
		_, err := endpoint.NewSlug(prefix, [endpoint.SlugSecret]byte{})
		var p endpoint.Problem
		if !errors.As(err, &p) || p.Field != "slug_prefix" || p.Code != code {
			t.Errorf("prefix %q: got %v, want %s of slug_prefix", prefix, err, code)
		}
	}
}

func TestParsedSlugIsWhatWasMade(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.StringMatching(`[a-z0-9]{1,4}(-[a-z0-9]{1,3}){0,2}`).Draw(t, "prefix")
		var random [endpoint.SlugSecret]byte
		copy(random[:], rapid.SliceOfN(rapid.Byte(), 24, 24).Draw(t, "random"))
		made, err := endpoint.NewSlug(prefix, random)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := endpoint.ParseSlug(strings.ToUpper(made.Reveal()))
		if err != nil || parsed != made {
			t.Fatalf("got %q, %v, want the slug that was made", parsed.Reveal(), err)
		}
	})
}

func TestParseSlugErrorNeverRepeatsTheText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a", "desk", "desk-", "-aaaaaaaaaaaaaaaaaaaaaaaa", "desk-aaaaaaaaaaaaaaaaaaaaaaal",
		"desk_aaaaaaaaaaaaaaaaaaaaaaaa", "thirteenchars-aaaaaaaaaaaaaaaaaaaaaaaa", "de sk-aaaaaaaaaaaaaaaaaaaaaaaa"} {
		_, err := endpoint.ParseSlug(text)
		if err == nil {
			t.Errorf("%q passes for a slug", text)
			continue
		}
		if len(text) > 6 && strings.Contains(err.Error(), text[len(text)-6:]) {
			t.Errorf("the error repeats the slug: %v", err)
		}
	}
}

func FuzzParseSlug(f *testing.F) {
	for _, seed := range []string{"", "-", "night-desk-abcdefghijkmnpqrstuvwxyz", "a-22222222222222222222222k", "A-22222222222222222222222K"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		slug, err := endpoint.ParseSlug(text)
		if err != nil {
			return
		}
		again, err := endpoint.ParseSlug(slug.Reveal())
		if err != nil || again != slug || len(slug) < 26 || len(slug) > 37 {
			t.Errorf("%q parses to %q and that to %q, %v", text, slug.Reveal(), again.Reveal(), err)
		}
	})
}
