package connect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/media"
	"patchbay/media/connect"
	"patchbay/media/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

var (
	errNoWorker = errors.New("no worker")
	pcmu        = call.Codec{PayloadType: 0, Name: "PCMU", ClockRate: 8000}
	pcma        = call.Codec{PayloadType: 8, Name: "PCMA", ClockRate: 8000}
)

func newStack(t testing.TB) *peer.Stack {
	t.Helper()
	s, err := peer.NewStack(config.Media{ICEPorts: "30000-39999", Bind: "127.0.0.1", SRTPTap: true}, peer.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wait)
	return s
}

// request is a call from a carrier to an agent with the given transport. One that
// sets no limit of its own for an answer gets one that no busy machine exceeds:
// another attempt is another request to whoever counts them.
func request(tr endpoint.AgentTransport) media.JoinRequest {
	if tr.TimeoutMs == 0 {
		tr.TimeoutMs = int(patience.Milliseconds())
	}
	return media.JoinRequest{
		ID: 7, Tenant: "acme", Endpoint: "k", Epoch: 1, Patient: true, Codecs: []call.Codec{pcma, pcmu},
		Agent: endpoint.Agent{ID: "a1", WebRTC: tr, Metadata: map[string]string{"shop": "7"}},
		Invitation: call.Invitation{
			From:    call.Party{URI: "sip:+4930123@carrier.example", User: "+4930123", Host: "carrier.example", Display: "Alice"},
			To:      call.Party{URI: "sip:redacted@sip.example", Host: "sip.example"},
			Headers: []call.Header{{Name: "X-Campaign", Value: "spring"}},
		},
	}
}

// An agent answers offers, with a peer of our own in the other role.
type agent struct {
	t     testing.TB
	stack *peer.Stack
	codec call.Codec
	rx    chan []byte

	mu    sync.Mutex
	peers []*peer.Peer
}

func newAgent(t testing.TB) *agent {
	a := &agent{t: t, stack: newStack(t), codec: pcmu, rx: make(chan []byte, 16)}
	t.Cleanup(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, p := range a.peers {
			p.Close(call.CauseNormal)
		}
	})
	return a
}

func (a *agent) peer() *peer.Peer {
	p := a.stack.Peer(peer.Wanted{Codecs: []call.Codec{a.codec}, Channel: true})
	a.mu.Lock()
	a.peers = append(a.peers, p)
	a.mu.Unlock()
	p.Start(func(b []byte) {
		select {
		case a.rx <- bytes.Clone(b):
		default: // nobody listens any more, and the peer reads on
		}
	}, func(call.Cause) {}, nil)
	return p
}

// answer returns an answer to the offer in a request.
func (a *agent) answer(offer string) connect.Answer {
	sdp, err := a.peer().AnswerTo(context.Background(), offer)
	if err != nil {
		a.t.Errorf("the agent cannot answer: %v", err)
	}
	return connect.Answer{SDP: sdp, Type: "answer", WorkerID: "w1", SessionID: "s1"}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return b
}

// readable replaces the SDP and indents, for golden files.
func readable(t testing.TB, b []byte) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if _, ok := m["sdp"]; ok {
		m["sdp"] = "(our offer)"
	}
	out, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

// heard fails unless a packet written to leg reaches the agent.
func (a *agent) heard(t testing.TB, leg media.AgentLeg) {
	t.Helper()
	leg.Start(func([]byte) {}, func(call.Cause) {}, func(media.Command) error { return nil })
	a.arrives(t, leg)
}

func (a *agent) arrives(t testing.TB, leg media.AgentLeg) {
	t.Helper()
	deadline := time.After(patience)
	for seq := byte(0); ; seq++ { // the agent's side may connect a moment later
		p := append([]byte{0x80, leg.Codec().PayloadType, 0, seq, 0, 0, 0, 0, 0, 0, 0, 0}, "hello"...)
		p[8], p[9], p[10], p[11] = byte(leg.SSRC()>>24), byte(leg.SSRC()>>16), byte(leg.SSRC()>>8), byte(leg.SSRC())
		if err := leg.WriteRTP(p); err != nil {
			t.Fatal(err)
		}
		select {
		case b := <-a.rx:
			if string(b[12:]) != "hello" {
				t.Fatalf("the agent heard %q", b[12:])
			}
			return
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("the agent heard nothing")
		}
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func ignore(string) {}
