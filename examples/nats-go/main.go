// Command nats-go is a worker on NATS in one file: it answers offers of calls,
// says back what it hears, prints the call's events, and hangs up when the
// caller presses #.
//
//	go run ./examples/nats-go -agent <agent id> -nats nats://127.0.0.1:4222
//
// Start it several times: the workers share the calls. docs/agents.md has the
// messages.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/nats-io/nats.go"
	"github.com/pion/webrtc/v4"
)

// maxCalls is how many calls this worker takes; further ones go to others.
const maxCalls = 100

func main() {
	agent := flag.String("agent", "", "id of the agent, as `patchbay ctl agent create` printed it")
	url := flag.String("nats", nats.DefaultURL, "NATS server")
	flag.Parse()
	if *agent == "" {
		flag.Usage()
		os.Exit(2)
	}
	nc, err := nats.Connect(*url, nats.Name("nats-go example"))
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx, nc, *agent); err != nil {
		log.Fatal(err)
	}
}

// An offer is what Patchbay asks. There is more in it: caller, headers,
// metadata.
type offer struct {
	CallID string `json:"call_id"`
	SDP    string `json:"sdp"`
	From   struct {
		User    string `json:"user"`
		Trusted bool   `json:"trusted"`
	} `json:"from"`
}

// serve takes offers until ctx ends.
func serve(ctx context.Context, nc *nats.Conn, agent string) error {
	slots := make(chan struct{}, maxCalls)
	sub, err := nc.QueueSubscribe("pb.v1.agent."+agent+".offer", "workers", func(m *nats.Msg) {
		select {
		case slots <- struct{}{}:
			go func() {
				defer func() { <-slots }()
				if err := take(ctx, m); err != nil {
					log.Print(err)
				}
			}()
		default:
			refuse(m, 503, "busy")
		}
	})
	if err != nil {
		return fmt.Errorf("listen for offers: %w", err)
	}
	log.Printf("waiting for calls to agent %s", agent)
	<-ctx.Done()
	return sub.Unsubscribe()
}

// take answers one offer and stays until its call is over.
func take(ctx context.Context, m *nats.Msg) error {
	var o offer
	if err := json.Unmarshal(m.Data, &o); err != nil {
		refuse(m, 400, "no offer")
		return fmt.Errorf("read an offer: %w", err)
	}
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		refuse(m, 500, "no peer connection")
		return fmt.Errorf("make a peer connection: %w", err)
	}
	defer pc.Close()
	over := make(chan struct{})
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateClosed || s == webrtc.PeerConnectionStateFailed {
			select {
			case <-over:
			default:
				close(over)
			}
		}
	})
	pc.OnDataChannel(listen)
	sdp, err := answer(pc, o.SDP)
	if err != nil {
		refuse(m, 488, "not acceptable")
		return fmt.Errorf("answer call %s: %w", o.CallID, err)
	}
	body, err := json.Marshal(map[string]string{"type": "answer", "sdp": sdp, "worker_id": "example"})
	if err != nil {
		return err
	}
	if err := m.Respond(body); err != nil {
		return fmt.Errorf("answer call %s: %w", o.CallID, err)
	}
	log.Printf("call %s from %s (trusted: %v)", o.CallID, o.From.User, o.From.Trusted)
	select {
	case <-over:
	case <-ctx.Done():
	}
	return nil
}

// answer agrees on G.711 mu-law and echoes what comes.
func answer(pc *webrtc.PeerConnection, sdp string) (string, error) {
	out, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}, "audio", "echo")
	if err != nil {
		return "", err
	}
	if _, err := pc.AddTrack(out); err != nil {
		return "", err
	}
	pc.OnTrack(func(in *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := in.ReadRTP()
			if err != nil {
				return
			}
			_ = out.WriteRTP(p) // here a real agent listens, thinks and speaks
		}
	})
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}); err != nil {
		return "", err
	}
	local, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc) // all candidates go into the one answer
	if err := pc.SetLocalDescription(local); err != nil {
		return "", err
	}
	<-gathered
	return pc.LocalDescription().SDP, nil
}

// listen prints the call's events and hangs up on #.
func listen(dc *webrtc.DataChannel) {
	dc.OnMessage(func(m webrtc.DataChannelMessage) {
		log.Printf("%s: %s", dc.Label(), m.Data)
		var event struct {
			Type  string `json:"type"`
			Digit string `json:"digit"`
		}
		if json.Unmarshal(m.Data, &event) == nil && event.Type == "dtmf" && event.Digit == "#" {
			_ = dc.SendText(`{"id":"1","type":"hangup"}`)
		}
	})
}

// refuse says why this worker does not take a call. After 503 Patchbay asks
// another.
func refuse(m *nats.Msg, code int, why string) {
	body, err := json.Marshal(map[string]any{"error": map[string]any{"code": code, "message": why}})
	if err == nil {
		_ = m.Respond(body)
	}
}
