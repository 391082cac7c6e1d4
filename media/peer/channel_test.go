package peer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"patchbay/actors/call"
	"patchbay/media"
	"patchbay/media/peer"
)

func TestLongCommandsAreReadWhole(t *testing.T) {
	t.Parallel()
	p := newStack(t, settings(true), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}, Channel: true})
	defer p.Close(call.CauseNormal)
	a := newAgent(t, agentOptions{})
	join(t, p, a)
	digits := make(chan string, 8)
	p.Start(func([]byte) {}, func(call.Cause) {}, func(c media.Command) error { digits <- c.Digits; return nil })
	p.Notify([]byte(`{}`))
	a.hear(t)
	for _, n := range []int{10_000, 1, 5_000} {
		if err := a.dc.SendText(`{"id":"1","type":"send_dtmf","digits":"` + strings.Repeat("5", n) + `"}`); err != nil {
			t.Fatal(err)
		}
		a.hear(t)
		if got := <-digits; len(got) != n {
			t.Errorf("%d of %d digits", len(got), n)
		}
	}
}

func TestChannelsThatAreNoneOfOursTakeNoRoomOfOurs(t *testing.T) {
	t.Parallel()
	p := newStack(t, settings(true), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}, Channel: true})
	defer p.Close(call.CauseNormal)
	a := newAgent(t, agentOptions{})
	join(t, p, a)
	p.Start(func([]byte) {}, func(call.Cause) {}, func(media.Command) error { return nil })
	p.Notify([]byte(`{}`))
	a.hear(t)
	closed := make(chan struct{}, 32)
	for range 12 { // more than may stay
		dc, err := a.pc.CreateDataChannel("chatter", nil)
		if err != nil {
			t.Fatal(err)
		}
		dc.OnClose(func() { closed <- struct{}{} })
		dc.OnOpen(func() {
			for range 16 { // together more than our side has room for
				_ = dc.SendText(strings.Repeat("x", 4<<10)) // of a channel that is closed meanwhile
			}
		})
	}
	for range 4 {
		await(t, closed, "a channel too many to be closed")
	}
	if err := a.dc.SendText(`{"id":"1","type":"hangup"}`); err != nil {
		t.Fatal(err)
	}
	if got := a.hear(t); !strings.Contains(got, `"ok":true`) {
		t.Error(got)
	}
	if state := a.dc.ReadyState(); state != webrtc.DataChannelStateOpen {
		t.Error(state)
	}
}

func TestTheAgentIsToldWhenTheCallEnds(t *testing.T) {
	for _, tap := range []bool{true, false} {
		t.Run(fmt.Sprintf("tap=%v", tap), func(t *testing.T) {
			t.Parallel()
			p := newPatientStack(t, settings(tap)).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}, Channel: true})
			a := newAgent(t, agentOptions{})
			join(t, p, a)
			p.Start(func([]byte) {}, func(c call.Cause) { t.Errorf("closed was called: %v", c) }, nil)
			p.Notify([]byte(`{"type":"call.ended"}`))
			p.Close(call.CauseNormal)
			p.Close(call.CauseNormal)
			if got := a.hear(t); got != `{"type":"call.ended"}` {
				t.Errorf("the agent got %s", got)
			}
			await(t, a.down, "the agent to see the end")
		})
	}
}

// TestAnAcknowledgementComesBeforeWhatTheCommandBrings ends the call while the
// command is still being carried out, as a busy machine may.
func TestAnAcknowledgementComesBeforeWhatTheCommandBrings(t *testing.T) {
	t.Parallel()
	p := newPatientStack(t, settings(true)).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}, Channel: true})
	a := newAgent(t, agentOptions{})
	join(t, p, a)
	over := make(chan struct{})
	p.Start(func([]byte) {}, func(call.Cause) {}, func(media.Command) error {
		go func() { defer close(over); p.Notify([]byte("call.ended")); p.Close(call.CauseAgentHangup) }()
		time.Sleep(50 * time.Millisecond)
		return nil
	})
	p.Notify([]byte("call.started"))
	a.hear(t)
	if err := a.dc.SendText(`{"id":"1","type":"hangup"}`); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"type":"ack","id":"1","ok":true}`, "call.ended"} {
		if got := a.hear(t); got != want {
			t.Errorf("the agent got %s, want %s", got, want)
		}
	}
	await(t, over, "the end")
}

// TestAnAgentThatReadsSlowlyIsToldOfTheEndToo has an agent on a busy machine:
// it takes each message long after its stack got it.
func TestAnAgentThatReadsSlowlyIsToldOfTheEndToo(t *testing.T) {
	t.Parallel()
	p := newPatientStack(t, settings(true)).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}, Channel: true})
	a := newAgent(t, agentOptions{})
	a.pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		dc.OnMessage(func(m webrtc.DataChannelMessage) {
			time.Sleep(400 * time.Millisecond)
			a.said <- string(m.Data)
		})
	})
	join(t, p, a)
	p.Start(func([]byte) {}, func(c call.Cause) { t.Errorf("closed was called: %v", c) }, nil)
	for _, event := range []string{"call.started", "call.ended"} {
		p.Notify([]byte(event))
	}
	p.Close(call.CauseNormal)
	for _, want := range []string{"call.started", "call.ended"} {
		if got := a.hear(t); got != want {
			t.Errorf("the agent got %s, want %s", got, want)
		}
	}
	await(t, a.down, "the agent to see the end")
}

// TestAnAgentThatReadsNothingHoldsAPeerForASecond counts from the hang-up.
func TestAnAgentThatReadsNothingHoldsAPeerForASecond(t *testing.T) {
	t.Parallel()
	s := newStack(t, settings(true), peer.Hooks{})
	p := s.Peer(peer.Wanted{Codecs: []call.Codec{pcmu}, Channel: true})
	a := newAgent(t, agentOptions{})
	release, reads := make(chan struct{}), make(chan struct{}, 8)
	a.pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		dc.OnMessage(func(webrtc.DataChannelMessage) { reads <- struct{}{}; <-release })
	})
	join(t, p, a)
	p.Start(func([]byte) {}, func(c call.Cause) { t.Errorf("closed was called: %v", c) }, nil)
	p.Notify([]byte("call.started"))
	await(t, reads, "the first message")
	began := time.Now()
	p.Close(call.CauseNormal)
	s.Wait()
	if took := time.Since(began); took < 900*time.Millisecond || took > patience {
		t.Errorf("the peer was there for %v, want a second", took)
	}
	close(release)
	await(t, a.down, "the agent to see the end")
}
