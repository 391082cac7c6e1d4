package control_test

import (
	"errors"
	"slices"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

func TestEveryMistakeOfFormIsToldAtOnceByItsPath(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	_, err := op(t, o, as("acme", endpoint.KindOfNative, "*"), "agent.create",
		`{"spec":{"nam":"x","is_active":"yes","join_timeout_ms":1.5,"failover":["a",7],"webrtc":{"urll":"u","codecs":{},"attempts":1e99999999},"metadata":{"k":1}}}`)
	var told *control.Error
	if !errors.As(err, &told) || told.Code != control.CodeInvalid {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, p := range told.Problems {
		got = append(got, p.Field+" "+p.Code)
	}
	want := []string{"failover[1] invalid", "is_active invalid", "join_timeout_ms invalid", "metadata.k invalid", "nam unknown",
		"webrtc.attempts invalid", "webrtc.codecs invalid", "webrtc.urll unknown"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestValuesWithASpellingOfTheirOwnAreNamed(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	_, err := op(t, o, as("acme", endpoint.KindOfNative, "*"), "key.create", `{"name":"k","scopes":["*"],"expires_at":"tomorrow","kin":"native"}`)
	var told *control.Error
	if !errors.As(err, &told) || len(told.Problems) != 2 || told.Problems[0].Field != "expires_at" || told.Problems[1].Field != "kin" {
		t.Errorf("got %v", err)
	}
}

// FuzzShape asks for what no specification says: every refusal of a form names
// its fields, and nothing panics.
func FuzzShape(f *testing.F) {
	for _, spec := range []string{`{"name":1}`, `{"webrtc":{"headers":{"a":[]}}}`, `{"metadata":null,"failover":[null,{}]}`, `{"NAME":"x"}`, `{"call_template":{"a":1e999}}`, `{"created_at":{}}`} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		_, err := op(t, operations(newShelf()), as("acme", endpoint.KindOfNative, "*"), "agent.create", `{"spec":`+spec+`}`)
		var told *control.Error
		if err != nil && (!errors.As(err, &told) || told.Code == control.CodeInternal) {
			t.Fatalf("%s: %v", spec, err)
		}
	})
}
