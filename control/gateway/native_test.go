package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/control/gateway"
)

const agentPath = "/v1/agents/b07a9d3e-52c4-4e0b-8f61-0c9d7a3e1f22"

func TestAKeyComesInEitherHeader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		head map[string]string
		good bool
	}{
		"Bearer":               {map[string]string{"Authorization": "Bearer " + goodKey}, true},
		"bearer in lower case": {map[string]string{"Authorization": "bearer " + goodKey}, true},
		"X-API-Key":            {map[string]string{"Authorization": "", "X-API-Key": goodKey}, true},
		"both, the same":       {map[string]string{"X-API-Key": goodKey}, true},
		"both, not the same":   {map[string]string{"X-API-Key": "another"}, false},
		"none":                 {map[string]string{"Authorization": ""}, false},
		"a wrong one":          {map[string]string{"Authorization": "Bearer pbk_wrong"}, false},
		"Basic":                {map[string]string{"Authorization": "Basic " + goodKey}, false},
	} {
		d := &desk{reply: json.RawMessage(`{}`)}
		resp := do(t, d, call{"GET", "/v1/account", "", c.head})
		if c.good {
			if resp.StatusCode != 200 || len(d.asked) != 1 {
				t.Errorf("%s: %s", name, resp.Status)
			}
			continue
		}
		refused(t, resp, 401, control.CodeDenied)
		if resp.Header.Get("WWW-Authenticate") == "" || len(d.asked) != 0 {
			t.Errorf("%s: %v, asked %d times", name, resp.Header, len(d.asked))
		}
	}
}

func TestEveryCodeHasItsStatusAndSaysWhereItIsExplained(t *testing.T) {
	t.Parallel()
	for _, line := range decoded[[]struct {
		Code control.Code
		HTTP int
	}](t, example(t, "codes")) {
		d := &desk{err: &control.Error{Code: line.Code, Message: "as asked"}}
		p := refused(t, do(t, d, call{method: "GET", path: "/v1/account"}), line.HTTP, line.Code)
		if p.Type != "/reference#"+string(line.Code) || p.Title == "" || p.Detail != "as asked" {
			t.Errorf("%s: %+v", line.Code, p)
		}
	}
	p := refused(t, do(t, &desk{err: fmt.Errorf("pq: password of %s", "db")}, call{method: "GET", path: "/v1/account"}), 500, control.CodeInternal)
	if strings.Contains(p.Detail, "password") {
		t.Errorf("a client hears of what is ours: %+v", p)
	}
}

func TestAllMistakesOfARequestAreToldAtOnce(t *testing.T) {
	t.Parallel()
	d := &desk{}
	p := refused(t, do(t, d, call{"GET", "/v1/agents?limit=many&cursor=a&cursor=b&colour=red", "", nil}), 400, control.CodeInvalid)
	if got := p.fields(); !slices.Equal(got, []string{"colour unknown", "cursor invalid", "limit invalid"}) {
		t.Errorf("query: %q", got)
	}
	p = refused(t, do(t, d, call{"POST", "/v1/numbers?dry=1", `{"numbr":"+1555","endpoint_id":"x","trnk":""}`, nil}), 400, control.CodeInvalid)
	if got := p.fields(); !slices.Equal(got, []string{"dry unknown", "numbr unknown", "trnk unknown"}) {
		t.Errorf("body: %q", got)
	}
	d.err = &control.Error{Code: control.CodeInvalid, Message: "the request is wrong", Problems: []endpoint.Problem{
		{Field: "webrtc.url", Code: "required", Message: "want one"}, {Field: "name", Code: "too_long", Message: "shorter"}}}
	p = refused(t, do(t, d, call{"POST", "/v1/agents", `{"nmae":"x"}`, nil}), 400, control.CodeInvalid)
	if got := p.fields(); !slices.Equal(got, []string{"webrtc.url required", "name too_long"}) {
		t.Errorf("from the operation: %q", got)
	}
	if body := d.asked[0].Body; string(body) != `{"spec":{"nmae":"x"}}` {
		t.Errorf("what is no field of the request is the spec's to judge: %s", body)
	}
}

func TestBodiesThatAreNoJSONObjectAreRefused(t *testing.T) {
	t.Parallel()
	for body, status := range map[string]int{`[]`: 400, `{"a":`: 400, `null`: 400, `{} {}`: 400, `"text"`: 400,
		`{"name":"` + strings.Repeat("x", gateway.MaxBody) + `"}`: 413} {
		d := &desk{}
		if p := refused(t, do(t, d, call{"POST", "/v1/agents", body, nil}), status, control.CodeInvalid); len(p.Problems) != 1 || len(d.asked) != 0 {
			t.Errorf("%.20s: %+v", body, p)
		}
	}
	for kind, status := range map[string]int{"text/plain": 415, "application/x-www-form-urlencoded": 415, "": 415,
		"application/json; charset=utf-8": 200, "application/merge-patch+json": 200} {
		d := &desk{reply: json.RawMessage(`{}`)}
		if resp := do(t, d, call{"PATCH", agentPath, `{}`, map[string]string{"Content-Type": kind}}); resp.StatusCode != status {
			t.Errorf("%q: %s", kind, resp.Status)
		}
	}
	if resp := do(t, &desk{reply: json.RawMessage(`{}`)}, call{method: "POST", path: "/v1/keys/k/revoke"}); resp.StatusCode != 200 {
		t.Errorf("no body where none is needed: %s", resp.Status)
	}
}

