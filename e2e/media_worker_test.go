package e2e_test

import (
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"patchbay/cluster/subject"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// A stage is a node with an operator; its agents come with the tests.
type stage struct {
	*rig.Node
	op *rig.Operator
}

func newStage(t *testing.T, settings rig.Settings) *stage {
	t.Helper()
	node := rig.Start(t, settings)
	return &stage{node, node.Operator(t)}
}

// formats are those that a worker may be told to take, by RTP name, as they are
// offered (docs/agents.md).
var formats = map[string]webrtc.RTPCodecParameters{
	"PCMU":            {RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}, PayloadType: 0},
	"PCMA":            {RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMA, ClockRate: 8000}, PayloadType: 8},
	"G722":            {RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeG722, ClockRate: 8000}, PayloadType: 9},
	"opus":            {RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, PayloadType: 111},
	"telephone-event": {RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/telephone-event", ClockRate: 8000}, PayloadType: 101},
}

// A worker is an agent behind the NATS connector, in the test process, on the
// plain API of a WebRTC library: it knows nothing of Patchbay but what
// docs/agents.md says.
type worker struct {
	t     *testing.T
	view  control.AgentView
	conn  *nats.Conn
	api   *webrtc.API
	codec webrtc.RTPCodecCapability
	reply func(got *rtp.Packet) []byte // what is said to a packet; nil: nothing
	took  chan *session
	gate  chan struct{} // offers are answered when it is closed; nil: at once
}

// worker makes an agent and runs its worker until the test ends. It takes the
// codecs named, the first of which carries its audio.
func (s *stage) worker(t *testing.T, codecs []string, spec rig.Fields, reply func(*rtp.Packet) []byte) *worker {
	t.Helper()
	media := &webrtc.MediaEngine{}
	for _, name := range codecs {
		if err := media.RegisterCodec(formats[name], webrtc.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
	}
	var settings webrtc.SettingEngine
	settings.LoggerFactory = &logging.DefaultLoggerFactory{Writer: io.Discard}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	w := &worker{t: t, view: s.op.Agent(t, "nats", spec), conn: s.Connect(t), codec: formats[codecs[0]].RTPCodecCapability,
		reply: reply, took: make(chan *session, 16),
		api: webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(settings))}
	if _, err := w.conn.QueueSubscribe(subject.Offer(w.view.ID), subject.Workers, w.offered); err != nil {
		t.Fatal(err)
	}
	if err := w.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return w
}

// endpoint makes an endpoint that the worker answers.
func (s *stage) endpoint(t *testing.T, w *worker) control.EndpointView {
	t.Helper()
	return s.op.Endpoint(t, w.view.ID, nil)
}

// offered answers one offer.
func (w *worker) offered(m *nats.Msg) {
	c := &session{worker: w, offer: m.Data, said: make(chan note, 64), open: make(chan struct{}), ended: make(chan struct{})}
	if err := json.Unmarshal(m.Data, &c.told); err != nil {
		w.t.Errorf("an offer is no JSON: %v", err)
		return
	}
	if w.gate != nil {
		<-w.gate
	}
	answer, err := c.answer()
	if err != nil {
		w.t.Errorf("answer an offer: %v", err)
		return
	}
	w.t.Cleanup(func() { _ = c.pc.Close() })
	reply, _ := json.Marshal(map[string]string{"type": "answer", "sdp": answer, "worker_id": "w1"})
	w.took <- c
	if err := m.Respond(reply); err != nil {
		w.t.Errorf("answer an offer: %v", err)
	}
}

// next waits for the worker's next call.
func (w *worker) next(t *testing.T) *session {
	t.Helper()
	select {
	case c := <-w.took:
		return c
	case <-time.After(settle):
		t.Fatalf("no call came to the worker within %v", settle)
		return nil
	}
}

// told is what an agent learns of its call.
type told struct {
	V        int               `json:"v"`
	CallID   string            `json:"call_id"`
	Type     string            `json:"type"`
	SDP      string            `json:"sdp"`
	Trusted  bool              `json:"trusted"`
	From     party             `json:"from"`
	To       party             `json:"to"`
	Headers  []header          `json:"headers"`
	Metadata map[string]string `json:"metadata"`
	raw      string
}

type party struct {
	URI, User, Host, Display string
	Trusted                  bool
}

type header struct{ Name, Value string }

// A note is one message of the data channel, or of the call's subject.
type note struct {
	Type       string `json:"type"`
	CallID     string `json:"call_id"`
	Digit      string `json:"digit"`
	DurationMs int    `json:"duration_ms"`
	Cause      string `json:"cause"`
	Q850       int    `json:"q850"`
	ID         string `json:"id"`
	OK         bool   `json:"ok"`
	Error      struct {
		Code string `json:"code"`
	} `json:"error"`
	raw string
}

