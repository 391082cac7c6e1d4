package control_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

func line(n int, kind, id, spec string) string {
	return fmt.Sprintf(`{"line":%d,"kind":%q,"id":%q,"spec":%s}`, n, kind, id, spec)
}

func TestAnImportTellsEveryMistakeAndWritesAllOrNothing(t *testing.T) {
	t.Parallel()
	store := newShelf()
	o := operations(store)
	cred := as("acme", endpoint.KindOfNative, "*")
	agent := line(1, "agent", exampleAgent, `{"name":"bot","webrtc":{"connector":"nats"}}`)
	good := line(2, "endpoint", exampleEndpoint, `{"name":"desk","handler":{"active":"agent","agent_id":"`+exampleAgent+`"}}`)
	all := []string{agent, good,
		line(3, "endpoint", exampleOther, `{"name":"","max_calls":3}`),
		line(4, "endpoint", exampleEndpoint, `{}`),
		line(5, "endpoint", exampleProject, `{"handler":{"active":"agent","agent_id":"`+exampleOther+`"}}`),
		line(6, "phone", exampleKey, `{}`), line(7, "agent", "", `{}`),
		line(8, "agent", exampleKey, `{"webrtc":{"connector":"http","url":"https://x.example","auth_type":"bearer","secret_set":true}}`)}
	body := func(more string, lines ...string) string {
		return `{"lines":[` + strings.Join(lines, ",") + `]` + more + `}`
	}

	_, err := op(t, o, cred, "account.import", body("", all...))
	var told *control.Error
	if !errors.As(err, &told) || store.applied != 0 {
		t.Fatalf("got %v after %d batches", err, store.applied)
	}
	var at []string
	for _, p := range told.Problems {
		at = append(at, p.Field)
	}
	for _, want := range []string{"line 3: max_calls", "line 4: id", "line 5: handler.agent_id", "line 6: kind", "line 7: id", "line 8: webrtc.auth_secret"} {
		if !slices.Contains(at, want) {
			t.Errorf("no problem of %s in %q", want, at)
		}
	}
	raw, err := op(t, o, cred, "account.import", body(`,"dry_run":true`, all...))
	if err != nil || store.applied != 0 || !strings.Contains(raw, `"created":2`) || strings.Count(raw, `"line":`) != len(at) {
		t.Errorf("dry run: %s, %v", raw, err)
	}
	raw, err = op(t, o, cred, "account.import", body(`,"partial":true`, all...))
	if err != nil || len(store.eps) != 1 || len(store.agents) != 1 || !strings.Contains(raw, `"line":8`) {
		t.Errorf("partial: %s, %v", raw, err)
	}
	raw, err = op(t, o, cred, "account.import", body("", agent, good))
	if err != nil || !strings.Contains(raw, `"created":0,"updated":0,"unchanged":2`) {
		t.Errorf("again: %s, %v", raw, err)
	}
	raw, err = op(t, o, cred, "account.import", body("", agent, strings.Replace(good, "desk", "front desk", 1)))
	if err != nil || !strings.Contains(raw, `"updated":1,"unchanged":1`) || store.eps[exampleEndpoint].Name != "front desk" {
		t.Errorf("with a change: %s, %v", raw, err)
	}
	alone := body(`,"dry_run":true,"agents":["`+exampleOther+`"]`, line(1, "endpoint", exampleProject, `{"handler":{"active":"agent","agent_id":"`+exampleOther+`"}}`))
	if raw, err = op(t, o, cred, "account.import", alone); err != nil || strings.Contains(raw, "problems") {
		t.Errorf("an agent of another batch: %s, %v", raw, err)
	}
	if _, err := op(t, o, cred, "account.import", strings.Replace(alone, `"dry_run":true,`, "", 1)); codeOf(err) != control.CodeInvalid {
		t.Errorf("and when it is written: %v", err)
	}
}

func TestTwoLinesOfAnImportHaveTwoAddresses(t *testing.T) {
	t.Parallel()
	store := newShelf()
	a := store.accounts["acme"]
	a.SIP.DomainIdentifier = "acme"
	store.accounts["acme"] = a
	o := operations(store)
	for what, same := range map[string]string{"slug": `"slug":"` + exampleSlug + `"`, "spelling": `"slug":"` + strings.ToUpper(exampleSlug) + `"`, "user": `"user":"bob"`} {
		first := same
		if what == "spelling" {
			first = `"slug":"` + exampleSlug + `"`
		}
		_, err := op(t, o, as("acme", endpoint.KindOfNative, "*"), "account.import", `{"lines":[{"kind":"endpoint","id":"`+exampleEndpoint+`",`+first+`,"spec":{}},`+
			`{"kind":"endpoint","id":"`+exampleOther+`",`+same+`,"spec":{}}]}`)
		var told *control.Error
		if !errors.As(err, &told) || len(told.Problems) != 1 || told.Problems[0].Field != "line 2: slug" || told.Problems[0].Code != endpoint.CodeDuplicate {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A seal is never the same twice; the secret in it may be.
func TestAnImportOfASecretThatIsThereChangesNothing(t *testing.T) {
	t.Parallel()
	store := newShelf()
	o := operations(store)
	imports := func(secret string) string {
		raw, err := op(t, o, as("acme", endpoint.KindOfNative, "*"), "account.import", `{"lines":[`+line(1, "agent", exampleAgent,
			`{"webrtc":{"connector":"http","url":"https://x.example","auth_type":"bearer","auth_secret":"`+secret+`"}}`)+`]}`)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for i, c := range []struct{ secret, want string }{{"hush", `"created":1`}, {"hush", `"unchanged":1`}, {"other", `"updated":1`}, {"other", `"unchanged":1`}} {
		if raw := imports(c.secret); !strings.Contains(raw, c.want) {
			t.Errorf("import %d: %s, want %s", i+1, raw, c.want)
		}
	}
	if got, _ := (sealer{}).Open(store.agents[exampleAgent].WebRTC.AuthSecret); got != "other" {
		t.Errorf("the secret is %q", got)
	}
}

func TestVendorsFieldsComeBackAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	const compat = `"compat":{"vobiz":{"id":12345678901234567890,"rate":1.10,"exp":1e3,"text":"<&>"}}`
	cred := as("acme", endpoint.KindOfNative, "*")
	raw, err := op(t, o, cred, "endpoint.create", `{"spec":{`+compat+`}}`)
	if err != nil {
		t.Fatal(err)
	}
	id := raw[len(`{"id":"`):][:36]
	for _, name := range []string{"endpoint.get", "endpoint.update", "endpoint.get"} {
		body := `{"id":"` + id + `"}`
		if name == "endpoint.update" {
			body = `{"id":"` + id + `","patch":{"name":"other"}}`
		}
		raw, err := op(t, o, cred, name, body)
		for _, number := range []string{`"id":12345678901234567890`, `"rate":1.10`, `"exp":1e3`} {
			if err != nil || !strings.Contains(raw, number) {
				t.Errorf("%s: %s is not in %s, %v", name, number, raw, err)
			}
		}
	}
	long := strings.Repeat("<", 20<<10) // 120 KiB if it were escaped
	if _, err := op(t, o, cred, "endpoint.create", `{"spec":{"compat":{"x":"`+long+`"}}}`); err != nil {
		t.Errorf("text of 20 KiB: %v", err)
	}
}
