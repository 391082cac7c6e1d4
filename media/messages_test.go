package media

import (
	"bytes"
	"os"
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
