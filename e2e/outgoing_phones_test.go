package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/testkit"
)

func TestBaresipIsCalledAndHearsItsOwnTone(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	runs := []string{"udp PCMU", "tcp G722"}
	rig.Together(t, len(runs), runs, func(t *testing.T, name string) {
		transport, codec, _ := strings.Cut(name, " ")
		rate := map[string]int{"PCMU": 8000, "G722": 16000}[codec]
		phone := baresip{dir: t.TempDir(), transport: transport, sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: codec, more: ";answermode=auto"}
		phone.write(t, 700, rate)
		r := phone.begin(t, b.Port(t, 2))
		v := b.placeWhere(t, transport, phone.sip, fmt.Sprintf("sip:phone@127.0.0.1:%d;transport=%s", phone.sip, transport))
		b.talks(t, v.ID, 5*word/2)
		b.op.Do(t, "call", "hangup", control.ID{ID: v.ID.String()}, nil)
		rec := b.ended(t, v.ID, 200, call.CauseOperator, call.ByOperator)
		if rec.Codec != codec || string(rec.Transport) != transport || rec.Quality.PacketsReceived < 150 || rec.Quality.PacketsLost != 0 {
			t.Errorf("record %+v", rec)
		}
		hears(t, "baresip", phone.one(t, r.quit()), 700, rate, 3*time.Second)
	})
	b.Idle(t, settle)
}

// placeWhere waits until a phone listens at a port of this machine, and calls it
// until it has answered.
func (b *bed) placeWhere(t *testing.T, transport string, port int, to string) control.CallView {
	t.Helper()
	rig.WaitFor(t, settle, "the phone listens", func() bool { return rig.Bound(transport, port) })
	v := b.place(t, control.NewCall{To: to, RingTimeoutMs: 30_000})
	rig.Until(t, settle, func() (string, bool) {
		var got control.CallView
		if err := b.op.Try("call", "get", control.ID{ID: v.ID.String()}, &got); err != nil {
			return "the call lives: " + err.Error(), false
		}
		return "the phone answers, the call is " + got.State, got.State == string(call.StateEstablished)
	})
	return v
}

// sippAnswers runs SIPp's own scenario of who is called, for so many calls, and
// returns its port and what waits for its end.
func (b *bed) sippAnswers(t *testing.T, calls int, more ...string) (port int, wait func()) {
	t.Helper()
	port, media := b.Port(t, 2), b.Port(t, 4)
	ctx, cancel := context.WithTimeout(t.Context(), 2*settle)
	t.Cleanup(cancel)
	sipp := exec.CommandContext(ctx, testkit.Tool(t, "sipp"), append([]string{"-sn", "uas", "-i", "127.0.0.1", "-p", fmt.Sprint(port), "-mi", "127.0.0.1",
		"-mp", fmt.Sprint(media), "-cp", fmt.Sprint(port + 1), "-m", fmt.Sprint(calls), "-nostdin", "-nd", "-timeout", "60s", "-timeout_error"}, more...)...)
	sipp.Dir = t.TempDir()
	var out bytes.Buffer
	sipp.Stdout, sipp.Stderr = &out, &out
	if err := sipp.Start(); err != nil {
		t.Fatal(err)
	}
	return port, func() {
		t.Helper()
		if err := sipp.Wait(); err != nil {
			t.Errorf("sipp: %v\n%s", err, out.String())
		}
	}
}

func TestSIPpIsCalledAndAnswers(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	const calls = 5
	port, wait := b.sippAnswers(t, calls)
	for range calls {
		v := b.placeWhere(t, "udp", port, fmt.Sprintf("sip:service@127.0.0.1:%d", port))
		b.op.Do(t, "call", "hangup", control.ID{ID: v.ID.String()}, nil)
		b.ended(t, v.ID, 200, call.CauseOperator, call.ByOperator)
	}
	wait()
	b.Idle(t, settle)
}

// The agent speaks, SIPp sends its RTP back: every byte is as it was said.
func TestSIPpSaysBackWhatTheAgentSays(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	w := s.worker(t, []string{"PCMU"}, nil, nil)
	b := &bed{Node: s.Node, op: s.op, echo: &rig.Echo{Agent: w.view.ID}}
	port, wait := b.sippAnswers(t, 1, "-rtp_echo")
	v := b.placeWhere(t, "udp", port, fmt.Sprintf("sip:service@127.0.0.1:%d", port))
	took := w.next(t)
	word := bytes.Repeat([]byte("patchbay"), 20)
	p := &rtp.Packet{Header: rtp.Header{Version: 2}, Payload: word}
	rig.Until(t, settle, func() (string, bool) { // one word each time that it is looked at: 20 ms
		p.SequenceNumber++
		p.Timestamp += 160
		_ = took.track.WriteRTP(p) // lost before DTLS is up
		back := 0
		for _, heard := range took.packets() {
			if bytes.Equal(heard.Payload, word) {
				back++
			}
		}
		return fmt.Sprintf("50 words come back, %d of %d have", back, p.SequenceNumber), back >= 50
	})
	b.op.Do(t, "call", "hangup", control.ID{ID: v.ID.String()}, nil)
	b.ended(t, v.ID, 200, call.CauseOperator, call.ByOperator)
	wait()
	b.Idle(t, settle)
}

