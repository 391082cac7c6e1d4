package rig

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/config"
	"patchbay/media"
	"patchbay/media/peer"
	"patchbay/media/rtp"
)

// A Parked is an agent that stands by for its next call, and echoes it.
type Parked struct {
	node     *Node
	location string
	said     chan string
}

// Park lets an agent stand by, with the node's own key, until the test ends.
func (n *Node) Park(t testing.TB, agent string) *Parked {
	t.Helper()
	stack, err := peer.NewStack(config.Media{ICEPorts: "40000-49999", SRTPTap: true}, peer.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	p := &Parked{node: n, said: make(chan string, 64)}
	pcmu := call.Codec{PayloadType: 0, Name: "PCMU", ClockRate: 8000}
	own := stack.Peer(peer.Wanted{Codecs: []call.Codec{pcmu}, Channel: true, Dialect: peer.Dialect{Hear: func(m []byte) peer.Heard {
		p.said <- string(m)
		return peer.HeardNothing
	}}})
	t.Cleanup(func() { own.Close(call.CauseNormal); stack.Wait() })
	offer, err := own.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	res := p.ask(t, http.MethodPost, "/v1/agents/"+agent+"/webrtc", offer)
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("park: %s: %s, %v", res.Status, answer, err)
	}
	p.location = res.Header.Get("Location")
	own.Start(func(packet []byte) {
		rtp.Header{PayloadType: pcmu.PayloadType, SSRC: own.SSRC(), Sequence: uint16(packet[2])<<8 | uint16(packet[3]),
			Timestamp: uint32(packet[4])<<24 | uint32(packet[5])<<16 | uint32(packet[6])<<8 | uint32(packet[7])}.Put(packet)
		_ = own.WriteRTP(packet) // lost, as any packet may be
	}, func(call.Cause) {}, func(media.Command) error { return nil })
	if err := own.Accept(string(answer)); err != nil {
		t.Fatal(err)
	}
	return p
}

// Hear returns the next message on the agent's data channel.
func (p *Parked) Hear(t testing.TB) string {
	t.Helper()
	select {
	case m := <-p.said:
		return m
	case <-time.After(controlLimit):
		t.Fatal("nothing came on the data channel")
		return ""
	}
}

// Leave ends the session and returns the status.
func (p *Parked) Leave(t testing.TB) int {
	t.Helper()
	return p.ask(t, http.MethodDelete, p.location, "").StatusCode
}

// ask makes a request of an agent with the key of the node's first start.
func (p *Parked) ask(t testing.TB, method, path, body string) *http.Response {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(p.node.Dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.node.HTTP+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	req.Header.Set("Content-Type", "application/sdp")
	res, err := p.node.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}
