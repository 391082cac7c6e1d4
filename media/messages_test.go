package media

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

func TestTheDocumentShowsWhatAgentsAreTold(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/agents.md")
	if err != nil {
		t.Fatal(err)
	}
	req := actors.BridgeRequest{ID: 7}
	for _, c := range []struct {
		asked actors.Asked
		name  string
		ev    call.Event
	}{
		{actors.Asked{Epoch: 1}, call.EventDigit, call.Event{Digit: "5", Held: 120 * time.Millisecond}},
		{actors.Asked{Epoch: 1}, call.EventEnded, call.Event{Cause: call.CauseNormal}},
		{actors.Asked{Epoch: 2}, call.EventAgentJoined, call.Event{}},
	} {
		if m := notification(req, c.asked, c.name, c.ev); !bytes.Contains(doc, m) {
			t.Errorf("docs/agents.md does not show %s", m)
		}
	}
}

func TestTheCallerIsTrustedWhereTheAgentThatIsAskedSaysSo(t *testing.T) {
	t.Parallel()
	req := actors.BridgeRequest{ID: 7, Invitation: call.Invitation{From: call.Party{User: "alice", Trusted: true}}}
	for trust, want := range map[bool]string{true: `"trusted":true`, false: `"trusted":false`} {
		m := notification(req, actors.Asked{Agent: endpoint.Agent{TrustCallerID: trust}}, call.EventStarted, call.Event{})
		from, _, _ := bytes.Cut(m, []byte(`"to"`))
		if !bytes.Contains(from, []byte(want)) {
			t.Errorf("told %s, want %s", m, want)
		}
	}
}

// TestAgentsWhoseOfferSaysNothingAreToldWhenTheCallStarts has what else agents
// read in their offer.
func TestAgentsWhoseOfferSaysNothingAreToldWhenTheCallStarts(t *testing.T) {
	t.Parallel()
	req := actors.BridgeRequest{ID: 7}
	asked := actors.Asked{Context: []byte(`{"tier":"gold"}`), Metadata: []byte(`{"src":"fb"}`), Settings: []byte(`{"recordingEnabled":false}`), Agent: endpoint.Agent{Metadata: map[string]string{"shop": "7"},
		WebRTC: endpoint.AgentTransport{Session: json.RawMessage(`{"voice":"Ada"}`)}}}
	const all = `"metadata":{"shop":"7"},"session":{"voice":"Ada"},"context":{"tier":"gold"},"call_metadata":{"src":"fb"},"call_settings":{"recordingEnabled":false}`
	told := func(t endpoint.AgentTransport) string {
		a := asked
		t.Session = a.Agent.WebRTC.Session
		a.Agent.WebRTC = t
		return string(notification(req, a, call.EventStarted, call.Event{}))
	}
	for name, c := range map[string]struct {
		t    endpoint.AgentTransport
		want bool
	}{
		"dialin":  {endpoint.AgentTransport{Connector: endpoint.ConnectDialIn}, true},
		"fastrtc": {endpoint.AgentTransport{Connector: endpoint.ConnectHTTP, Dialect: endpoint.DialectFastRTC}, true},
		"pipecat": {endpoint.AgentTransport{Connector: endpoint.ConnectHTTP, Dialect: endpoint.DialectPipecat}, false},
		"nats":    {endpoint.AgentTransport{Connector: endpoint.ConnectNATS}, false},
	} {
		if m := told(c.t); strings.Contains(m, all) != c.want || !strings.Contains(m, `"from"`) {
			t.Errorf("%s is told %s", name, m)
		}
	}
	quiet := told(endpoint.AgentTransport{Connector: endpoint.ConnectDialIn, NoMetadata: true})
	if strings.Contains(quiet, "shop") || strings.Contains(quiet, `"from"`) || !strings.Contains(quiet, `"context":{"tier":"gold"}`) {
		t.Errorf("without metadata it is told %s", quiet)
	}
	asked.Context = json.RawMessage(`"` + strings.Repeat("x", maxTold) + `"`)
	if m := told(endpoint.AgentTransport{Connector: endpoint.ConnectDialIn}); len(m) > maxTold || !strings.Contains(m, `"type":"call.started"`) {
		t.Errorf("%d bytes: %.100s", len(m), m)
	}
	asked.Settings = []byte(`{`)
	asked.Context = nil
	if m := told(endpoint.AgentTransport{Connector: endpoint.ConnectDialIn}); !strings.Contains(m, `"type":"call.started"`) {
		t.Errorf("with a broken document it is told %q", m)
	}
}