func TestATrunkThatIsFullTakesNoFurtherCall(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	callee := rig.NewCallee(t, rig.Loopback())
	trunk := b.trunk(t, rig.Fields{"max_concurrent_calls": 1}, callee)
	in := control.NewCall{AgentID: b.echo.Agent, To: "15550199", Trunk: trunk.ID}
	v := b.place(t, in)
	invite := callee.Next("INVITE")
	var told *control.Error
	if err := b.op.Try("call", "create", in, nil); !errors.As(err, &told) || told.Code != control.CodeLimit {
		t.Errorf("a second call: %v, want %s", err, control.CodeLimit)
	}
	invite.Reply("486 Busy Here", "a", "")
	b.ended(t, v.ID, 486, call.CauseCalledBusy, call.ByCarrier)
	rig.Until(t, settle, func() (string, bool) { // once the media node's report has come
		err := b.op.Try("call", "create", in, nil)
		return fmt.Sprintf("a call after the first one's end: %v", err), err == nil
	})
	callee.Next("INVITE").Reply("486 Busy Here", "a", "")
	b.Idle(t, settle)
}

func TestAnAnsweredCallThatFindsNoAgentIsEnded(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Settings{"media.agent_timeout": "1s"})
	callee := rig.NewCallee(t, rig.Loopback())
	v := b.place(t, control.NewCall{AgentID: b.op.Agent(t, "nats", nil).ID, To: callee.URI("bob")})
	callee.Next("INVITE").Answer("a")
	bye := callee.Next("BYE")
	bye.Reply("200 OK", "", "")
	if !strings.Contains(bye.Header("Reason"), "cause=18") {
		t.Errorf("BYE for %q", bye.Header("Reason"))
	}
	b.ended(t, v.ID, 200, call.CauseNoAgent, call.ByNode)
	b.Idle(t, settle)
}

func TestACallToAnAddressOfItsOwnersNetworkIsRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil) // on loopback, which it may call
	for _, to := range []string{"sip:a@10.0.0.1", "sip:a@169.254.169.254", "sip:a@[fd00::1]:5060"} {
		var told *control.Error
		err := b.op.Try("call", "create", control.NewCall{AgentID: b.echo.Agent, To: to}, nil)
		if !errors.As(err, &told) || told.Code != control.CodeInvalid || len(told.Problems) != 1 || told.Problems[0].Field != "to" {
			t.Errorf("%s: %v", to, err)
		}
	}
	b.Idle(t, settle)
}

// TestManyCallsArePlacedAtOnce has every call of a burst answered, joined by an
// agent, ended and recorded.
func TestManyCallsArePlacedAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	const calls = 40
	callee := rig.NewCallee(t, rig.Loopback())
	placed := make(chan call.ID, calls)
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			var v control.CallView
			if err := b.op.Try("call", "create", control.NewCall{AgentID: b.echo.Agent, To: callee.URI("bob")}, &v); err != nil {
				t.Errorf("place: %v", err)
				return
			}
			placed <- v.ID
		})
	}
	for range calls {
		invite := callee.Next("INVITE")
		_, sdp := invite.Media("a")
		invite.Reply("200 OK", "a", sdp)
	}
	all.Wait()
	rig.Until(t, settle, func() (string, bool) {
		up := 0
		for _, v := range b.op.Calls(t) {
			if v.State == string(call.StateEstablished) {
				up++
			}
		}
		return fmt.Sprintf("%d calls are established, %d are", calls, up), up == calls
	})
	for range calls {
		b.op.Do(t, "call", "hangup", control.ID{ID: (<-placed).String()}, nil)
		callee.Next("BYE").Reply("200 OK", "", "")
	}
	rig.Until(t, settle, func() (string, bool) {
		records, err := b.op.Records()
		return fmt.Sprintf("%d records, there are %d, %v", calls, len(records), err), err == nil && len(records) == calls
	})
	b.Idle(t, settle)
}
