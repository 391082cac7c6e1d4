package control_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// Park implements control.DialIn.
func (d doorbell) Park(_ context.Context, a endpoint.Agent, _ string) (id, answer string, err error) {
	return "s1", "v=0\r\n" + a.ID, d.err
}

// Leave implements control.DialIn.
func (d doorbell) Leave(_ context.Context, tenant, agent, id string) error {
	if d.err != nil || tenant != "acme" || agent != exampleAgent || id != "s1" {
		return endpoint.ErrNotFound
	}
	return nil
}

// agentFor has one agent that dials in, one that does not, and a sleeping one.
func agentFor(_ context.Context, tenant, id string) (endpoint.Agent, error) {
	a := endpoint.Agent{ID: id, Tenant: tenant, IsActive: id != "asleep", WebRTC: endpoint.AgentTransport{Connector: endpoint.ConnectDialIn}}
	switch id {
	case "worker":
		a.WebRTC.Connector = endpoint.ConnectNATS
	case "foreign":
		return endpoint.Agent{}, endpoint.ErrNotFound
	}
	return a, nil
}

func TestAnAgentStandsByAndLeaves(t *testing.T) {
	t.Parallel()
	const sdp = "application/sdp"
	resp := ask(t, doorbell{}, "POST", "/v1/agents/"+exampleAgent+"/webrtc", sdp)
	if resp.StatusCode != http.StatusCreated || resp.Header.Get("Location") != "/v1/agents/"+exampleAgent+"/webrtc/s1" ||
		resp.Header.Get("Content-Type") != sdp || string(bodyOf(t, resp)) != "v=0\r\n"+exampleAgent {
		t.Errorf("%s, %v", resp.Status, resp.Header)
	}
	busy := doorbell{err: &control.Error{Code: control.CodeBusy, Message: "full"}}
	for name, c := range map[string]struct {
		d            doorbell
		method, path string
		kind         string
		want         int
	}{
		"leaves":               {doorbell{}, "DELETE", exampleAgent + "/webrtc/s1", "", 204},
		"leaves twice":         {doorbell{err: endpoint.ErrNotFound}, "DELETE", exampleAgent + "/webrtc/s1", "", 404},
		"another's session":    {doorbell{}, "DELETE", exampleAgent + "/webrtc/s2", "", 404},
		"another agent's":      {doorbell{}, "DELETE", "other/webrtc/s1", "", 404},
		"no room":              {busy, "POST", exampleAgent + "/webrtc", sdp, 503},
		"no SDP":               {doorbell{}, "POST", exampleAgent + "/webrtc", "application/json", 400},
		"another connector":    {doorbell{}, "POST", "worker/webrtc", sdp, 400},
		"an inactive agent":    {doorbell{}, "POST", "asleep/webrtc", sdp, 400},
		"an agent that is not": {doorbell{}, "POST", "foreign/webrtc", sdp, 404},
	} {
		if resp := ask(t, c.d, c.method, "/v1/agents/"+c.path, c.kind); resp.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", name, resp.Status, c.want)
		}
	}
}

// staff stands for the media nodes that hear workers.
type staff struct{ control.Workforce }

func (s staff) Workers(_ context.Context, _, agent string) (control.Workforce, error) {
	if agent != exampleAgent {
		return control.Workforce{}, errors.New("asked for another agent")
	}
	return s.Workforce, nil
}

func exampleStaff() staff {
	var f control.Workforce
	for _, w := range []control.WorkerView{
		{ID: "w2", State: "draining", Load: 0.1, Calls: 2, Max: 20, Seen: exampleTime.Add(-400 * time.Millisecond)},
		{ID: "w1", State: "ready", Load: 0.35, Calls: 7, Max: 20, Seen: exampleTime.Add(-600 * time.Millisecond)},
	} {
		f.Add(w)
	}
	f.Standby = 1
	return staff{f}
}

func TestOfTwoViewsOfAWorkerTheLaterStays(t *testing.T) {
	t.Parallel()
	var f control.Workforce
	for i, calls := range []int{3, 5, 4} { // the second is the latest
		f.Add(control.WorkerView{ID: "w", Calls: calls, Seen: exampleTime.Add(time.Duration(i%2) * time.Second)})
	}
	f.Add(control.WorkerView{ID: "a", Calls: 1})
	if !slices.EqualFunc(f.Workers, []int{1, 5}, func(w control.WorkerView, calls int) bool { return w.Calls == calls }) {
		t.Errorf("got %+v", f.Workers)
	}
}
