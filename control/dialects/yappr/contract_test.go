package yappr_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/control/dialects/yappr"
	"patchbay/internal/bodies"
	"patchbay/internal/golden"
	"patchbay/internal/testkit/desk"
)

// A bed is Yappr's API of one account, and a key that may do everything there.
type bed struct {
	*desk.Desk
	desk.Client
	tenant string
	agent  string
	words  map[string]string // what the goldens say for ids and secrets
}

func newBed(t *testing.T, d *desk.Desk, tenant string) *bed {
	t.Helper()
	d.Account(t, tenant)
	b := &bed{Desk: d, tenant: tenant, agent: d.Agent(t, tenant), words: map[string]string{}}
	b.words[b.agent] = "<agent>"
	b.Face = yappr.New(d.Kit, yappr.Settings{Transports: []string{"udp", "tcp"}})
	return b.as(b.Key(t, tenant, endpoint.KindOfYappr, endpoint.ScopeYapprRead, endpoint.ScopeYapprManage))
}

// as returns the bed with another key; "": none.
func (b *bed) as(key string) *bed {
	other := *b
	other.Headers = http.Header{}
	if key != "" {
		other.Headers.Set("Authorization", "Bearer "+key)
	}
	return &other
}

// another returns the bed with another key of the account, whose minute is whole.
func (b *bed) another(t *testing.T) *bed {
	t.Helper()
	return b.as(b.Key(t, b.tenant, endpoint.KindOfYappr, endpoint.ScopeYapprRead, endpoint.ScopeYapprManage))
}

// A step is a request and what is to be answered.
type step struct {
	method, path, body string
	status             int
	code               string // of an error
	says               string // in its text
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	raw    []byte
}

// data is the object that a reply wraps.
func (a answer) data() map[string]any { d, _ := a.body["data"].(map[string]any); return d }

func (a answer) text(key string) string { s, _ := a.data()[key].(string); return s }

func (b *bed) ask(t *testing.T, method, path, body string) answer {
	t.Helper()
	w := b.Ask(t, method, path, body)
	a := answer{status: w.Code, header: w.Header(), raw: w.Body.Bytes()}
	if err := json.Unmarshal(a.raw, &a.body); err != nil {
		t.Fatalf("%s %s: %q is no JSON object", method, path, a.raw)
	}
	for _, h := range []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"} {
		if a.header.Get(h) == "" {
			t.Errorf("%s %s: no %s", method, path, h)
		}
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s %s: Content-Type %q", method, path, got)
	}
	return a
}

// must carries out a step, and fails the test where something else comes back.
func (b *bed) must(t *testing.T, s step) answer {
	t.Helper()
	a := b.ask(t, s.method, s.path, s.body)
	text, _ := a.body["error"].(string)
	code, _ := a.body["code"].(string)
	if a.status != s.status || code != s.code || !strings.Contains(text, s.says) {
		t.Errorf("%s %s %s\n got  %d %s %q\n want %d %s %q", s.method, s.path, s.body, a.status, code, text, s.status, s.code, s.says)
	}
	return a
}

// create makes an endpoint of a name.
func (b *bed) create(t *testing.T, more string) answer {
	t.Helper()
	return b.must(t, step{"POST", "/sip-endpoints", fmt.Sprintf(`{"name":"Night desk","inbound_agent_id":%q%s}`, b.agent, more), 201, "", ""})
}

var (
	ids     = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	secrets = regexp.MustCompile(`-[a-km-np-z2-9]{24}\b`)
	logins  = regexp.MustCompile(`trunk-[a-km-np-z2-9]{12}\b`)
	passes  = regexp.MustCompile(`"sip_password": "[a-km-np-z2-9]{32}"`)
)

// scrub replaces what is new in every run.
func (b *bed) scrub(text []byte) []byte {
	text = ids.ReplaceAllFunc(text, func(id []byte) []byte {
		lower := strings.ToLower(string(id))
		if b.words[lower] == "" {
			b.words[lower] = fmt.Sprintf("<id %d>", len(b.words))
		}
		if lower != string(id) {
			return []byte(strings.ToUpper(b.words[lower]))
		}
		return []byte(b.words[lower])
	})
	text = secrets.ReplaceAll(text, []byte("-<24 symbols>"))
	text = logins.ReplaceAll(text, []byte("<username>"))
	return passes.ReplaceAll(text, []byte(`"sip_password": "<password>"`))
}

