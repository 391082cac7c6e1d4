package media_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/internal/tone"
	"patchbay/media"
	"patchbay/media/rtp"
)

// next is another agent for the bench's call, which resumes it.
func (b *bench) next(a *agent, number int) actors.Asked {
	b.relay.set(a)
	b.agent = a
	asked := b.req.Asked
	asked.Number, asked.Epoch, asked.Deadline, asked.Cause = number, uint64(number), time.Now().Add(patience), call.CauseAgentLost
	return asked
}

// joined waits for the agent that was asked.
func (b *bench) joined(number int) call.Event {
	b.t.Helper()
	for {
		ev := b.event()
		if ev.Kind == call.AgentFailed {
			b.t.Fatalf("%+v", ev)
		}
		if ev.Kind == call.AgentJoined {
			if ev.Dispatch != number {
				b.t.Fatalf("news of agent %d, want %d", ev.Dispatch, number)
			}
			<-b.agent.started
			return ev
		}
	}
}

func TestAnAgentIsReplacedInsideTheCall(t *testing.T) {
	t.Parallel()
	first := newAgent(pcmu)
	first.dtmf = &tel8
	b := newBench(t, first, settings(), "127.0.0.1")
	b.join()
	began := time.Now()
	first.rx(packet(0, 500, payload(0, 0xa9)...))
	b.send(b.rtp, packet(0, 1, payload(0, 0xca)...))
	eventually(t, "the first agent hears", func() bool { return len(first.packets()) == 1 })
	before := receive(t, b.rtp, 1, patience)

	gate := make(chan struct{})
	chosen := pcmu
	chosen.PayloadType = 120 // another number on its leg
	second := newAgent(chosen)
	second.before = func(context.Context) { <-gate }
	b.bridge.Ask(b.next(second, 2))
	if got := <-first.closed; got != call.CauseAgentLost {
		t.Errorf("the first agent was told %v", got)
	}
	during := receive(t, b.rtp, 50, patience)
	b.send(b.rtp, packet(0, 2, payload(1, 0xca)...)) // heard by nobody
	first.rx(packet(0, 501, payload(1, 0xa9)...))    // of one that was let go
	if err := first.command(media.Command{Type: media.CommandHangup}); err == nil {
		t.Error("an agent that was let go could hang up")
	}
	b.bridge.Notify(call.EventDigit, call.Event{Digit: "5"})
	eventually(t, "the carrier is counted on", func() bool { return b.bridge.Quality().PacketsReceived == 2 })
	close(gate)
	ev := b.joined(2)
	if ev.Answer == nil || ev.Answer.Codec != pcmu || ev.Answer.Addr != b.answer.Addr {
		t.Errorf("the call changed: %+v", ev.Answer)
	}
	second.rx(packet(120, 9000, payload(0, 0xbb)...))
	b.send(b.rtp, packet(0, 3, payload(2, 0xca)...))
	eventually(t, "the second agent hears", func() bool { return len(second.packets()) == 1 })
	if got := second.packets()[0]; got[1]&0x7f != 120 || got[len(got)-1] != 0xca {
		t.Errorf("the second agent heard % x...", got[:16])
	}
	if len(first.packets()) != 1 {
		t.Error("the first agent still hears")
	}
	rest := untilMark(t, b, 0xbb)
	continuous(t, time.Since(began), before, during, rest)
	if len(second.req.Codecs) != 1 || second.req.Codecs[0] != pcmu || second.req.Epoch != 2 {
		t.Errorf("asked with %+v", second.req)
	}
	b.bridge.Notify(call.EventAgentJoined, call.Event{})
	var told []string
	for _, n := range second.notes {
		m := fields(t, n)
		told = append(told, fmt.Sprintf("%v %v %v", m["type"], m["resume"], m["epoch"]))
	}
	if got := strings.Join(told, ", "); got != "call.started true 2, dtmf true 2, call.answered true 2" {
		t.Errorf("the second agent was told %s", got)
	}
}

// untilMark reads what the carrier gets up to a payload of that mark.
func untilMark(t *testing.T, b *bench, mark byte) (got [][]byte) {
	t.Helper()
	for len(got) < 500 {
		p := receive(t, b.rtp, 1, patience)
		if len(p) == 0 {
			break
		}
		if got = append(got, p[0]); p[0][len(p[0])-1] == mark {
			return got
		}
	}
	t.Fatal("the second agent is not heard")
	return nil
}

