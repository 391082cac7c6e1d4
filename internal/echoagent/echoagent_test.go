package echoagent_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/internal/echoagent"
	"patchbay/internal/testkit"
	"patchbay/media"
	"patchbay/media/connect"
	"patchbay/media/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// workers reach the agent over NATS, as the cluster does.
type workers struct{ nc *nats.Conn }

func (w workers) Offer(ctx context.Context, agent string, payload []byte) ([]byte, error) {
	m, err := w.nc.RequestWithContext(ctx, "pb.v1.agent."+agent+".offer", payload)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

func (w workers) Cancel(agent, worker string, payload []byte) error {
	return w.nc.Publish("pb.v1.agent."+agent+".w."+worker+".cancel", payload)
}
func (w workers) PublishEvent(string, call.ID, []byte)                          {}
func (w workers) SubscribeCommands(string, call.ID, func([]byte) []byte) func() { return func() {} }

// start runs an echo agent until the test ends, and returns its connector.
func start(t testing.TB, opts echoagent.Options) (*connect.NATS, *nats.Conn) {
	t.Helper()
	nc := testkit.NATS(t)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- echoagent.Run(ctx, nc, "echo", opts, ready) }()
	<-ready
	s, err := peer.NewStack(config.Media{ICEPorts: "30000-39999", SRTPTap: true}, peer.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.Wait()
	})
	return connect.NewNATS(s, workers{nc}, nil, nats.ErrNoResponders), nc
}

// request is a call that waits for one answer as long as a test does: another
// offer would take another place of the worker's.
func request(id call.ID, codecs, dtmf []call.Codec) media.JoinRequest {
	return media.JoinRequest{ID: id, Codecs: codecs, DTMF: dtmf,
		Agent: endpoint.Agent{ID: "echo", WebRTC: endpoint.AgentTransport{TimeoutMs: int(patience.Milliseconds())}}}
}

func codec(name string) call.Codec {
	c := call.Codec{Name: name, ClockRate: 8000}
	if name == "opus" {
		c.ClockRate, c.Channels = 48000, 2
	}
	return c
}

func join(t testing.TB, c *connect.NATS, req media.JoinRequest) media.AgentLeg {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	leg, err := c.Join(ctx, req, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return leg
}

func packet(ssrc uint32, pt uint8, seq uint16) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0x80, pt}, seq)
	b = binary.BigEndian.AppendUint32(b, uint32(seq)*160)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	return fmt.Appendf(b, "payload %d", seq)
}

func TestEveryCodecComesBackByteExact(t *testing.T) {
	c, _ := start(t, echoagent.Options{})
	for i, name := range []string{"PCMU", "PCMA", "G722", "opus"} {
		t.Run(name, func(t *testing.T) {
			leg := join(t, c, request(call.ID(i+1), []call.Codec{codec(name)}, []call.Codec{{Name: "telephone-event", ClockRate: 8000}}))
			defer leg.Close(call.CauseNormal)
			got := make(chan []byte, 600)
			leg.Start(func(b []byte) { got <- bytes.Clone(b) }, func(c call.Cause) { t.Logf("closed: %v", c) }, nil)
			pts := []uint8{leg.Codec().PayloadType}
			if d, ok := leg.DTMF(); ok {
				pts = append(pts, d.PayloadType)
			}
			if want := name != "opus"; want != (len(pts) == 2) {
				t.Errorf("telephone-event agreed: %v, want %v", len(pts) == 2, want)
			}
			echoes(t, leg, got, pts, 500)
		})
	}
}

// echoes sends n packets and wants them back in order, under an SSRC that is
// not ours.
func echoes(t *testing.T, leg media.AgentLeg, got <-chan []byte, pts []uint8, n int) {
	t.Helper()
	var last uint16
	for seq := range uint16(n) {
		want := packet(leg.SSRC(), pts[int(seq)%len(pts)], seq)
		var b []byte
		for try := 0; b == nil; try++ { // the agent's side may connect a moment later
			if err := leg.WriteRTP(bytes.Clone(want)); err != nil {
				t.Fatal(err)
			}
			wait := patience
			if seq == 0 {
				wait = 100 * time.Millisecond
			}
			select {
			case b = <-got:
			case <-time.After(wait):
				if seq > 0 || try > 300 {
					t.Fatalf("packet %d never came back", seq)
				}
			}
		}
		if !bytes.Equal(b[12:], want[12:]) || b[1] != want[1] {
			t.Fatalf("packet %d: got payload type %d, %q", seq, b[1], b[12:])
		}
		if binary.BigEndian.Uint32(b[8:]) == leg.SSRC() {
			t.Fatal("the echo uses our SSRC")
		}
		if now := binary.BigEndian.Uint16(b[2:]); seq > 0 && now != last+1 {
			t.Fatalf("packet %d came back as %d after %d", seq, now, last)
		}
		last = binary.BigEndian.Uint16(b[2:])
	}
}