// record writes requests and replies down, to be compared with the golden file
// of that name.
func (b *bed) record(t *testing.T, name string, steps ...step) {
	t.Helper()
	var out bytes.Buffer
	for _, s := range steps {
		a := b.must(t, s)
		fmt.Fprintf(&out, "%s %s\n", s.method, s.path)
		if s.body != "" {
			fmt.Fprintf(&out, "%s\n", s.body)
		}
		fmt.Fprintf(&out, "\n%d\n", a.status)
		for _, h := range []string{"Allow", "Retry-After", "Www-Authenticate", "X-Ratelimit-Limit", "X-Ratelimit-Remaining"} {
			if v := a.header.Get(h); v != "" {
				fmt.Fprintf(&out, "%s: %s\n", h, v)
			}
		}
		if err := json.Indent(&out, a.raw, "", "  "); err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n\n")
	}
	golden.Compare(t, filepath.Join("testdata", "contract", name+".txt"), b.scrub(out.Bytes()))
}

// TestTheContractRowByRow goes through the rows of the contract.
func TestTheContractRowByRow(t *testing.T) {
	t.Parallel()
	d := desk.New(t)
	for _, row := range []struct {
		row, claim string
		test       func(*testing.T, *bed)
	}{
		{"YP-1", "create answers with the whole endpoint", createAnswersWithTheWholeEndpoint},
		{"YP-2", "a slug is made of the name", aSlugIsMadeOfTheName},
		{"YP-3", "a slug that does not fit is refused", aSlugThatDoesNotFitIsRefused},
		{"YP-4", "what is not read is refused by name", whatIsNotReadIsRefusedByName},
		{"YP-5", "20 creations a UTC day, whatever is deleted", creationsADay},
		{"YP-6", "60 requests a minute of a key", requestsAMinute},
		{"YP-7", "errors have their codes", errorsHaveTheirCodes},
		{"YP-8", "changes and deletes count at once", changesAndDeletesCountAtOnce},
		{"YP-9", "webhooks are sent Yappr's body, without the slug", webhooksAreSentYapprsBody},
		{"YP-10", "a trunk's password is shown once", aTrunksPasswordIsShownOnce},
		{"list", "a list is paged, newest first", aListIsPaged},
		{"routes", "every route answers as documented", everyRouteAnswersAsDocumented},
		{"kinds", "other kinds are not there", otherKindsAreNotThere},
		{"[] choice", "an empty allowlist is refused, except where it is", anEmptyAllowlist},
		{"repeats", "a creation that is repeated makes nothing new", aRepeatedCreationMakesNothingNew},
		{"concurrency", "two changes at once both count", twoChangesAtOnceBothCount},
	} {
		t.Run(row.row+" "+row.claim, func(t *testing.T) {
			t.Parallel()
			row.test(t, newBed(t, d.Another(), strings.ToLower(strings.Trim(strings.ReplaceAll(row.row, " ", "-"), "[]-"))))
		})
	}
}

