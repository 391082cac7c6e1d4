package main

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

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/internal/testkit"
	"patchbay/media"
	"patchbay/media/connect"
	"patchbay/media/peer"
)

const patience = 30 * time.Second

// workers reach the example over NATS, as the cluster does.
type workers struct{ nc *nats.Conn }

func (w workers) Offer(ctx context.Context, agent string, payload []byte) ([]byte, error) {
	m, err := w.nc.RequestWithContext(ctx, "pb.v1.agent."+agent+".offer", payload)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

func (w workers) Cancel(string, string, []byte) error                           { return nil }
func (w workers) PublishEvent(string, call.ID, []byte)                          {}
func (w workers) SubscribeCommands(string, call.ID, func([]byte) []byte) func() { return func() {} }

// patchbay is a connector that offers calls to the example.
func patchbay(t *testing.T) (*connect.NATS, *nats.Conn) {
	t.Helper()
	nc := testkit.NATS(t)
	if err := listen(nc, "example"); err != nil {
		t.Fatal(err)
	}
	s, err := peer.NewStack(config.Media{ICEPorts: "30000-39999", Bind: "127.0.0.1", SRTPTap: true}, peer.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wait)
	return connect.NewNATS(s, workers{nc}, nil, nats.ErrNoResponders), nc
}

func request(id call.ID, codecs ...string) media.JoinRequest {
	req := media.JoinRequest{ID: id, Agent: endpoint.Agent{ID: "example"}, DTMF: []call.Codec{{Name: "telephone-event", ClockRate: 8000}}}
	for _, name := range codecs {
		c := call.Codec{Name: name, ClockRate: 8000}
		if name == "opus" {
			c.ClockRate, c.Channels = 48000, 2
		}
		req.Codecs = append(req.Codecs, c)
	}
	return req
}

func join(t *testing.T, c *connect.NATS, req media.JoinRequest) (media.AgentLeg, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return c.Join(ctx, req, func(string) {})
}

func TestTheWorkerSaysBackWhatItHearsInTheOffersFirstCodec(t *testing.T) {
	c, _ := patchbay(t)
	for i, codecs := range [][]string{{"PCMU", "PCMA"}, {"PCMA", "PCMU"}, {"opus", "G722"}} {
		t.Run(fmt.Sprint(codecs), func(t *testing.T) {
			leg, err := join(t, c, request(call.ID(i+1), codecs...))
			if err != nil {
				t.Fatal(err)
			}
			defer leg.Close(call.CauseNormal)
			if got := leg.Codec().Name; got != codecs[0] && got != "G722" {
				t.Errorf("got %s of %v", got, codecs)
			}
			got := make(chan []byte, 64)
			leg.Start(into(got), func(call.Cause) {}, func(media.Command) error { return nil })
			echoes(t, leg, got)
		})
	}
}

// into gives packets to a channel; what it has no room for, after the test or
// where it is late, is lost.
func into(got chan<- []byte) func([]byte) {
	return func(b []byte) {
		select {
		case got <- bytes.Clone(b):
		default:
		}
	}
}

// echoes sends packets until 100 have come back.
func echoes(t *testing.T, leg media.AgentLeg, got <-chan []byte) {
	t.Helper()
	deadline := time.After(patience)
	said := map[string]bool{}
	for seq, back := uint16(0), 0; back < 100; seq++ {
		p := binary.BigEndian.AppendUint16([]byte{0x80, leg.Codec().PayloadType}, seq)
		p = binary.BigEndian.AppendUint32(p, uint32(seq)*160)
		p = binary.BigEndian.AppendUint32(p, leg.SSRC())
		p = fmt.Appendf(p, "payload %d", seq)
		said[string(p[12:])] = true
		if err := leg.WriteRTP(bytes.Clone(p)); err != nil {
			t.Fatal(err)
		}
		select {
		case b := <-got:
			if !said[string(b[12:])] || b[1] != leg.Codec().PayloadType {
				t.Fatalf("by packet %d there came back, of type %d, %q", seq, b[1], b[12:])
			}
			delete(said, string(b[12:]))
			back++
		case <-time.After(50 * time.Millisecond): // its side connects a moment after ours, or is late
		case <-deadline:
			t.Fatalf("%d of %d packets came back", back, seq)
		}
	}
}

func TestTheWorkerHangsUpOnTheHashKey(t *testing.T) {
	c, _ := patchbay(t)
	leg, err := join(t, c, request(1, "PCMU"))
	if err != nil {
		t.Fatal(err)
	}
	defer leg.Close(call.CauseNormal)
	commands := make(chan media.Command, 1)
	leg.Start(func([]byte) {}, func(call.Cause) {}, func(c media.Command) error { commands <- c; return nil })
	leg.Notify([]byte(`{"v":1,"type":"dtmf","digit":"5"}`))
	leg.Notify([]byte(`{"v":1,"type":"dtmf","digit":"#"}`))
	select {
	case got := <-commands:
		if got.Type != media.CommandHangup {
			t.Errorf("got %v", got)
		}
	case <-time.After(patience):
		t.Fatal("it did not hang up")
	}
}

func TestTheWorkerRefusesWhatItCannotTake(t *testing.T) {
	c, nc := patchbay(t)
	if _, err := join(t, c, request(1, "opus")); !errors.Is(err, media.ErrAgentRefused) {
		t.Errorf("opus alone: got %v, want %v", err, media.ErrAgentRefused)
	}
	*limit = 0
	defer func() { *limit = 100 }()
	if _, err := join(t, c, request(2, "PCMU")); !errors.Is(err, media.ErrAgentBusy) {
		t.Errorf("over the limit: got %v, want %v", err, media.ErrAgentBusy)
	}
	m, err := nc.Request("pb.v1.agent.example.offer", []byte("hello"), patience)
	if err != nil {
		t.Fatal(err)
	}
	var a struct{ Error struct{ Code int } }
	if err := json.Unmarshal(m.Data, &a); err != nil || a.Error.Code != 400 {
		t.Errorf("got %s", m.Data)
	}
}

func TestASlotIsFreeOnceTheCallIsOver(t *testing.T) {
	c, _ := patchbay(t)
	leg, err := join(t, c, request(1, "PCMU"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan []byte, 64)
	leg.Start(into(got), func(call.Cause) {}, nil)
	echoes(t, leg, got)
	leg.Close(call.CauseNormal)
	for end := time.Now().Add(patience); calls.Load() != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d calls are counted", calls.Load())
		}
	}
}
