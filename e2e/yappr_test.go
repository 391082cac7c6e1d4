package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay/e2e/rig"
)

// yappr asks a node's API as a client of Yappr does, with the node's first key.
type yappr struct {
	*bed
	key string
}

func yapprOf(t *testing.T, b *bed) *yappr {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(b.Dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &yappr{b, strings.TrimSpace(string(key))}
}

// ask sends one request and returns its status and what the reply wraps.
func (y *yappr) ask(t *testing.T, method, path, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+y.HTTP+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+y.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("X-RateLimit-Remaining") == "" {
		t.Errorf("%s %s: no X-RateLimit-Remaining", method, path)
	}
	var out struct{ Data map[string]any }
	_ = json.Unmarshal(text, &out)
	return res.StatusCode, out.Data
}

// create makes an endpoint that the echo agent answers.
func (y *yappr) create(t *testing.T, more string) (path, uri string) {
	t.Helper()
	status, made := y.ask(t, "POST", "/sip-endpoints", fmt.Sprintf(`{"name":"After-hours","inbound_agent_id":%q%s}`, y.echo.Agent, more))
	if status != http.StatusCreated {
		t.Fatalf("create: %d", status)
	}
	return "/sip-endpoints/" + made["id"].(string), made["sip_uri"].(string)
}

// dial sends an INVITE to the URI as its owner was given it.
func (y *yappr) dial(t *testing.T, uri string) *talk {
	t.Helper()
	c := &talk{Peer: y.Dial(t, "udp"), invite: rig.Request{Method: "INVITE", URI: uri, Body: rig.Offer(y.media)}.Fresh()}
	c.answer = c.Final(c.invite)
	if c.answer.Status() == 200 {
		c.Send(c.invite.Within(c.answer, "ACK", 1))
	} else {
		c.Send(c.invite.AckOf(c.answer))
	}
	return c
}

// refused fails the test unless a call to the URI is refused before it is
// answered, in these words.
func (y *yappr) refused(t *testing.T, what, uri string, status int, reason string) {
	t.Helper()
	c := y.dial(t, uri)
	if c.answer.Status() != status || !strings.Contains(c.answer.Header("Reason"), reason) {
		t.Errorf("%s: got %q, Reason %q, want %d and %q", what, c.answer.Line(), c.answer.Header("Reason"), status, reason)
	}
}

// set changes an endpoint.
func (y *yappr) set(t *testing.T, path, body string) {
	t.Helper()
	if status, _ := y.ask(t, "PATCH", path, body); status != http.StatusOK {
		t.Fatalf("PATCH %s: %d", body, status)
	}
}

// TestAnEndpointOfYapprsAPITakesCalls goes through an endpoint's life as a client
// of Yappr leads it, with the key that the first start made.
func TestAnEndpointOfYapprsAPITakesCalls(t *testing.T) {
	t.Parallel()
	y := yapprOf(t, newBed(t, nil))
	y.op.Account(t, rig.Fields{"refusal": "explicit"})
	path, uri := y.create(t, `,"slug":"after-hours","allowed_source_ips":["127.0.0.0/8"]`)
	if !strings.HasPrefix(uri, "sip:after-hours-") {
		t.Error("the slug does not begin as it was asked for")
	}
	if _, now := y.ask(t, "GET", path, ""); now["last_call_at"] != nil {
		t.Errorf("last_call_at is %v before any call", now["last_call_at"])
	}
	first := y.dial(t, uri)
	if first.answer.Status() != 200 {
		t.Fatalf("the URI as it was handed out got %q, want 200", first.answer.Line())
	}
	first.bye(t)
	y.set(t, path, `{"is_active":false}`)
	y.refused(t, "switched off", uri, 603, "endpoint_inactive")
	y.set(t, path, `{"is_active":true,"allowed_source_ips":["203.0.113.0/24"]}`)
	y.refused(t, "a source outside the list", uri, 403, "source_not_allowed")
	y.set(t, path, `{"allowed_source_ips":null}`)
	y.moved(t, path)

	live := y.dial(t, uri)
	if live.answer.Status() != 200 {
		t.Fatalf("any source: got %q, want 200", live.answer.Line())
	}
	if status, _ := y.ask(t, "DELETE", path, ""); status != http.StatusOK {
		t.Errorf("delete: %d", status)
	}
	y.refused(t, "deleted", uri, 404, "")
	if status, _ := y.ask(t, "GET", path, ""); status != http.StatusNotFound {
		t.Errorf("a deleted endpoint reads %d, want 404", status)
	}
	live.Silent(500*time.Millisecond, "a BYE", is("BYE"))
	if got := live.Final(live.invite.Within(live.answer, "OPTIONS", 5)); got.Status() != 200 {
		t.Errorf("OPTIONS within the call that outlives its endpoint got %q, want 200", got.Line())
	}
	live.bye(t)
	y.Idle(t, settle)
}

// moved waits until an endpoint has a last_call_at. Deciders write down what they
// counted every 30 s; a client may ask 60 times a minute.
func (y *yappr) moved(t *testing.T, path string) {
	t.Helper()
	rig.Until(t, 2*time.Minute, func() (string, bool) {
		_, now := y.ask(t, "GET", path, "")
		at, _ := now["last_call_at"].(string)
		if when, err := time.Parse(time.RFC3339, at); err == nil && time.Since(when) < time.Hour {
			return "", true
		}
		time.Sleep(2 * time.Second)
		return "last_call_at " + at, false
	})
}

func TestAUniformRefusalHidesWhichOfYapprsEndpointsAreThere(t *testing.T) {
	t.Parallel()
	y := yapprOf(t, newBed(t, nil))
	for what, change := range map[string]string{"switched off": `{"is_active":false}`, "a source outside the list": `{"allowed_source_ips":["203.0.113.7"]}`} {
		path, uri := y.create(t, "")
		y.set(t, path, change)
		y.refused(t, what, uri, 404, "")
	}
	path, uri := y.create(t, "")
	if status, _ := y.ask(t, "DELETE", path, ""); status != http.StatusOK {
		t.Errorf("delete: %d", status)
	}
	y.refused(t, "deleted", uri, 404, "")
}

// TestATrunkOfYapprsAPIIsRefusedUntilDigestIsServed: the endpoint is stored with
// its password, and a call to it is told that nobody is there.
func TestATrunkOfYapprsAPIIsRefusedUntilDigestIsServed(t *testing.T) {
	t.Parallel()
	y := yapprOf(t, newBed(t, nil))
	y.op.Account(t, rig.Fields{"refusal": "explicit", "sip": rig.Fields{"domain_label": "acme"}})
	status, made := y.ask(t, "POST", "/sip-endpoints", fmt.Sprintf(`{"name":"PBX","inbound_agent_id":%q,"auth_mode":"credentials"}`, y.echo.Agent))
	if status != http.StatusCreated || made["sip_password"] == "" {
		t.Fatalf("create: %d", status)
	}
	y.refused(t, "a trunk", fmt.Sprintf("sip:%s@acme.sip.localhost", made["sip_username"]), 480, "digest_not_supported")
}
