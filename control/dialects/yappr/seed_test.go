package yappr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/internal/testkit/desk"
)

// example reads what Yappr's own page about creating an endpoint shows.
func example(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/seed/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheDocumentedExampleIsAcceptedAsItIs(t *testing.T) {
	t.Parallel()
	b := newBed(t, desk.New(t), "acme")
	var named struct {
		Agent string `json:"inbound_agent_id"`
	}
	_ = json.Unmarshal(example(t, "create.request"), &named)
	desk.Native[control.AgentView](t, b.Desk, b.tenant, "agent", "create", control.NewAgent{ID: named.Agent,
		Spec: json.RawMessage(`{"name":"the example's","webrtc":{"connector":"nats"}}`)})
	made := b.must(t, step{"POST", "/sip-endpoints", string(example(t, "create.request")), 201, "", ""})
	var want map[string]any
	if err := json.Unmarshal(example(t, "create.reply"), &want); err != nil {
		t.Fatal(err)
	}
	delete(want["data"].(map[string]any), "last_call_at") // a string once there was a call
	if made.data()["last_call_at"] != nil {
		t.Errorf("last_call_at of a new endpoint is %v", made.data()["last_call_at"])
	}
	delete(made.data(), "last_call_at")
	sameShape(t, "reply", want, map[string]any(made.body))
	for _, key := range []string{"name", "inbound_agent_id", "is_active", "allowed_source_ips"} {
		if got, want := fmt.Sprint(made.data()[key]), fmt.Sprint(want["data"].(map[string]any)[key]); got != want {
			t.Errorf("%s is %s, want %s as in the example", key, got, want)
		}
	}
}

// sameShape fails the test unless two JSON values have the same keys, with
// values of the same types.
func sameShape(t *testing.T, at string, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		have, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is %T, want an object", at, got)
			return
		}
		if a, b := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(have)); !slices.Equal(a, b) {
			t.Errorf("%s has %v, want %v", at, b, a)
		}
		for key, value := range want {
			sameShape(t, at+"."+key, value, have[key])
		}
	case []any:
		have, ok := got.([]any)
		if !ok || len(have) == 0 {
			t.Errorf("%s is %v, want a list", at, got)
			return
		}
		sameShape(t, at+"[0]", want[0], have[0])
	default:
		if a, b := fmt.Sprintf("%T", want), fmt.Sprintf("%T", got); a != b {
			t.Errorf("%s is %s, want %s", at, b, a)
		}
	}
}

func TestTheSlugOfTheExampleIsOneOfOurs(t *testing.T) {
	t.Parallel()
	slug, err := endpoint.ParseSlug("after-hours-bz3r3mtypuwuw8tpdw3x392s")
	if err != nil || slug.Reveal() != "after-hours-bz3r3mtypuwuw8tpdw3x392s" {
		t.Errorf("%v, %v", slug, err)
	}
}

func TestLastCallAtIsTheTimeOfTheLastCall(t *testing.T) {
	t.Parallel()
	b := newBed(t, desk.New(t), "acme")
	id := b.create(t, "").text("id")
	ep, err := b.Store.EndpointByID(t.Context(), b.tenant, id)
	if err != nil {
		t.Fatal(err)
	}
	at := desk.Noon.Add(90*time.Second + 7*time.Millisecond)
	ep.LastCallAt = &at
	if _, err := b.Store.UpdateEndpoint(t.Context(), ep); err != nil {
		t.Fatal(err)
	}
	for _, s := range []step{{"GET", "/sip-endpoints/" + id, "", 200, "", ""}, {"PATCH", "/sip-endpoints/" + id, `{"name":"x"}`, 200, "", ""}} {
		if got := b.must(t, s).text("last_call_at"); got != "2026-01-02T12:05:35.007Z" {
			t.Errorf("%s: last_call_at %q", s.method, got)
		}
	}
}

// A sink takes endpoints of one account and agent, and keeps their slugs alone.
type sink struct {
	control.Store
	account endpoint.Account
	agent   endpoint.Agent
	slugs   []string
}

// Account implements control.Store.
func (s *sink) Account(context.Context, string) (endpoint.Account, error) { return s.account, nil }

// AgentByID implements control.Store.
func (s *sink) AgentByID(context.Context, string, string) (endpoint.Agent, error) {
	return s.agent, nil
}

// CreateEndpoint implements control.Store.
func (s *sink) CreateEndpoint(_ context.Context, ep endpoint.Endpoint, _ endpoint.Terms) (endpoint.Revision, error) {
	s.slugs = append(s.slugs, ep.Slug.Reveal())
	return 1, nil
}

// TestSlugsAreRandomAndNeverTheSame makes 10,000 endpoints and looks at how often
// each symbol comes: 240,000 symbols, 7,500 of each of 32, with a standard
// deviation of 85. One that is six of them off comes once in ten million runs.
func TestSlugsAreRandomAndNeverTheSame(t *testing.T) {
	t.Parallel()
	b := newBed(t, desk.New(t), "acme")
	made := &sink{Store: b.Ops.Store}
	made.account, _ = b.Store.AccountByTenant(t.Context(), b.tenant)
	made.agent, _ = b.Store.AgentByID(t.Context(), b.tenant, b.agent)
	b.Ops.Store = made
	const slugs, each, off = 10_000, 10_000 * endpoint.SlugSecret / 32, 6 * 85
	body := fmt.Sprintf(`{"name":"x","inbound_agent_id":%q}`, b.agent)
	for i := range slugs {
		if i%60 == 0 {
			b.Pass(time.Minute)
		}
		if w := b.Ask(t, "POST", "/sip-endpoints", body); w.Code != 201 {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
	}
	seen, count := map[string]bool{}, map[byte]int{}
	for _, slug := range made.slugs {
		suffix := slug[len(slug)-endpoint.SlugSecret:]
		seen[suffix] = true
		for i := range len(suffix) {
			count[suffix[i]]++
		}
	}
	if len(seen) != slugs || len(count) != 32 {
		t.Errorf("%d suffixes of %d symbols, want %d of 32", len(seen), len(count), slugs)
	}
	for symbol, n := range count {
		if n < each-off || n > each+off {
			t.Errorf("%q came %d times, want about %d", symbol, n, each)
		}
	}
}
