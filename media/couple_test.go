package media_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/media"
)

// second is another call of the bench's node, placed to a carrier of its own and
// answered with a codec.
func (b *bench) second(codec call.Codec) *bench {
	b.t.Helper()
	o := &bench{t: b.t, node: b.node, relay: b.relay, rtp: udp(b.t, "127.0.0.1"), rtcp: udp(b.t, "127.0.0.1"), events: make(chan call.Event, 100), req: b.req}
	o.req.ID = 8
	o.reserve()
	o.bridge.Join(o.says(codec))
	o.bridge.Answered()
	return o
}

// couple has both answered, each by its agent, and joins their carriers.
func couple(t *testing.T) (a, b *bench, first *agent) {
	t.Helper()
	first = newAgent(pcmu)
	first.dtmf = &tel8
	a = newBench(t, first, settings(), "127.0.0.1")
	a.join()
	b = a.second(pcmu)
	if err := a.node.Couple(a.bridge, b.bridge, call.CauseNormal); err != nil {
		t.Fatal(err)
	}
	return a, b, first
}

func TestABridgeJoinsTwoCarriers(t *testing.T) {
	t.Parallel()
	a, b, first := couple(t)
	if got := <-first.closed; got != call.CauseNormal {
		t.Errorf("the agent was told %v", got)
	}
	first.mu.Lock()
	if told := first.notes; len(told) == 0 || !strings.Contains(told[len(told)-1], `"type":"call.ended"`) {
		t.Errorf("the agent was told %q", told)
	}
	first.mu.Unlock()
	first.rx(packet(0, 900, payload(0, 0xee)...)) // comes too late
	for i := range uint16(3) {
		a.send(a.rtp, packet(0, 10+i, payload(int(i), 0xaa)...))
		b.send(b.rtp, packet(0, 500+i, payload(int(i), 0xbb)...))
	}
	untilMark(t, b, 0xaa)
	for _, p := range untilMark(t, a, 0xbb) {
		if p[len(p)-1] == 0xee {
			t.Error("the agent that was let go is heard")
		}
	}
	b.send(b.rtp, packet(101, 510, 5, 0, 0, 160)) // a key
	for end := time.Now().Add(patience); ; {
		p := receive(t, a.rtp, 1, patience)
		if len(p) == 1 && p[0][1]&0x7f == tel8.PayloadType {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the key does not pass")
		}
	}
}

// TestACallThatIsJoinedTheMomentItsAgentJoinsIsHeard has the other call come
// between the news that the agent has joined and the agent's first word.
func TestACallThatIsJoinedTheMomentItsAgentJoinsIsHeard(t *testing.T) {
	t.Parallel()
	first := newAgent(pcmu)
	a := newBench(t, first, settings(), "127.0.0.1")
	b := a.second(pcmu)
	opened, coupled := make(chan struct{}), make(chan error, 1)
	a.bridge = a.node.Open(a.req, func(ev call.Event) {
		if ev.Kind == call.AgentJoined {
			<-opened
			a.answer = *ev.Answer
			a.bridge.Answered()
			coupled <- a.node.Couple(a.bridge, b.bridge, call.CauseNormal)
		}
	})
	close(opened)
	if err := <-coupled; err != nil {
		t.Fatal(err)
	}
	<-first.closed
	a.send(a.rtp, packet(0, 10, payload(1, 0xaa)...))
	untilMark(t, b, 0xaa)
}

func TestACarrierThatIsLeftAloneMayHaveAnAgentAgain(t *testing.T) {
	t.Parallel()
	a, b, _ := couple(t)
	b.bridge.Close(call.CauseNormal)
	for {
		if ev := a.event(); ev.Kind == call.AgentLeft {
			break
		}
	}
	next := newAgent(pcmu)
	a.bridge.Ask(a.next(next, 2))
	a.joined(2)
	a.send(a.rtp, packet(0, 30, payload(1, 0xaa)...))
	eventually(t, "the new agent hears", func() bool { return len(next.packets()) == 1 })
}

func TestCarriersThatCannotBeJoinedStayAsTheyAre(t *testing.T) {
	t.Parallel()
	first := newAgent(pcmu)
	a := newBench(t, first, settings(), "127.0.0.1")
	a.join()
	b := a.second(g722)
	unanswered := *b
	unanswered.events = make(chan call.Event, 100)
	unanswered.reserve()
	for name, other := range map[string]actors.Bridge{"another codec": b.bridge, "itself": a.bridge, "no carrier yet": unanswered.bridge, "nothing": nil} {
		if err := a.node.Couple(a.bridge, other, call.CauseNormal); !errors.Is(err, media.ErrNotCoupled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a.send(a.rtp, packet(0, 1, payload(1, 0xca)...))
	eventually(t, "the agent still hears", func() bool { return len(first.packets()) == 1 })
}