func TestARevisionIsAnETag(t *testing.T) {
	t.Parallel()
	agent := json.RawMessage(`{"id":"a","revision":12}`)
	resp := do(t, &desk{reply: agent}, call{method: "GET", path: agentPath})
	if got := resp.Header.Get("ETag"); got != `"12"` || resp.StatusCode != 200 {
		t.Fatalf("%s, ETag %s", resp.Status, got)
	}
	for given, status := range map[string]int{`"12"`: 304, `W/"12"`: 304, `"11", "12"`: 304, `*`: 304, `"11"`: 200} {
		resp := do(t, &desk{reply: agent}, call{"GET", agentPath, "", map[string]string{"If-None-Match": given}})
		if resp.StatusCode != status || status == 304 && (len(bodyOf(t, resp)) > 0 || resp.Header.Get("ETag") != `"12"`) {
			t.Errorf("If-None-Match %s: %s", given, resp.Status)
		}
	}
	for _, c := range []struct{ method, body string }{{"PATCH", `{"name":"x"}`}, {"DELETE", ""}} {
		d := &desk{reply: agent}
		do(t, d, call{c.method, agentPath, c.body, map[string]string{"If-Match": `"12"`}})
		if len(d.asked) != 1 || !strings.Contains(string(d.asked[0].Body), `"revision":12`) {
			t.Errorf("%s: asked %v", c.method, d.asked)
		}
		d = &desk{reply: agent}
		do(t, d, call{c.method, agentPath, c.body, map[string]string{"If-Match": "*"}})
		if len(d.asked) != 1 || strings.Contains(string(d.asked[0].Body), "revision") {
			t.Errorf("%s at any revision: asked %v", c.method, d.asked)
		}
		for _, wrong := range []string{`W/"12"`, `12`, `"12", "13"`, `"0"`, `"x"`} {
			p := refused(t, do(t, &desk{}, call{c.method, agentPath, c.body, map[string]string{"If-Match": wrong}}), 400, control.CodeInvalid)
			if got := p.fields(); !slices.Equal(got, []string{"If-Match invalid"}) {
				t.Errorf("%s, If-Match %s: %q", c.method, wrong, got)
			}
		}
	}
	p := refused(t, do(t, &desk{}, call{"POST", "/v1/calls/c/hangup", "", map[string]string{"If-Match": `"1"`}}), 400, control.CodeInvalid)
	if got := p.fields(); !slices.Equal(got, []string{"If-Match not_supported"}) {
		t.Errorf("where nothing has a revision: %q", got)
	}
}

func TestAChangedObjectIs412WhereTheClientSaidWhichItMeant(t *testing.T) {
	t.Parallel()
	stale := func() *desk { return &desk{err: fmt.Errorf("update agent: %w", endpoint.ErrConflict)} }
	refused(t, do(t, stale(), call{"PATCH", agentPath, `{}`, map[string]string{"If-Match": `"3"`}}), 412, control.CodeConflict)
	refused(t, do(t, stale(), call{"PATCH", agentPath, `{}`, nil}), 409, control.CodeConflict)
	other := &desk{err: &control.Error{Code: control.CodeConflict, Message: "the key is good: revoke it first"}}
	refused(t, do(t, other, call{"DELETE", "/v1/keys/k", "", map[string]string{"If-Match": `"3"`}}), 409, control.CodeConflict)
}

func TestAPageLeadsToTheNext(t *testing.T) {
	t.Parallel()
	d := &desk{reply: json.RawMessage(`{"items":[],"next":"a/b=="}`)}
	resp := do(t, d, call{method: "GET", path: "/v1/agents?limit=2"})
	link := resp.Header.Get("Link")
	if link != `</v1/agents?cursor=a%2Fb%3D%3D&limit=2>; rel="next"` {
		t.Fatalf("Link: %s", link)
	}
	path, _, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	d.reply = json.RawMessage(`{"items":[]}`)
	resp = do(t, d, call{method: "GET", path: path})
	if got := string(d.asked[1].Body); got != `{"cursor":"a/b==","limit":2}` || resp.Header.Get("Link") != "" {
		t.Errorf("the next page asks %s, and leads to %q", got, resp.Header.Get("Link"))
	}
}

func TestACreationHasALocationAndAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	d := &desk{reply: json.RawMessage(`{"id":"b07a9d3e","revision":1}`)}
	resp := do(t, d, call{"POST", "/v1/agents", `{"id":"b07a9d3e","name":"x <y>"}`, map[string]string{"Idempotency-Key": "order-7"}})
	if resp.StatusCode != 201 || resp.Header.Get("Location") != "/v1/agents/b07a9d3e" {
		t.Errorf("%s, Location %s", resp.Status, resp.Header.Get("Location"))
	}
	if got := d.asked[0]; got.IdempotencyKey != "order-7" || string(got.Body) != `{"id":"b07a9d3e","spec":{"name":"x <y>"}}` {
		t.Errorf("asked %+v %s", got, got.Body)
	}
}

func TestWhatIsLeftOfTheRateIsInTheHeaders(t *testing.T) {
	t.Parallel()
	left := control.Rate{Limit: 60, Remaining: 41, Reset: 18500 * time.Millisecond}
	want := map[string]string{"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "41", "X-RateLimit-Reset": fmt.Sprint(now.Unix() + 19),
		"RateLimit-Policy": `"minute";q=60;w=60`, "RateLimit": `"minute";r=41;t=19`}
	for name, c := range map[string]struct {
		desk *desk
		call call
	}{
		"good":         {&desk{rate: left, reply: json.RawMessage(`{}`)}, call{method: "GET", path: "/v1/account"}},
		"refused":      {&desk{rate: left, err: endpoint.ErrNotFound}, call{method: "GET", path: "/v1/account"}},
		"wrong itself": {&desk{rate: left}, call{method: "GET", path: "/v1/account?x=y"}},
		"too many":     {&desk{rate: left, count: &control.Error{Code: control.CodeRate, Message: "later", RetryAfterMs: 1200}}, call{method: "GET", path: "/v1/account"}},
	} {
		resp := do(t, c.desk, c.call)
		for head, value := range want {
			if got := resp.Header.Get(head); got != value {
				t.Errorf("%s: %s: %s, want %s", name, head, got, value)
			}
		}
		if name == "too many" && (resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "2" || len(c.desk.asked) != 0) {
			t.Errorf("%s: %s, Retry-After %s", name, resp.Status, resp.Header.Get("Retry-After"))
		}
		if name == "good" && !c.desk.asked[0].Counted {
			t.Errorf("%s: it would be counted twice", name)
		}
	}
	if resp := do(t, &desk{reply: json.RawMessage(`{}`)}, call{method: "GET", path: "/v1/account"}); resp.Header.Get("X-RateLimit-Limit") != "" {
		t.Error("an account without a limit is shown one")
	}
}

func TestAPathSaysWhichMethodsItHas(t *testing.T) {
	t.Parallel()
	for path, allow := range map[string]string{
		"/v1/agents": "GET, HEAD, POST, OPTIONS", agentPath: "GET, HEAD, PATCH, DELETE, OPTIONS", "/v1/calls/c/hangup": "POST, OPTIONS"} {
		resp := do(t, &desk{}, call{method: "PUT", path: path, body: "{}"})
		if resp.Header.Get("Allow") != allow {
			t.Errorf("PUT %s: Allow %s, want %s", path, resp.Header.Get("Allow"), allow)
		}
		refused(t, resp, 405, control.CodeInvalid)
		resp = do(t, &desk{}, call{"OPTIONS", path, "", map[string]string{"Authorization": "", "Origin": "https://evil.example.com"}})
		if resp.StatusCode != 204 || resp.Header.Get("Allow") != allow || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("OPTIONS %s: %s, %v", path, resp.Status, resp.Header)
		}
	}
	for _, path := range []string{"/v1/", "/v1/nothing", "/v1/agents/a/b/c", "/v2/agents"} {
		refused(t, do(t, &desk{}, call{method: "GET", path: path}), 404, control.CodeNotFound)
		refused(t, do(t, &desk{}, call{method: http.MethodOptions, path: path}), 404, control.CodeNotFound)
	}
	d := &desk{reply: json.RawMessage(`{"id":"a","revision":3}`)}
	if resp := do(t, d, call{method: "HEAD", path: agentPath}); resp.StatusCode != 200 || resp.Header.Get("ETag") != `"3"` || d.asked[0].Verb != "get" {
		t.Errorf("HEAD: %s, %v", resp.Status, resp.Header)
	}
}

func TestASourceWithASlashIsOneName(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"/v1/blocks/203.0.113.0/28": "203.0.113.0/28", "/v1/blocks/203.0.113.0%2F28": "203.0.113.0/28", "/v1/blocks/2001:db8::/32": "2001:db8::/32"} {
		d := &desk{reply: json.RawMessage(`{"deleted":"x"}`)}
		resp := do(t, d, call{method: "DELETE", path: path})
		if resp.StatusCode != 204 || len(d.asked) != 1 || string(d.asked[0].Body) != `{"source":"`+want+`"}` {
			t.Errorf("%s: %s, %v", path, resp.Status, d.asked)
		}
	}
}