func createAnswersWithTheWholeEndpoint(t *testing.T, b *bed) {
	b.record(t, "create",
		step{"POST", "/sip-endpoints", fmt.Sprintf(`{"name":"Night desk","inbound_agent_id":%q,"slug":"night-desk","allowed_source_ips":["198.51.100.7","198.51.100.0/28"]}`, b.agent), 201, "", ""},
		step{"POST", "/sip-endpoints", fmt.Sprintf(`{"name":"Any source","inbound_agent_id":%q,"allowed_source_ips":null}`, b.agent), 201, "", ""},
		step{"POST", "/sip-endpoints", fmt.Sprintf(`{"name":"Six","inbound_agent_id":%q,"slug":"SIX","allowed_source_ips":["2001:db8::/32","203.0.113.5/24"]}`, strings.ToUpper(b.agent)), 201, "", ""},
	)
	slug := b.create(t, `,"slug":"night-desk"`).text("slug")
	if !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*-[a-km-np-z2-9]{24}$`).MatchString(slug) || !strings.HasPrefix(slug, "night-desk-") {
		t.Errorf("slug %q", slug)
	}
}

func aSlugIsMadeOfTheName(t *testing.T, b *bed) {
	for name, want := range map[string]string{
		"After hours support line": "after-hours", "מוקד לילה": "ep", "  24/7!  ": "24-7", "Test line": "ep", "admin": "ep",
		"a": "a", "Café Zürich": "caf-z-rich", "ABCDEFGHIJKLMNOP": "abcdefghijkl", "---": "ep", "sipper": "sipper", "x--y": "x-y",
	} {
		body, _ := json.Marshal(map[string]any{"name": name, "inbound_agent_id": b.agent})
		a := b.must(t, step{"POST", "/sip-endpoints", string(body), 201, "", ""})
		if got := a.text("slug"); len(got) < 25 || got[:len(got)-25] != want {
			t.Errorf("%q: slug %q, want the prefix %q", name, got, want)
		}
	}
}

func aSlugThatDoesNotFitIsRefused(t *testing.T, b *bed) {
	for _, slug := range []string{"-x", "x-", "a--b", "abcdefghijklm", "a b", "ünder", "a_b", "", "admin", "sip-foo", "Test", "support", "yappr-1"} {
		body, _ := json.Marshal(map[string]any{"name": "x", "inbound_agent_id": b.agent, "slug": slug})
		b.must(t, step{"POST", "/sip-endpoints", string(body), 400, "SIP_ENDPOINT_REQUEST_INVALID", "slug: "})
	}
	for slug, want := range map[string]string{"ABC": "abc", "a": "a", "tester": "tester", "abcdefghijkl": "abcdefghijkl", "1-2": "1-2"} {
		if got := b.create(t, fmt.Sprintf(`,"slug":%q`, slug)).text("slug"); !strings.HasPrefix(got, want+"-") {
			t.Errorf("%s became %s", slug, got)
		}
	}
	if got := b.ask(t, "GET", "/sip-endpoints", "").body["total"]; got != 5.0 {
		t.Errorf("%v endpoints, want the 5 whose slug fits", got)
	}
}

func whatIsNotReadIsRefusedByName(t *testing.T, b *bed) {
	made := "/sip-endpoints/" + b.create(t, "").text("id")
	const bad = "SIP_ENDPOINT_REQUEST_INVALID"
	post := func(body string) string { return fmt.Sprintf(`{"name":"x","inbound_agent_id":%q,%s}`, b.agent, body) }
	b.record(t, "refused-bodies",
		step{"POST", "/sip-endpoints", post(`"sip_password":"x"`), 400, bad, `"sip_password"`},
		step{"POST", "/sip-endpoints", post(`"transport":"tls","require_tls":true`), 400, bad, `"require_tls", "transport"`},
		step{"POST", "/sip-endpoints", post(`"max_concurrent_calls":2`), 400, bad, `"max_concurrent_calls"`},
		step{"POST", "/sip-endpoints", post(`"is_active":false`), 400, bad, `"is_active"`},
		step{"POST", "/sip-endpoints", post(`"auth_mode":"none"`), 400, bad, "auth_mode: "},
		step{"POST", "/sip-endpoints", fmt.Sprintf(`{"inbound_agent_id":%q}`, b.agent), 400, bad, "name: "},
		step{"POST", "/sip-endpoints", fmt.Sprintf(`{"name":"  ","inbound_agent_id":%q}`, b.agent), 400, bad, "name: "},
		step{"POST", "/sip-endpoints", fmt.Sprintf(`{"name":7,"inbound_agent_id":%q}`, b.agent), 400, bad, "name: "},
		step{"POST", "/sip-endpoints", `{"name":"x"}`, 400, bad, "inbound_agent_id: "},
		step{"POST", "/sip-endpoints", `{"name":"x","inbound_agent_id":"bob"}`, 400, bad, "inbound_agent_id: "},
		step{"POST", "/sip-endpoints", `{"name":"x","inbound_agent_id":"6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0009"}`, 422, "INVALID_AGENT", "inbound_agent_id: "},
		step{"POST", "/sip-endpoints", post(`"allowed_source_ips":["203.0.113.0/24","nonsense"]`), 400, bad, "allowed_source_ips[1]: "},
		step{"POST", "/sip-endpoints", post(`"allowed_source_ips":[]`), 400, bad, "allowed_source_ips: must be null or non-empty"},
		step{"POST", "/sip-endpoints", post(`"allowed_source_ips":"203.0.113.7"`), 400, bad, "allowed_source_ips: "},
		step{"POST", "/sip-endpoints", `[]`, 400, bad, "JSON object"},
		step{"POST", "/sip-endpoints", `{"name":`, 400, bad, "JSON object"},
		step{"PATCH", made, `{"slug":"other"}`, 400, bad, "slug: "},
		step{"PATCH", made, `{"id":"x"}`, 400, bad, `"id"`},
		step{"PATCH", made, `{"sip_uri":"sip:x@y"}`, 400, bad, `"sip_uri"`},
		step{"PATCH", made, `{}`, 400, bad, "at least one of"},
		step{"PATCH", made, `{"is_active":"yes"}`, 400, bad, "is_active: "},
		step{"PATCH", made, `{"name":null}`, 400, bad, "name: "},
		step{"PATCH", made, `{"allowed_source_ips":[]}`, 400, bad, "must be null or non-empty"},
		step{"PATCH", made, `{"inbound_agent_id":null}`, 400, bad, "inbound_agent_id: "},
		step{"PATCH", made, `{"inbound_agent_id":"6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0009"}`, 422, "INVALID_AGENT", "inbound_agent_id: "},
		step{"PATCH", made, `{"max_concurrent_calls":2}`, 400, bad, `"max_concurrent_calls"`},
		step{"GET", "/sip-endpoints?status=active", "", 400, "SIP_ENDPOINT_QUERY_INVALID", `"status"`},
		step{"GET", "/sip-endpoints?limit=0", "", 400, "SIP_ENDPOINT_QUERY_INVALID", "limit: "},
		step{"GET", "/sip-endpoints?limit=many", "", 400, "SIP_ENDPOINT_QUERY_INVALID", "limit: "},
		step{"GET", "/sip-endpoints?offset=-1", "", 400, "SIP_ENDPOINT_QUERY_INVALID", "offset: "},
		step{"GET", "/sip-endpoints?offset=1&offset=2", "", 400, "SIP_ENDPOINT_QUERY_INVALID", "offset: "},
		step{"DELETE", made + "?dry_run=true", "", 400, "SIP_ENDPOINT_QUERY_INVALID", `"dry_run"`},
		step{"GET", made, "", 200, "", ""},
	)
	many := strings.Repeat(`"203.0.113.7",`, 51)
	b.must(t, step{"POST", "/sip-endpoints", post(`"allowed_source_ips":[` + many[:len(many)-1] + `]`), 400, bad, "51 entries"})
	b.must(t, step{"POST", "/sip-endpoints", post(`"name":"` + strings.Repeat("n", 201) + `"`), 400, bad, "name: "})
}

func creationsADay(t *testing.T, b *bed) {
	for i := range 20 {
		id := b.create(t, "").text("id")
		if i%5 == 0 {
			b.must(t, step{"DELETE", "/sip-endpoints/" + id, "", 200, "", ""})
		}
	}
	over := step{"POST", "/sip-endpoints", fmt.Sprintf(`{"name":"x","inbound_agent_id":%q}`, b.agent), 429, "RATE_LIMIT", "today"}
	b.must(t, over)
	next := b.another(t) // the limit is the company's, not the key's
	next.must(t, over)
	next.must(t, step{"GET", "/sip-endpoints", "", 200, "", ""})
}

func requestsAMinute(t *testing.T, b *bed) {
	for i := range 60 {
		path := []string{"/sip-endpoints?limit=1", "/sip-endpoints/nonsense", "/sip-endpoints?x=1"}[i%3]
		a := b.ask(t, "GET", path, "")
		if a.status == 429 || a.header.Get("X-Ratelimit-Remaining") != fmt.Sprint(59-i) || a.header.Get("X-Ratelimit-Limit") != "60" {
			t.Fatalf("request %d: %d with %v", i+1, a.status, a.header)
		}
	}
	a := b.must(t, step{"GET", "/sip-endpoints", "", 429, "RATE_LIMIT", "this minute"})
	if got := a.header.Get("Retry-After"); got != "60" {
		t.Errorf("Retry-After %q, want 60", got)
	}
	if got, want := a.header.Get("X-Ratelimit-Reset"), fmt.Sprint(b.Now().Add(time.Minute).Unix()); got != want {
		t.Errorf("X-RateLimit-Reset %s, want %s", got, want)
	}
	b.another(t).must(t, step{"GET", "/sip-endpoints", "", 200, "", ""})
}

func errorsHaveTheirCodes(t *testing.T, b *bed) {
	soon := b.Now().Add(time.Second)
	expired := desk.Native[control.MadeKey](t, b.Desk, b.tenant, "key", "create",
		control.NewKey{Name: "k", Kind: endpoint.KindOfYappr, Scopes: []string{endpoint.ScopeYapprRead}, ExpiresAt: &soon})
	revoked := desk.Native[control.MadeKey](t, b.Desk, b.tenant, "key", "create",
		control.NewKey{Name: "k", Kind: endpoint.KindOfYappr, Scopes: []string{endpoint.ScopeYapprRead}})
	desk.Native[control.KeyView](t, b.Desk, b.tenant, "key", "revoke", control.Target{ID: revoked.ID})
	b.Pass(2 * time.Second)
	list := func(status int, code string) step { return step{"GET", "/sip-endpoints", "", status, code, ""} }
	b.as("").record(t, "errors-no-key", list(401, "MISSING_KEY"))
	b.as("ypr_live_nonsense").record(t, "errors-foreign-key", list(401, "INVALID_KEY"))
	b.as(revoked.Secret).must(t, list(401, "INVALID_KEY"))
	b.as(expired.Secret).record(t, "errors-expired-key", list(401, "EXPIRED_KEY"))
	reader := b.as(b.Key(t, b.tenant, endpoint.KindOfYappr, endpoint.ScopeYapprRead))
	reader.record(t, "errors-scope",
		step{"POST", "/sip-endpoints", `{}`, 401, "INSUFFICIENT_SCOPE", "sip_endpoints:manage"},
		list(200, ""))
	writer := b.as(b.Key(t, b.tenant, endpoint.KindOfYappr, endpoint.ScopeYapprManage))
	writer.must(t, step{"GET", "/sip-endpoints", "", 401, "INSUFFICIENT_SCOPE", "sip_endpoints:read"})
	made := "/sip-endpoints/" + writer.create(t, "").text("id")
	writer.must(t, step{"PATCH", made, `{"name":"renamed"}`, 200, "", ""})
	writer.must(t, step{"DELETE", made, "", 200, "", ""})
	native := b.as(b.Key(t, b.tenant, endpoint.KindOfNative, endpoint.ScopeAll))
	native.must(t, list(200, ""))
	other := newBed(t, b.Desk, b.tenant+"-other")
	theirs := "/sip-endpoints/" + other.create(t, "").text("id")
	for _, s := range []step{{"GET", theirs, "", 404, "", "not found"}, {"PATCH", theirs, `{"name":"mine"}`, 404, "", "not found"},
		{"DELETE", theirs, "", 404, "", "not found"}, {"POST", theirs + "/rotate-password", "", 404, "", "not found"},
		{"POST", "/sip-endpoints", fmt.Sprintf(`{"name":"x","inbound_agent_id":%q}`, other.agent), 422, "INVALID_AGENT", ""}} {
		b.must(t, s)
	}
}

func changesAndDeletesCountAtOnce(t *testing.T, b *bed) {
	made := b.create(t, `,"slug":"desk","allowed_source_ips":["198.51.100.7"]`)
	b.words[made.text("id")] = "<endpoint>"
	path := "/sip-endpoints/" + made.text("id")
	b.Pass(time.Minute)
	b.record(t, "change-and-delete",
		step{"GET", path, "", 200, "", ""},
		step{"PATCH", path, `{"is_active":false}`, 200, "", ""},
		step{"PATCH", path, `{"name":"Day desk","allowed_source_ips":["203.0.113.0/24","198.51.100.7"]}`, 200, "", ""},
		step{"PATCH", path, `{"allowed_source_ips":null,"is_active":true}`, 200, "", ""},
		step{"DELETE", path, "", 200, "", ""},
		step{"GET", path, "", 404, "", "not found"},
		step{"PATCH", path, `{"name":"again"}`, 404, "", "not found"},
		step{"DELETE", path, "", 404, "", "not found"},
	)
}

func webhooksAreSentYapprsBody(t *testing.T, b *bed) {
	slug := b.create(t, "").text("slug")
	began := b.Now()
	facts := actors.CallFacts{Direction: actors.Inbound, Agent: b.agent, From: call.Party{User: "+15550100", URI: "sip:+15550100@pbx.example.net"},
		To: call.Party{User: endpoint.Slug(slug).String()}, Created: began, Answered: began.Add(time.Second), Ended: began.Add(43 * time.Second)}
	for name, ev := range map[string]actors.CallEvent{"call.started": {Type: "call.started", Facts: &actors.CallFacts{Direction: facts.Direction,
		Agent: facts.Agent, From: facts.From, To: facts.To, Created: began}}, "call.ended": {Type: "call.ended", Facts: &facts}} {
		ev.Call, ev.At = 7, began
		body, err := bodies.Render(endpoint.WebhookYappr, &bodies.Event{CallEvent: ev, Company: "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001"})
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		data, _ := got["data"].(map[string]any)
		if got["event"] != name || got["agent_id"] != b.agent || got["company_id"] != "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001" || got["call_id"] == "" ||
			got["timestamp"] != "2026-01-02T12:04:05.000Z" || data["direction"] != "inbound" || data["from_number"] != "+15550100" {
			t.Errorf("%s: %s", name, body)
		}
		if to, there := data["to_number"]; !there || to != nil || strings.Contains(string(body), slug[:4]) {
			t.Errorf("%s says what was dialled, which is a credential: %s", name, body)
		}
		if name == "call.ended" && (data["duration_seconds"] != 42.0 || data["status"] != "completed") {
			t.Errorf("%s: %s", name, body)
		}
	}
}

func aTrunksPasswordIsShownOnce(t *testing.T, b *bed) {
	const bad = "SIP_ENDPOINT_REQUEST_INVALID"
	post := func(more string) string {
		return fmt.Sprintf(`{"name":"Main office PBX","inbound_agent_id":%q,"auth_mode":"credentials"%s}`, b.agent, more)
	}
	made := b.must(t, step{"POST", "/sip-endpoints", post(`,"max_concurrent_calls":5`), 201, "", ""})
	path, first := "/sip-endpoints/"+made.text("id"), made.text("sip_password")
	b.words[made.text("id")] = "<endpoint>"
	b.record(t, "trunk",
		step{"GET", "/sip-endpoints/status", "", 200, "", ""},
		step{"GET", path, "", 200, "", ""},
		step{"PATCH", path, `{"max_concurrent_calls":8,"is_active":false}`, 200, "", ""},
		step{"POST", path + "/rotate-password", "", 200, "", ""},
		step{"GET", path, "", 200, "", ""},
		step{"POST", "/sip-endpoints", post(``), 201, "", ""},
		step{"POST", "/sip-endpoints", post(`,"max_concurrent_calls":null`), 400, bad, "max_concurrent_calls: "},
		step{"POST", "/sip-endpoints", post(`,"max_concurrent_calls":9`), 400, bad, "max_concurrent_calls: "},
		step{"POST", "/sip-endpoints", post(`,"max_concurrent_calls":0`), 400, bad, "max_concurrent_calls: "},
		step{"POST", "/sip-endpoints", post(`,"max_concurrent_calls":2.5`), 400, bad, "max_concurrent_calls: "},
		step{"POST", "/sip-endpoints", post(`,"slug":"x"`), 400, bad, `"slug"`},
		step{"POST", "/sip-endpoints", post(`,"sip_username":"x"`), 400, bad, `"sip_username"`},
		step{"PATCH", path, `{"max_concurrent_calls":null}`, 400, bad, "max_concurrent_calls: "},
		step{"PATCH", path, `{"sip_password":"mine"}`, 400, bad, `"sip_password"`},
		step{"POST", "/sip-endpoints", fmt.Sprintf(`{"name":"x","inbound_agent_id":%q,"auth_mode":"register","register":{"server":"sip1.example.net","username":"101","password":"p"}}`, b.agent), 403, "SIP_REGISTER_NOT_ENABLED", ""},
	)
	rotated := b.must(t, step{"POST", path + "/rotate-password", "", 200, "", ""}).text("sip_password")
	if len(first) != 32 || len(rotated) != 32 || first == rotated {
		t.Errorf("passwords %d and %d symbols long, the same: %v", len(first), len(rotated), first == rotated)
	}
	list := b.ask(t, "GET", "/sip-endpoints", "")
	if strings.Contains(string(list.raw), "sip_password") || strings.Contains(string(list.raw), rotated) {
		t.Error("a list shows a password")
	}
	slug := b.create(t, "").text("id")
	b.must(t, step{"POST", "/sip-endpoints/" + slug + "/rotate-password", "", 409, "NOT_SUPPORTED_FOR_MODE", ""})
	b.must(t, step{"DELETE", path, "", 200, "", ""})
	if _, err := b.Store.UpdateAccount(t.Context(), withoutDomain(t, b), endpoint.Terms{}); err == nil {
		b.must(t, step{"POST", "/sip-endpoints", post(""), 403, "SIP_TRUNKS_NOT_ENABLED", "sip.domain_label"})
	}
}

// withoutDomain returns the account as it is before it has a domain.
func withoutDomain(t *testing.T, b *bed) endpoint.Account {
	t.Helper()
	a, err := b.Store.AccountByTenant(t.Context(), b.tenant)
	if err != nil {
		t.Fatal(err)
	}
	a.SIP.DomainIdentifier = ""
	return a
}

func aListIsPaged(t *testing.T, b *bed) {
	b.record(t, "list-empty", step{"GET", "/sip-endpoints", "", 200, "", ""})
	var made []string
	for range 5 {
		b.Pass(time.Second)
		made = append(made, b.create(t, "").text("id"))
	}
	var seen []string
	for offset := 0; offset < 6; offset += 2 {
		a := b.must(t, step{"GET", fmt.Sprintf("/sip-endpoints?limit=2&offset=%d", offset), "", 200, "", ""})
		if a.body["total"] != 5.0 || a.body["limit"] != 2.0 || a.body["offset"] != float64(offset) {
			t.Errorf("at %d: total %v, limit %v, offset %v", offset, a.body["total"], a.body["limit"], a.body["offset"])
		}
		for _, item := range a.body["data"].([]any) {
			seen = append(seen, item.(map[string]any)["id"].(string))
		}
	}
	for i, id := range made {
		if len(seen) != 5 || seen[4-i] != id {
			t.Fatalf("%v were made and %v listed, want the newest first", made, seen)
		}
	}
	if a := b.ask(t, "GET", "/sip-endpoints?limit=1000", ""); a.body["limit"] != 200.0 {
		t.Errorf("a limit of 1000 became %v, want 200", a.body["limit"])
	}
	if a := b.ask(t, "GET", "/sip-endpoints?offset=5", ""); a.status != 200 || len(a.body["data"].([]any)) != 0 {
		t.Errorf("past the end: %d %s", a.status, a.raw)
	}
}

func everyRouteAnswersAsDocumented(t *testing.T, b *bed) {
	path := "/sip-endpoints/" + b.create(t, "").text("id")
	b.record(t, "routes",
		step{"GET", "/", "", 200, "", ""},
		step{"PUT", "/sip-endpoints", "{}", 405, "METHOD_NOT_ALLOWED", "GET, POST"},
		step{"PUT", path, "{}", 405, "METHOD_NOT_ALLOWED", "DELETE, GET, PATCH"},
		step{"POST", "/sip-endpoints/status", "", 405, "METHOD_NOT_ALLOWED", "GET"},
		step{"GET", path + "/rotate-password", "", 405, "METHOD_NOT_ALLOWED", "POST"},
		step{"GET", path + "/nonsense", "", 404, "ROUTE_NOT_FOUND", ""},
		step{"GET", "/sip-endpoints/", "", 404, "ROUTE_NOT_FOUND", ""},
		step{"GET", "/sip-endpoints/nonsense", "", 404, "", "not found"},
		step{"GET", "/sip-endpoints/6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0009", "", 404, "", "not found"},
	)
	b.as("").must(t, step{"GET", "/", "", 200, "", ""})
	b.as("").must(t, step{"GET", path + "/nonsense", "", 401, "MISSING_KEY", ""})
}

func otherKindsAreNotThere(t *testing.T, b *bed) {
	mine := b.create(t, "").text("id")
	native := desk.Native[control.EndpointView](t, b.Desk, b.tenant, "endpoint", "create", control.NewEndpoint{User: "sales", AgentID: b.agent})
	path := "/sip-endpoints/" + native.ID
	for _, s := range []step{{"GET", path, "", 404, "", "not found"}, {"PATCH", path, `{"name":"x"}`, 404, "", "not found"},
		{"DELETE", path, "", 404, "", "not found"}, {"POST", path + "/rotate-password", "", 404, "", "not found"}} {
		b.must(t, s)
	}
	list := b.ask(t, "GET", "/sip-endpoints", "")
	if list.body["total"] != 1.0 || !strings.Contains(string(list.raw), mine) || strings.Contains(string(list.raw), native.ID) {
		t.Errorf("list: %s", list.raw)
	}
	register := desk.Native[control.EndpointView](t, b.Desk, b.tenant, "endpoint", "create", control.NewEndpoint{Kind: endpoint.KindRegister, AgentID: b.agent,
		Spec: json.RawMessage(`{"name":"Extension","register":{"server":"sip1.example.net","username":"101","password":"secret"}}`)})
	b.record(t, "register",
		step{"GET", "/sip-endpoints/" + register.ID, "", 200, "", ""},
		step{"PATCH", "/sip-endpoints/" + register.ID, `{"name":"Renamed"}`, 200, "", ""},
		step{"PATCH", "/sip-endpoints/" + register.ID, `{"register":{"password":"new"}}`, 403, "SIP_REGISTER_NOT_ENABLED", ""},
		step{"POST", "/sip-endpoints/" + register.ID + "/rotate-password", "", 409, "NOT_SUPPORTED_FOR_MODE", ""},
		step{"DELETE", "/sip-endpoints/" + register.ID, "", 200, "", ""},
	)
}

func anEmptyAllowlist(t *testing.T, b *bed) {
	none := desk.Native[control.EndpointView](t, b.Desk, b.tenant, "endpoint", "create",
		control.NewEndpoint{AgentID: b.agent, Spec: json.RawMessage(`{"name":"nobody","ip":{"mode":"none"}}`)})
	path := "/sip-endpoints/" + none.ID
	got := b.must(t, step{"GET", path, "", 200, "", ""})
	if list, ok := got.data()["allowed_source_ips"].([]any); !ok || len(list) != 0 {
		t.Errorf("an endpoint that admits nobody shows %v, want []", got.data()["allowed_source_ips"])
	}
	b.must(t, step{"PATCH", path, `{"allowed_source_ips":[],"name":"still nobody"}`, 200, "", ""})
	if now := desk.Native[control.EndpointView](t, b.Desk, b.tenant, "endpoint", "get", control.ID{ID: none.ID}); now.IP.Mode != endpoint.IPNone || now.Name != "still nobody" {
		t.Errorf("written back unchanged it became %+v", now.IP)
	}
	b.must(t, step{"PATCH", path, `{"allowed_source_ips":["203.0.113.7"]}`, 200, "", ""})
	b.must(t, step{"PATCH", path, `{"allowed_source_ips":[]}`, 400, "SIP_ENDPOINT_REQUEST_INVALID", "must be null or non-empty"})
}

func aRepeatedCreationMakesNothingNew(t *testing.T, b *bed) {
	again := b.as("")
	again.Headers = b.Headers.Clone()
	again.Headers.Set("Idempotency-Key", "once-and-no-more-than-that")
	one, other := again.create(t, ""), again.create(t, "")
	if one.text("id") != other.text("id") || one.text("slug") != other.text("slug") {
		t.Errorf("made %s, then %s", one.raw, other.raw)
	}
	again.must(t, step{"POST", "/sip-endpoints", fmt.Sprintf(`{"name":"Another","inbound_agent_id":%q}`, b.agent), 409, "CONFLICT", "idempotency key"})
	again.Headers.Set("Idempotency-Key", "a-password-is-shown-once")
	trunk := fmt.Sprintf(`{"name":"PBX","inbound_agent_id":%q,"auth_mode":"credentials"}`, b.agent)
	again.must(t, step{"POST", "/sip-endpoints", trunk, 201, "", ""})
	again.must(t, step{"POST", "/sip-endpoints", trunk, 409, "CONFLICT", ""})
	if got := b.ask(t, "GET", "/sip-endpoints", "").body["total"]; got != 2.0 {
		t.Errorf("%v endpoints, want 2", got)
	}
}

func twoChangesAtOnceBothCount(t *testing.T, b *bed) {
	path := "/sip-endpoints/" + b.create(t, "").text("id")
	done := make(chan int, 2)
	for _, body := range []string{`{"name":"renamed"}`, `{"is_active":false}`} {
		go func() { done <- b.Ask(t, "PATCH", path, body).Code }()
	}
	if one, other := <-done, <-done; one != 200 || other != 200 {
		t.Errorf("got %d and %d", one, other)
	}
	if now := b.ask(t, "GET", path, ""); now.text("name") != "renamed" || now.data()["is_active"] != false {
		t.Errorf("one of the changes is lost: %s", now.raw)
	}
}
