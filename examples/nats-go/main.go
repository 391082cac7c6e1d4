// Command nats-go is a worker on NATS in one file: it answers offers of calls,
// says back what it hears, prints the call's events, and hangs up when the
// caller presses #.
//
//	go run ./examples/nats-go -agent <agent id>
//
// It uses nothing of Patchbay: copy it, and put your agent where the echo is.
// Start it several times: the workers share the calls. docs/agents.md has the
// messages.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/pion/webrtc/v4"
)

var (
	url    = flag.String("nats", cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), "NATS server (NATS_URL)")
	agent  = flag.String("agent", "", "id of the agent, as `patchbay ctl agent list` shows it")
	worker = flag.String("worker", "nats-go", "name of this worker: letters, digits and hyphens")
	limit  = flag.Int64("max", 100, "calls at once; further ones go to other workers")
	calls  atomic.Int64
)

func main() {
	flag.Parse()
	if *agent == "" {
		flag.Usage()
		os.Exit(2)
	}
	nc, err := nats.Connect(*url, nats.Name(*worker), nats.MaxReconnects(-1))
	if err != nil {
		log.Fatalf("connect to %s: %v", *url, err)
	}
	defer nc.Close()
	if err := listen(nc, *agent); err != nil {
		log.Fatalf("listen for offers: %v", err)
	}
	log.Printf("worker %s waits for calls of agent %s", *worker, *agent)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
}

// listen takes offers. All workers of an agent are in one queue group, so each
// offer goes to one of them.
func listen(nc *nats.Conn, agent string) error {
	_, err := nc.QueueSubscribe("pb.v1.agent."+agent+".offer", "workers", func(m *nats.Msg) { go take(m) })
	if err != nil {
		return err
	}
	return nc.Flush()
}

// take answers one offer.
func take(m *nats.Msg) {
	var o struct { // docs/agents.md has all of its fields
		CallID string `json:"call_id"`
		SDP    string `json:"sdp"`
		From   struct {
			User    string `json:"user"`
			Trusted bool   `json:"trusted"`
		} `json:"from"`
	}
	if err := json.Unmarshal(m.Data, &o); err != nil {
		refuse(m, 400, "not the JSON of an offer")
		return
	}
	over := sync.OnceFunc(func() { calls.Add(-1) })
	if calls.Add(1) > *limit {
		over()
		refuse(m, 503, "busy") // Patchbay asks again, and another worker may be free
		return
	}
	sdp, err := answer(o.CallID, o.SDP, over)
	if err != nil {
		over()
		log.Printf("call %s: %v", o.CallID, err)
		refuse(m, 488, "the offer cannot be answered")
		return
	}
	log.Printf("call %s: from %q (trusted: %v)", o.CallID, o.From.User, o.From.Trusted)
	reply(m, map[string]any{"type": "answer", "sdp": sdp, "worker_id": *worker})
}

func refuse(m *nats.Msg, code int, why string) {
	reply(m, map[string]any{"worker_id": *worker, "error": map[string]any{"code": code, "message": why}})
}

func reply(m *nats.Msg, body any) {
	b, err := json.Marshal(body)
	if err == nil {
		err = m.Respond(b)
	}
	if err != nil {
		log.Printf("reply: %v", err)
	}
}

// answer makes the peer connection of a call and returns its SDP. The
// connection lives until Patchbay closes it or falls silent; then over is called.
func answer(id, offer string, over func()) (string, error) {
	codec, ok := firstCodec(offer)
	if !ok {
		return "", errors.New("no codec of PCMU, PCMA and G722 in the offer")
	}
	pc, err := connection(codec)
	if err != nil {
		return "", err
	}
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		log.Printf("call %s: %s", id, s)
		switch s {
		case webrtc.PeerConnectionStateFailed:
			_ = pc.Close() // comes back here as closed
		case webrtc.PeerConnectionStateClosed:
			over()
		}
	})
	pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		dc.OnMessage(func(m webrtc.DataChannelMessage) { told(id, dc, m.Data) })
	})
	sdp, err := echo(pc, codec, offer)
	if err != nil {
		_ = pc.Close()
	}
	return sdp, err
}

// told prints an event of the call, and hangs up on #.
func told(id string, dc *webrtc.DataChannel, message []byte) {
	log.Printf("call %s: %s", id, message)
	var event struct {
		Type  string `json:"type"`
		Digit string `json:"digit"`
	}
	if json.Unmarshal(message, &event) == nil && event.Type == "dtmf" && event.Digit == "#" {
		_ = dc.SendText(`{"id":"1","type":"hangup"}`) // answered by an "ack", printed above
	}
}

// echo sends back what the caller says: here is where an agent would be.
func echo(pc *webrtc.PeerConnection, codec webrtc.RTPCodecParameters, offer string) (string, error) {
	voice, err := webrtc.NewTrackLocalStaticRTP(codec.RTPCodecCapability, "audio", "agent")
	if err != nil {
		return "", err
	}
	if _, err = pc.AddTrack(voice); err != nil {
		return "", err
	}
	pc.OnTrack(func(caller *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			packet, _, err := caller.ReadRTP()
			if err != nil {
				return
			}
			if err := voice.WriteRTP(packet); err != nil {
				return
			}
		}
	})
	if err = pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	local, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc) // the answer must hold all candidates
	if err = pc.SetLocalDescription(local); err != nil {
		return "", err
	}
	<-gathered
	return pc.LocalDescription().SDP, nil
}

// firstCodec is the first codec of the offer that this agent speaks. Patchbay
// offers them under their static payload types.
func firstCodec(offer string) (c webrtc.RTPCodecParameters, ok bool) {
	_, rest, _ := strings.Cut(offer, "m=audio 9 UDP/TLS/RTP/SAVPF ")
	line, _, _ := strings.Cut(rest, "\n")
	for _, pt := range strings.Fields(line) {
		switch pt {
		case "0":
			c.MimeType = webrtc.MimeTypePCMU
		case "8":
			c.MimeType = webrtc.MimeTypePCMA
			c.PayloadType = 8
		case "9":
			c.MimeType = webrtc.MimeTypeG722
			c.PayloadType = 9
		default:
			continue
		}
		c.ClockRate = 8000
		return c, true
	}
	return c, false
}

// connection makes a peer connection that speaks one codec.
func connection(codec webrtc.RTPCodecParameters) (*webrtc.PeerConnection, error) {
	var media webrtc.MediaEngine
	if err := media.RegisterCodec(codec, webrtc.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true) // Patchbay may be on this machine
	api := webrtc.NewAPI(webrtc.WithMediaEngine(&media), webrtc.WithSettingEngine(settings))
	return api.NewPeerConnection(webrtc.Configuration{})
}
