package peer_test

import (
	"strings"
	"testing"

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
