package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// TestACallIsSetUpSeenAndEndedOverHTTPSOnly is a customer's day at the native
// API: nothing is asked over NATS but by the agent.
func TestACallIsSetUpSeenAndEndedOverHTTPSOnly(t *testing.T) {
	t.Parallel()
	node := rig.Start(t, nil)
	web := node.Web(t)
	const id = "b07a9d3e-52c4-4e0b-8f61-0c9d7a3e1f22"
	var agent control.AgentView
	made := web.Do(t, "POST", "/v1/agents", rig.Fields{"id": id, "name": "bot", "webrtc": rig.Fields{"connector": "nats"}}, 201, &agent, "Idempotency-Key", "first")
	if agent.ID != id || made.Header.Get("Location") != "/v1/agents/"+id || made.Proto != "HTTP/2.0" {
		t.Errorf("made %s at %s over %s", agent.ID, made.Header.Get("Location"), made.Proto)
	}
	again := web.Do(t, "POST", "/v1/agents", rig.Fields{"id": id, "name": "bot", "webrtc": rig.Fields{"connector": "nats"}}, 201, &agent, "Idempotency-Key", "first")
	if again.Header.Get("ETag") != made.Header.Get("ETag") {
		t.Errorf("the same request again: revision %s, then %s", made.Header.Get("ETag"), again.Header.Get("ETag"))
	}
	node.Operator(t).Worker(t, id, "w1")
	var ep control.EndpointView
	web.Do(t, "POST", "/v1/endpoints", rig.Fields{"slug_prefix": "web", "agent_id": id, "name": "Desk"}, 201, &ep)

	run := node.Begin(t, rig.Scenario{File: "node-hangs-up", Transport: "udp", User: ep.Slug})
	var live control.CallView
	rig.WaitFor(t, settle, "the call in GET /v1/calls", func() bool {
		var page control.Page[control.CallView]
		web.Do(t, "GET", "/v1/calls", nil, 200, &page)
		if len(page.Items) == 1 {
			live = page.Items[0]
		}
		return live.State == string(call.StateEstablished)
	})
	if live.Endpoint != ep.Key || live.Agent != id || live.Worker != "w1" {
		t.Errorf("the call is shown as %+v", live)
	}
	web.Do(t, "POST", "/v1/calls/"+live.ID.String()+"/hangup", nil, 200, nil)
	run.Finish()
	rig.WaitFor(t, settle, "the call's record", func() bool { return web.Ask(t, "GET", "/v1/records/"+live.ID.String(), nil).Status == 200 })
	if gone := web.Ask(t, "GET", "/v1/calls/"+live.ID.String(), nil); gone.Status != 404 {
		t.Errorf("the call is still there: %d %s", gone.Status, gone.Body)
	}

	changed := web.Do(t, "PATCH", "/v1/endpoints/"+ep.ID, rig.Fields{"is_active": false}, 200, nil, "If-Match", rev(t, web, ep.ID))
	web.Do(t, "PATCH", "/v1/endpoints/"+ep.ID, rig.Fields{"is_active": true}, 412, nil, "If-Match", `"1"`)
	web.Do(t, "GET", "/v1/endpoints/"+ep.ID, nil, 304, nil, "If-None-Match", changed.Header.Get("ETag"))
	web.Do(t, "DELETE", "/v1/endpoints/"+ep.ID, nil, 204, nil)
	web.Do(t, "GET", "/v1/endpoints/"+ep.ID, nil, 404, nil)

	_, metrics, err := node.Get("/metrics")
	if want := `patchbay_http_requests_total{face="native",method="POST",route="/v1/calls/{id}/hangup",status="200"} 1`; err != nil || !strings.Contains(metrics, want) {
		t.Errorf("metrics lack %s: %v", want, err)
	}
	if log := node.Log(); strings.Contains(log, node.AdminKey(t)) || strings.Contains(log, ep.Slug) {
		t.Error("the log holds the key or the slug")
	}
}

func rev(t *testing.T, web *rig.Web, id string) string {
	t.Helper()
	return web.Do(t, "GET", "/v1/endpoints/"+id, nil, 200, nil).Header.Get("ETag")
}

// TestTheListenerWithoutTLSServesThisMachine holds that both listeners serve the
// same, and strangers to the certificate are not served.
func TestTheListenerWithoutTLSServesThisMachine(t *testing.T) {
	t.Parallel()
	node := rig.Start(t, nil)
	if status, body, err := node.Get("/openapi.json"); err != nil || status != 200 || !strings.Contains(body, `"openapi": "3.1.0"`) {
		t.Errorf("openapi.json: %d, %v", status, err)
	}
	if status, body, err := node.Get("/v1/account"); err != nil || status != 401 || !strings.Contains(body, `"code":"denied"`) {
		t.Errorf("without a key: %d %s, %v", status, body, err)
	}
	if _, err := http.Get("https://" + node.HTTPS + "/livez"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a client that does not know the node's authority: %v", err)
	}
}
