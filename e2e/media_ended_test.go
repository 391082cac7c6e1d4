package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"patchbay/e2e/rig"
)

// An ending is the line that a node logs about a call at its end.
type ending struct {
	Msg       string        `json:"msg"`
	CallID    string        `json:"call_id"`
	Endpoint  string        `json:"endpoint"`
	Status    int           `json:"status"`
	Cause     string        `json:"cause"`
	EndedBy   string        `json:"ended_by"`
	Codec     string        `json:"codec"`
	Transport string        `json:"transport"`
	Received  int           `json:"packets_received"`
	Lost      int           `json:"packets_lost"`
	Rejected  int           `json:"rejected"`
	Took      time.Duration `json:"took"`
}

// ended waits for the line about the one call of an endpoint.
func ended(t *testing.T, node *rig.Node, endpoint string) ending {
	t.Helper()
	var found []ending
	rig.WaitFor(t, settle, "the node logged the end of the call", func() bool {
		found = nil
		for line := range strings.Lines(node.Log()) {
			var e ending
			if json.Unmarshal([]byte(line), &e) == nil && e.Msg == "call ended" && e.Endpoint == endpoint {
				found = append(found, e)
			}
		}
		return len(found) > 0
	})
	if len(found) != 1 {
		t.Fatalf("%d calls of the endpoint ended, want 1", len(found))
	}
	return found[0]
}
