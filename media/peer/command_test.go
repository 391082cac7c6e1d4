package peer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/media"
	"patchbay/media/peer"
)

func TestAnAgentsCommandsAreAnswered(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		in   string
		err  error
		want string
	}{
		"hangup":        {`{"id":"1","type":"hangup"}`, nil, `{"type":"ack","id":"1","ok":true}`},
		"send_dtmf":     {`{"id":"2","type":"send_dtmf","digits":"1w2"}`, nil, `{"type":"ack","id":"2","ok":true}`},
		"no id":         {`{"type":"hangup"}`, nil, `{"type":"ack","ok":true}`},
		"bad digits":    {`{"id":"3","type":"send_dtmf","digits":"x"}`, media.ErrBadDigits, `{"type":"ack","id":"3","ok":false,"error":{"code":"invalid","message":"media: digits must be of 0-9 A-D * # and w for a pause"}}`},
		"no dtmf":       {`{"id":"4","type":"send_dtmf","digits":"1"}`, fmt.Errorf("send 1: %w", media.ErrNoDTMF), `{"type":"ack","id":"4","ok":false,"error":{"code":"no_dtmf","message":"send 1: media: the carrier takes no telephone-event"}}`},
		"too many":      {`{"id":"5","type":"send_dtmf","digits":"1"}`, media.ErrDigitsFull, `{"type":"ack","id":"5","ok":false,"error":{"code":"busy","message":"media: too many digits are waiting"}}`},
		"over":          {`{"id":"6","type":"hangup"}`, media.ErrClosed, `{"type":"ack","id":"6","ok":false,"error":{"code":"ended","message":"media: the call has ended"}}`},
		"our fault":     {`{"id":"7","type":"hangup"}`, errors.New("disk /secret"), `{"type":"ack","id":"7","ok":false,"error":{"code":"internal","message":"internal error"}}`},
		"transfer":      {`{"id":"8","type":"transfer","to":"sip:a@b"}`, nil, `{"type":"ack","id":"8","ok":true}`},
		"bad replaces":  {`{"id":"11","type":"transfer","to":"sip:a@b","replaces":"x"}`, media.ErrBadReplaces, `{"type":"ack","id":"11","ok":false,"error":{"code":"invalid","message":"media: want to or replaces, which is the id of another call of yours"}}`},
		"bad target":    {`{"id":"12","type":"transfer","to":"?"}`, media.ErrBadTarget, `{"type":"ack","id":"12","ok":false,"error":{"code":"invalid","message":"media: to must be sip:user@host[:port][;transport=udp|tcp|tls], or a number"}}`},
		"play":          {`{"id":"9","type":"play"}`, nil, `{"type":"ack","id":"9","ok":false,"error":{"code":"not_supported","message":"this command is not served; hangup, send_dtmf, transfer, answer and reject are"}}`},
		"answer":        {`{"id":"13","type":"answer"}`, nil, `{"type":"ack","id":"13","ok":true}`},
		"not early":     {`{"id":"14","type":"answer"}`, media.ErrNotEarly, `{"type":"ack","id":"14","ok":false,"error":{"code":"not_early","message":"media: the call does not wait to be answered"}}`},
		"bad status":    {`{"id":"15","type":"reject","status":200}`, media.ErrBadStatus, `{"type":"ack","id":"15","ok":false,"error":{"code":"invalid","message":"media: status must be of 400 to 699, and not 401, 407, 422 or 494, which ask for another INVITE"}}`},
		"no type":       {`{"id":"10"}`, nil, `{"type":"ack","id":"10","ok":false,"error":{"code":"invalid","message":"type is missing"}}`},
		"no JSON":       {`hangup`, nil, `{"type":"ack","ok":false,"error":{"code":"invalid","message":"the message is no JSON object like {\"id\":\"1\",\"type\":\"hangup\"}"}}`},
		"long id":       {`{"id":"` + strings.Repeat("x", 65) + `","type":"hangup"}`, nil, `{"type":"ack","ok":false,"error":{"code":"invalid","message":"id is longer than 64 bytes"}}`},
		"too large":     {`{"id":"` + strings.Repeat("x", peer.MaxMessage) + `"}`, nil, `{"type":"ack","ok":false,"error":{"code":"invalid","message":"the message is larger than 16384 bytes"}}`},
		"an ack of its": {`{"type":"ack","id":"1"}`, nil, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cs := peer.NewCommands(func(media.Command) error { return c.err })
			if got := string(cs.Answer(now, []byte(c.in))); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestCommandsBeyondTheRateAreRefused(t *testing.T) {
	t.Parallel()
	ran := 0
	cs := peer.NewCommands(func(media.Command) error { ran++; return nil })
	now := time.Unix(1000, 0)
	for range 100 {
		cs.Answer(now, []byte(`{"type":"hangup"}`))
	}
	if ran != peer.CommandBurst {
		t.Errorf("%d commands ran at once, want %d", ran, peer.CommandBurst)
	}
	for range 100 {
		now = now.Add(10 * time.Millisecond)
		cs.Answer(now, []byte(`{"type":"hangup"}`))
	}
	if want := peer.CommandBurst + peer.CommandsPerSecond; ran < want-1 || ran > want {
		t.Errorf("%d commands ran after a second, want %d", ran, want)
	}
	if got := string(cs.Answer(now, []byte(`{"type":"hangup","id":"z"}`))); !strings.Contains(got, peer.CodeRateLimited) {
		t.Errorf("got %s, want %s", got, peer.CodeRateLimited)
	}
}

func TestCommandsComeOverTheDataChannel(t *testing.T) {
	t.Parallel()
	p := newStack(t, settings(true), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}, Channel: true})
	defer p.Close(call.CauseNormal)
	a := newAgent(t, agentOptions{})
	join(t, p, a)
	commands := make(chan media.Command, 8)
	p.Start(func([]byte) {}, func(call.Cause) {}, func(c media.Command) error {
		commands <- c
		return nil
	})
	p.Notify([]byte(`{"type":"call.started"}`))
	if got := a.hear(t); got != `{"type":"call.started"}` {
		t.Fatalf("got %s", got)
	}
	if got := a.dc.Label(); got != "call-events" {
		t.Errorf("got label %s", got)
	}
	for _, c := range []struct{ in, want string }{
		{`{"id":"1","type":"send_dtmf","digits":"1w2"}`, `{"type":"ack","id":"1","ok":true}`},
		{`{"id":"2","type":"play"}`, `"code":"not_supported"`},
		{`{"id":"3","type":"hangup"}`, `{"type":"ack","id":"3","ok":true}`},
	} {
		if err := a.dc.SendText(c.in); err != nil {
			t.Fatal(err)
		}
		if got := a.hear(t); !strings.Contains(got, c.want) {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	if c := <-commands; c.Digits != "1w2" {
		t.Errorf("got %v", c)
	}
	if c := <-commands; c.Type != media.CommandHangup {
		t.Errorf("got %v", c)
	}
}

func TestAPanicInACommandCostsOneMessage(t *testing.T) {
	t.Parallel()
	panics := make(chan string, 8)
	p := newStack(t, settings(true), peer.Hooks{Panic: func(where string) { panics <- where }}).
		Peer(peer.Wanted{Codecs: []call.Codec{pcmu}, Channel: true})
	defer p.Close(call.CauseNormal)
	a := newAgent(t, agentOptions{})
	join(t, p, a)
	p.Start(func(b []byte) { panic("rx") }, func(call.Cause) {}, func(c media.Command) error {
		if c.ID == "boom" {
			panic(c.ID)
		}
		return nil
	})
	p.Notify([]byte(`{}`))
	a.hear(t)
	for _, s := range []string{`{"id":"boom","type":"hangup"}`, `{"id":"2","type":"hangup"}`} {
		if err := a.dc.SendText(s); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.hear(t); got != `{"type":"ack","id":"2","ok":true}` {
		t.Errorf("got %s", got)
	}
	if _, err := a.track.Write(packet(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"media.channel", "media.peer"} {
		if got := <-panics; got != want {
			t.Errorf("got a panic in %s, want %s", got, want)
		}
	}
}

func TestAnAgentThatVanishesIsLostAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	p := newStack(t, settings(true), peer.Hooks{}).Peer(peer.Wanted{Codecs: []call.Codec{pcmu}})
	defer p.Close(call.CauseNormal)
	a := newAgent(t, agentOptions{})
	join(t, p, a)
	closed := make(chan call.Cause, 1)
	p.Start(func([]byte) {}, func(c call.Cause) { closed <- c }, nil)
	start := time.Now()
	if err := a.pc.SCTP().Transport().ICETransport().Stop(); err != nil {
		t.Fatal(err)
	}
	select {
	case c := <-closed:
		if took := time.Since(start); c != call.CauseAgentLost || took < 3*time.Second {
			t.Errorf("got %v after %v, want %v after 5 s", c, took, call.CauseAgentLost)
		}
	case <-time.After(2 * patience):
		t.Fatal("not noticed")
	}
}

func FuzzCommands(f *testing.F) {
	f.Add([]byte(`{"id":"1","type":"send_dtmf","digits":"1w2"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := peer.NewCommands(func(media.Command) error { return nil }).Answer(time.Unix(0, 0), b)
		if got != nil && !json.Valid(got) {
			t.Errorf("answer is no JSON: %s", got)
		}
	})
}
