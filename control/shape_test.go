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

// The decoder takes IP for ip, and a merge keeps both: then the wish for an
// allowlist was lost, and the endpoint open to everybody.
func TestAFieldInOtherLettersIsNoField(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	all := as("acme", endpoint.KindOfNative, "*")
	_, err := op(t, o, all, "agent.create", `{"id":"6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001","spec":{"webrtc":{"connector":"nats"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ op, body, field string }{
		{"endpoint.create", `{"spec":{"IP":{"mode":"none"}}}`, "IP"},
		{"endpoint.create", `{"spec":{"ip":{"Mode":"none"}}}`, "ip.Mode"},
		{"endpoint.create", `{"spec":{"ip":{"mode":"list","entries":[{"raw":"192.0.2.1"},{"raw":"192.0.2.2","Disabled":true}]}}}`, "ip.entries[1].Disabled"},
		{"endpoint.create", `{"spec":{},"AGENT_ID":"6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001"}`, "AGENT_ID"},
		{"agent.update", `{"id":"6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001","patch":{"Is_Active":false}}`, "Is_Active"},
		{"agent.delete", `{"id":"6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001","Revision":7}`, "Revision"},
		{"agent.list", `{"li\u017fit":1}`, "liſit"},
	} {
		_, err := op(t, o, all, c.op, c.body)
		var told *control.Error
		if !errors.As(err, &told) || told.Code != control.CodeInvalid || len(told.Problems) != 1 || told.Problems[0].Field != c.field {
			t.Errorf("%s %s: got %v, want %s to be unknown", c.op, c.body, err, c.field)
		}
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