// continuous checks that the carrier had one stream within a time: one SSRC,
// each sequence number once, timestamps by the wall clock, a tone of comfort
// between, and a marker where an agent begins to speak.
func continuous(t *testing.T, took time.Duration, parts ...[][]byte) {
	t.Helper()
	var last rtp.Header
	var ticks uint32
	var comfort []byte
	for i, part := range parts {
		for k, p := range part {
			h, start, end, err := rtp.Parse(p)
			if err != nil {
				t.Fatal(err)
			}
			if last.SSRC != 0 && (h.SSRC != last.SSRC || h.Sequence != last.Sequence+1) {
				t.Fatalf("part %d, packet %d: %+v after %+v", i, k, h, last)
			}
			if step := h.Timestamp - last.Timestamp; last.SSRC != 0 {
				if ticks += step; step < 160 || step > 1<<31 {
					t.Errorf("part %d, packet %d: %d ticks after the one before", i, k, step)
				}
			}
			if i == 1 {
				comfort = append(comfort, p[start:end]...)
			}
			last = h
		}
	}
	if most := uint32(took*8/time.Millisecond) + 1600; ticks > most { // a busy machine may send nothing for a while
		t.Errorf("%d ticks in %v", ticks, took)
	}
	if !last.Marker {
		t.Error("the second agent begins without a marker")
	}
	if got := tone.Share(tone.DecodePCMU(comfort[160:2240]), rtp.ComfortTone, 8000); got < 0.9 {
		t.Errorf("%.2f of what the carrier heard between is comfort", got)
	}
}

func TestAReplacementMustTakeTheCallsCodec(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcma), settings(), "127.0.0.1")
	b.join()
	b.bridge.Ask(b.next(newAgent(pcmu), 2)) // it was offered PCMA alone
	for {
		ev := b.event()
		if ev.Kind == call.AgentChosen {
			continue
		}
		if ev.Kind != call.AgentFailed || ev.Cause != call.CauseNoCodec || ev.Dispatch != 2 {
			t.Errorf("%+v", ev)
		}
		break
	}
	if got := <-b.agent.closed; got != call.CauseNoCodec {
		t.Errorf("it was told %v", got)
	}
	b.bridge.Ask(b.next(newAgent(pcma), 3))
	b.joined(3)
}

func TestTheNextAgentIsAskedOnTheSamePorts(t *testing.T) {
	t.Parallel()
	refuses := newAgent(pcmu)
	refuses.err = media.ErrAgentBusy
	b := newBench(t, refuses, settings(), "127.0.0.1")
	b.open()
	b.bridge.Notify(call.EventStarted, call.Event{})
	if ev := b.event(); ev.Kind != call.AgentFailed || ev.Cause != call.CauseAgentBusy || ev.Dispatch != 1 {
		t.Fatalf("%+v", ev)
	}
	if s := b.node.Stats(); s.PortsUsed != 1 || s.Calls != 1 {
		t.Errorf("%+v", s)
	}
	asked := b.next(newAgent(pcmu), 2)
	asked.Epoch = 1
	b.bridge.Ask(asked)
	b.joined(2)
	if s := b.node.Stats(); s.PortsUsed != 1 {
		t.Errorf("%+v", s)
	}
	if n := b.agent.notes; len(n) != 1 || !strings.Contains(n[0], `"call.started"`) || strings.Contains(n[0], "resume") {
		t.Errorf("told %q", n)
	}
	b.bridge.Close(call.CauseNormal)
	b.bridge.Ask(b.next(newAgent(pcmu), 3)) // too late: nothing happens
	eventually(t, "everything is given back", func() bool { s := b.node.Stats(); return s.Calls == 0 && s.PortsUsed == 0 })
}

// A search that was given up may still succeed: its leg is closed, and the
// call has the agent that was asked last.
func TestAnAgentThatComesTooLateIsSentAway(t *testing.T) {
	t.Parallel()
	slow := newAgent(pcmu)
	entered, gate := make(chan struct{}), make(chan struct{})
	slow.before = func(context.Context) { close(entered); <-gate }
	b := newBench(t, slow, settings(), "127.0.0.1")
	b.open()
	<-entered
	b.bridge.Ask(b.next(newAgent(pcmu), 2))
	b.joined(2)
	close(gate)
	if got := <-slow.closed; got != call.CauseNoAgent {
		t.Errorf("it was told %v", got)
	}
	b.agent.rx(packet(0, 1, payload(0, 0xa9)...))
	same(t, receive(t, b.rtp, 1, patience), 0, 0xa9)
}

// Bridges whose agents come and go while calls end leave nothing behind.
func TestAskingAndClosingAtOnceFreesEverything(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.relay.fresh = true
	for i := range 40 {
		b.open()
		done := make(chan struct{})
		go func() {
			defer close(done)
			asked := b.req.Asked
			asked.Number, asked.Deadline = 2, time.Now().Add(patience)
			b.bridge.Ask(asked)
		}()
		if i%2 == 0 {
			<-done
		}
		b.bridge.Close(call.CauseCancelled)
		<-done
	}
	eventually(t, "everything is given back", func() bool { s := b.node.Stats(); return s.Calls == 0 && s.PortsUsed == 0 })
}