func readNote(t *testing.T, data []byte) note {
	n := note{raw: string(data)}
	if err := json.Unmarshal(data, &n); err != nil {
		t.Errorf("an event is no JSON: %v: %s", err, data)
	}
	return n
}

// A session is one call of a worker.
type session struct {
	*worker
	offer []byte // as it came
	told  told
	pc    *webrtc.PeerConnection
	track *webrtc.TrackLocalStaticRTP
	dc    *webrtc.DataChannel
	open  chan struct{} // the data channel is
	said  chan note     // what it brought
	aside []note        // what it brought before an ack that was waited for
	ended chan struct{} // the connection was closed by the node

	mu    sync.Mutex
	heard []*rtp.Packet
	over  bool
}

func (c *session) answer() (string, error) {
	var err error
	if c.pc, err = c.api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return "", err
	}
	c.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { c.listen(track) })
	c.pc.OnDataChannel(c.channel)
	c.pc.OnConnectionStateChange(c.changed)
	if err = c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: c.told.SDP}); err != nil {
		return "", err
	}
	if c.track, err = webrtc.NewTrackLocalStaticRTP(c.codec, "audio", "agent"); err != nil {
		return "", err
	}
	if _, err = c.pc.AddTrack(c.track); err != nil {
		return "", err
	}
	answer, err := c.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err = c.pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered // host candidates only: at once
	return c.pc.LocalDescription().SDP, nil
}

func (c *session) changed(state webrtc.PeerConnectionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == webrtc.PeerConnectionStateClosed && !c.over {
		c.over = true
		close(c.ended)
	}
}

func (c *session) channel(dc *webrtc.DataChannel) {
	c.dc = dc
	dc.OnOpen(func() { close(c.open) })
	dc.OnMessage(func(m webrtc.DataChannelMessage) {
		select {
		case c.said <- readNote(c.t, m.Data):
		default:
			c.t.Error("more events came than a call has")
		}
	})
}

// listen keeps every packet and sends what the worker says to it, under the
// packet's own number and time.
func (c *session) listen(track *webrtc.TrackRemote) {
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.heard = append(c.heard, p)
		c.mu.Unlock()
		if c.reply == nil {
			continue
		}
		if payload := c.reply(p); payload != nil {
			answer := *p
			answer.Payload = payload
			_ = c.track.WriteRTP(&answer)
		}
	}
}

// connected waits until the agent can decrypt what comes: its side of the
// handshake may end after the node's, which then lets the carrier talk.
func (c *session) connected(t *testing.T) {
	t.Helper()
	rig.WaitFor(t, settle, "the agent is connected", func() bool { return c.pc.ConnectionState() == webrtc.PeerConnectionStateConnected })
}

// packets is what was heard so far.
func (c *session) packets() []*rtp.Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard[:len(c.heard):len(c.heard)]
}

// expect waits for an event of the data channel and lets others pass.
func (c *session) expect(t *testing.T, kind string) note {
	t.Helper()
	for i, n := range c.aside {
		if n.Type == kind {
			c.aside = c.aside[i+1:]
			return n
		}
	}
	c.aside = nil
	return expectNote(t, c.said, "over the data channel", kind)
}

func expectNote(t *testing.T, from <-chan note, where, kind string) note {
	t.Helper()
	var passed []string
	for end := time.After(settle); ; {
		select {
		case n := <-from:
			if n.Type == kind {
				return n
			}
			passed = append(passed, n.Type)
		case <-end:
			t.Fatalf("%s no %s came within %v, only %s", where, kind, settle, strings.Join(passed, ", "))
		}
	}
}

// ask sends a command over the data channel and returns its answer. What the
// command leads to may be told before that: it is kept for expect.
func (c *session) ask(t *testing.T, command string) note {
	t.Helper()
	select {
	case <-c.open:
	case <-time.After(settle):
		t.Fatalf("the data channel did not open within %v", settle)
	}
	if err := c.dc.SendText(command); err != nil {
		t.Fatal(err)
	}
	for end := time.After(settle); ; {
		select {
		case n := <-c.said:
			if n.Type == "ack" {
				return n
			}
			c.aside = append(c.aside, n)
		case <-end:
			t.Fatalf("%s was not answered within %v", command, settle)
		}
	}
}

// events listens to the subject of the call.
func (c *session) events(t *testing.T) <-chan note {
	t.Helper()
	out := make(chan note, 64)
	_, err := c.conn.Subscribe("pb.v1.call."+c.told.CallID+".evt", func(m *nats.Msg) { out <- readNote(c.t, m.Data) })
	if err == nil {
		err = c.conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}
