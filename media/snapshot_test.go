package media_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/internal/golden"
	"patchbay/media"
	"patchbay/media/rtp"
)

func stateOf(t *testing.T, b *bench) media.State {
	t.Helper()
	var s media.State
	if err := json.Unmarshal(b.bridge.Snapshot(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASnapshotSaysWhereBothStreamsOfACallStand(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.join()
	first := stateOf(t, b)
	if first.V != 1 || first.Local != b.answer.Addr || first.Target != addr(b.rtp) || first.RTCPTarget != addr(b.rtcp) || first.Latched || first.Heard ||
		first.Answer.Codec != b.answer.Codec || first.Agent != pcmu || first.ToAgent.SSRC != b.agent.SSRC() || first.AgentLeg != nil || first.At.IsZero() {
		t.Errorf("at the answer: %+v", first)
	}
	const packets = 10
	for seq := range uint16(packets) {
		b.send(b.rtp, packet(0, seq, 1, 2, 3))
		b.agent.rx(packet(0, seq, 4, 5, 6))
	}
	got := receive(t, b.rtp, packets, patience)
	if len(got) != packets {
		t.Fatalf("%d packets came to the carrier", len(got))
	}
	waitFor(t, "the agent's packets", func() bool { return len(b.agent.packets()) == packets })
	s := stateOf(t, b)
	toCarrier, _, _, err := rtp.Parse(got[packets-1])
	if err != nil {
		t.Fatal(err)
	}
	toAgent, _, _, err := rtp.Parse(b.agent.packets()[packets-1])
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		stream rtp.Stream
		last   rtp.Header
		before rtp.Stream
	}{"carrier": {s.ToCarrier, toCarrier, first.ToCarrier}, "agent": {s.ToAgent, toAgent, first.ToAgent}} {
		if c.stream.SSRC != c.last.SSRC || uint16(c.stream.Sequence) != c.last.Sequence || c.stream.Packets != packets || c.stream.Sequence != c.before.Sequence+packets ||
			c.stream.Timestamp-c.last.Timestamp > uint32(8000*patience/time.Second) || c.stream.Rate != 8000 || c.stream.FrameMs != 20 {
			t.Errorf("to the %s: %+v, and the last packet was %+v", name, c.stream, c.last)
		}
	}
	if !s.Heard || !s.Latched || s.Target != addr(b.rtp) {
		t.Errorf("the carrier was heard: %+v", s)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestACallWithoutItsAgentHasNoMediaToKeep(t *testing.T) {
	t.Parallel()
	a := newAgent(pcmu)
	a.err = media.ErrNoAgent
	b := newBench(t, a, settings(), "127.0.0.1")
	b.open()
	b.event()
	if s := b.bridge.Snapshot(); s != nil {
		t.Errorf("got %s", s)
	}
}

// A reachable connector hears farewells.
type reachable struct {
	*relay
	told []string
}

func (r *reachable) Farewell(f actors.Farewell, event []byte) {
	r.told = append(r.told, f.Worker+" "+string(event))
}

func TestAnAgentThatCanBeReachedHearsThatItsCallDiedElsewhere(t *testing.T) {
	t.Parallel()
	c := &reachable{relay: &relay{}}
	node, err := media.NewNode(settings(), map[endpoint.Connector]media.Connector{endpoint.ConnectNATS: c, endpoint.ConnectHTTP: &relay{}}, nil, media.Observer{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close() })
	for _, connector := range []endpoint.Connector{endpoint.ConnectNATS, endpoint.ConnectHTTP, "carrier-pigeon"} {
		node.Farewell(actors.Farewell{ID: 7, Worker: "w1", Cause: call.CauseNodeLost,
			Agent: endpoint.Agent{ID: "a", WebRTC: endpoint.AgentTransport{Connector: connector}}})
	}
	if len(c.told) != 1 || !strings.HasPrefix(c.told[0], `w1 {"v":1,"type":"call.ended"`) || !strings.Contains(c.told[0], "node_lost") {
		t.Errorf("told %q", c.told)
	}
}

// TestBridgesOfRelease1AreRead reads what the first release kept of a bridge.
func TestBridgesOfRelease1AreRead(t *testing.T) {
	t.Parallel()
	old, err := os.ReadFile("testdata/v1/bridge.json")
	if err != nil {
		t.Fatal(err)
	}
	var s media.State
	if err := json.Unmarshal(bytes.Replace(old, []byte(`"v": 1`), []byte(`"v": 1, "of_a_later_release": [1]`), 1), &s); err != nil {
		t.Fatal(err)
	}
	if s.Target != netip.MustParseAddrPort("192.0.2.1:4000") || s.ToCarrier.Sequence != 70_000 {
		t.Errorf("got %+v", s)
	}
	again, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	golden.Covers(t, "bridge", old, again)
}