func TestAFullWorkerSaysBusy(t *testing.T) {
	c, nc := start(t, echoagent.Options{MaxCalls: 1, WorkerID: "w1"})
	beats := make(chan *nats.Msg, 64)
	sub, err := nc.ChanSubscribe("pb.v1.agent.echo.hb", beats)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	leg := join(t, c, request(1, []call.Codec{codec("PCMU")}, nil))
	defer leg.Close(call.CauseNormal)
	_, err = c.Join(t.Context(), request(2, []call.Codec{codec("PCMU")}, nil), func(string) {})
	if !errors.Is(err, media.ErrAgentBusy) {
		t.Errorf("got %v, want %v", err, media.ErrAgentBusy)
	}
	m, err := nc.Request("pb.v1.agent.echo.offer", []byte(`{}`), patience)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Header.Get("Nats-Service-Error-Code"); got != "503" {
		t.Errorf("got header %q, want 503", got)
	}
	for {
		var b struct {
			WorkerID string  `json:"worker_id"`
			Load     float64 `json:"load"`
			Calls    int     `json:"calls"`
			Max      int     `json:"max"`
			State    string  `json:"state"`
		}
		select {
		case m := <-beats:
			if err := json.Unmarshal(m.Data, &b); err != nil {
				t.Fatal(err)
			}
		case <-time.After(patience):
			t.Fatal("no heartbeat tells of the call")
		}
		if b.Calls == 1 && b.Max == 1 && b.Load == 1 && b.WorkerID == "w1" && b.State == "ready" {
			return
		}
	}
}

func TestASlotIsFreeOnceTheCallIsOver(t *testing.T) {
	c, _ := start(t, echoagent.Options{MaxCalls: 1})
	for id := range call.ID(3) {
		// The worker frees its slot a moment after our goodbye.
		for end := time.Now().Add(patience); ; {
			leg, err := c.Join(t.Context(), request(id+1, []call.Codec{codec("PCMU")}, nil), func(string) {})
			if err == nil {
				leg.Close(call.CauseNormal)
				break
			}
			if !errors.Is(err, media.ErrAgentBusy) || time.Now().After(end) {
				t.Fatal(err)
			}
		}
	}
}

func TestTheAgentHangsUpOnItsDigit(t *testing.T) {
	c, _ := start(t, echoagent.Options{HangupDigit: "#"})
	leg := join(t, c, request(1, []call.Codec{codec("PCMU")}, nil))
	defer leg.Close(call.CauseNormal)
	commands := make(chan media.Command, 1)
	leg.Start(func([]byte) {}, func(call.Cause) {}, func(c media.Command) error { commands <- c; return nil })
	leg.Notify([]byte(`{"type":"dtmf","digit":"5"}`))
	leg.Notify([]byte(`{"type":"dtmf","digit":"#"}`))
	select {
	case got := <-commands:
		if got.Type != media.CommandHangup {
			t.Errorf("got %v", got)
		}
	case <-time.After(patience):
		t.Fatal("the agent did not hang up")
	}
}

func TestTheAgentLeavesItsCallsWhenItEnds(t *testing.T) {
	nc := testkit.NATS(t)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- echoagent.Run(ctx, nc, "echo", echoagent.Options{}, ready) }()
	<-ready
	s, err := peer.NewStack(config.Media{ICEPorts: "30000-39999", SRTPTap: true}, peer.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	leg := join(t, connect.NewNATS(s, workers{nc}, nil, nats.ErrNoResponders), request(1, []call.Codec{codec("PCMU")}, nil))
	closed, got := make(chan call.Cause, 1), make(chan []byte, 600)
	leg.Start(func(b []byte) { got <- bytes.Clone(b) }, func(c call.Cause) { closed <- c }, nil)
	echoes(t, leg, got, []uint8{leg.Codec().PayloadType}, 1) // its side is up, too
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	select {
	case c := <-closed:
		if c != call.CauseAgentHangup {
			t.Errorf("got %v, want %v", c, call.CauseAgentHangup)
		}
	case <-time.After(patience):
		t.Fatal("the call does not know")
	}
	leg.Close(call.CauseNormal)
	s.Wait()
}

func TestOffersThatCannotBeAnsweredAreRefused(t *testing.T) {
	_, nc := start(t, echoagent.Options{})
	sdp := "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 18\r\n"
	for in, want := range map[string]string{
		`hello`: "400", `{"type":"answer"}`: "400", `{"type":"offer","sdp":"nonsense"}`: "488",
		fmt.Sprintf(`{"type":"offer","sdp":%q}`, sdp): "488",
	} {
		m, err := nc.Request("pb.v1.agent.echo.offer", []byte(in), patience)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Header.Get("Nats-Service-Error-Code"); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
