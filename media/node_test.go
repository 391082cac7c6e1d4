package media_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/media"
)

func TestEachWayToGetNoAgentHasItsStatusAndCause(t *testing.T) {
	t.Parallel()
	joinFails := func(err error) func(*bench) {
		return func(b *bench) { b.agent.err = fmt.Errorf("worker 7: %w", err) }
	}
	for _, c := range []struct {
		name   string
		change func(*bench)
		status int
		cause  call.Cause
	}{
		{"nobody takes it", joinFails(media.ErrNoAgent), 480, call.CauseNoAgent},
		{"busy", joinFails(media.ErrAgentBusy), 480, call.CauseAgentBusy},
		{"refused", joinFails(media.ErrAgentRefused), 480, call.CauseAgentFailed},
		{"unreachable", joinFails(media.ErrAgentUnreachable), 480, call.CauseAgentFailed},
		{"no codec in the agent's answer", joinFails(media.ErrNoCodec), 488, call.CauseNoCodec},
		{"an error nobody foresaw", joinFails(errors.New("odd")), 500, call.CauseInternal},
		{"a codec that was not offered", func(b *bench) { b.agent.codec = opus }, 488, call.CauseNoCodec},
		{"no common codec", func(b *bench) { b.req.Asked.Agent.WebRTC.Codecs = []string{"opus"} }, 488, call.CauseNoCodec},
		{"none the policy lets through", func(b *bench) { b.req.Codecs = []string{"opus"} }, 488, call.CauseNoCodec},
		{"no codec that passes", func(b *bench) { b.req.Invitation.Offer.Codecs = []call.Codec{g729} }, 488, call.CauseNoCodec},
		{"no address at all", func(b *bench) {
			b.req.Invitation.Offer.Addr, b.req.Invitation.Source = addrPort("0.0.0.0:0"), ""
		}, 488, call.CauseBadOffer},
		{"a connector not served", func(b *bench) { b.req.Asked.Agent.WebRTC.Connector = "livekit" }, 480, call.CauseAgentFailed},
		{"out of time", func(b *bench) {
			b.req.Asked.Deadline = time.Now().Add(10 * time.Millisecond)
			b.agent.before = func(ctx context.Context) { <-ctx.Done(); b.agent.err = ctx.Err() }
		}, 480, call.CauseNoAgent},
		{"a fault", func(b *bench) { b.agent.before = func(context.Context) { panic("fault") } }, 500, call.CauseInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
			c.change(b)
			b.open()
			ev := b.event()
			if ev.Kind == call.AgentChosen {
				ev = b.event()
			}
			if ev.Kind != call.AgentFailed || ev.Status != c.status || ev.Cause != c.cause {
				t.Errorf("%+v, want %d %v", ev, c.status, c.cause)
			}
			b.bridge.Close(ev.Cause)
			eventually(t, "everything is given back", func() bool { s := b.node.Stats(); return s.Calls == 0 && s.PortsUsed == 0 })
			b.bridge.Answered()
			b.bridge.Notify(call.EventEnded, call.Event{})
			b.bridge.Close(call.CauseNormal)
			if q := b.bridge.Quality(); q != (call.Quality{}) {
				t.Errorf("%+v", q)
			}
		})
	}
}

func TestAnAgentThatChoosesWhatItWasNotOfferedIsLeft(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(opus), settings(), "127.0.0.1")
	b.open()
	select {
	case got := <-b.agent.closed:
		if got != call.CauseNoCodec {
			t.Errorf("told %v", got)
		}
	case <-time.After(patience):
		t.Error("the leg stays open")
	}
}

func TestTheAgentIsOfferedTheCarriersOrderNarrowed(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcma), settings(), "127.0.0.1")
	b.req.Invitation.Offer.Codecs = []call.Codec{g729, opus, g722, pcma, pcmu}
	b.req.Invitation.Offer.DTMF = []call.Codec{tel48, tel8}
	b.req.Codecs = []string{"PCMU", "PCMA", "G722"}
	b.req.Asked.Agent.WebRTC.Codecs = []string{"pcmu", "pcma"}
	b.join()
	if got := fmt.Sprint(b.agent.req.Codecs, b.agent.req.DTMF); got != fmt.Sprint([]call.Codec{pcma, pcmu}, []call.Codec{tel8}) {
		t.Errorf("offered %s", got)
	}
	if b.agent.req.ID != b.req.ID || b.agent.req.Tenant != "acme" {
		t.Errorf("%+v", b.agent.req)
	}
}

func TestTelephoneEventFollowsTheClockOfTheCodec(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		codec call.Codec
		dtmf  []call.Codec
		want  *call.Codec
	}{
		{opus, []call.Codec{tel8, tel48}, &tel48},
		{pcmu, []call.Codec{tel48, tel8}, &tel8},
		{opus, []call.Codec{tel8}, nil},
		{pcmu, nil, nil},
	} {
		b := newBench(t, newAgent(c.codec), settings(), "127.0.0.1")
		b.req.Invitation.Offer.Codecs = []call.Codec{opus, pcmu}
		b.req.Invitation.Offer.DTMF = c.dtmf
		b.join()
		if got := b.answer.DTMF; (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s with %v: %v", c.codec.Name, c.dtmf, got)
		}
	}
}

func TestHoldIsAnsweredTurnedRound(t *testing.T) {
	t.Parallel()
	for offer, want := range map[call.Direction]call.Direction{
		"": call.SendRecv, call.SendRecv: call.SendRecv, call.SendOnly: call.RecvOnly,
		call.RecvOnly: call.SendOnly, call.Inactive: call.Inactive,
	} {
		b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
		b.req.Invitation.Offer.Direction = offer
		b.join()
		if b.answer.Direction != want {
			t.Errorf("%q is answered %q", offer, b.answer.Direction)
		}
	}
}

func TestWithRTCPMuxOnePortDoes(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.req.Invitation.Offer.RTCPMux, b.req.Invitation.Offer.RTCP = true, addrPort("0.0.0.0:0")
	b.join()
	if !b.answer.RTCPMux {
		t.Error("the answer does not say rtcp-mux")
	}
	odd := b.answer.Addr
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: odd.Addr().AsSlice(), Port: int(odd.Port()) + 1})
	if err != nil {
		t.Errorf("the odd port is taken: %v", err)
		return
	}
	_ = conn.Close()
}

func TestAFullNodeAndOneWithoutPortsSay503(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*config.Media)
		cause  call.Cause
	}{
		"full":     {func(m *config.Media) { m.MaxCalls = 1 }, call.CauseOverload},
		"no ports": {func(m *config.Media) { m.RTPPorts = "12900-12901" }, call.CauseNoPorts},
	} {
		cfg := settings()
		c.change(&cfg)
		b := newBench(t, newAgent(pcmu), cfg, "127.0.0.1")
		b.join()
		second := b.node.Open(b.req, func(ev call.Event) { b.events <- ev })
		if ev := b.event(); ev.Kind != call.AgentFailed || ev.Status != 503 || ev.Cause != c.cause {
			t.Errorf("%s: %+v", name, ev)
		}
		second.Close(call.CauseNormal)
	}
}

func TestAUsedPortRestsBeforeTheNextCall(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.RTPPorts, cfg.PortQuarantine = "12910-12911", time.Hour
	b := newBench(t, newAgent(pcmu), cfg, "127.0.0.1")
	b.join()
	b.bridge.Close(call.CauseNormal)
	eventually(t, "the port rests", func() bool { return b.node.Stats().PortsResting == 1 })
	b.node.Open(b.req, func(ev call.Event) { b.events <- ev })
	if ev := b.event(); ev.Cause != call.CauseNoPorts {
		t.Errorf("%+v", ev)
	}
}

func TestPortsThatOthersHoldArePassedOver(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.RTPPorts = "9920-9929"
	held := 0
	for _, port := range []int{9920, 9923, 9924, 9926} { // the odd one blocks 9922
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err == nil {
			held++
			t.Cleanup(func() { _ = conn.Close() })
		}
	}
	b := newBench(t, newAgent(pcmu), cfg, "127.0.0.1")
	b.join()
	if got := b.answer.Addr.Port(); held == 4 && got != 9928 {
		t.Errorf("port %d", got)
	}
}

func TestAClosedNodeRefusesAndLeavesItsAgents(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.join()
	if err := b.node.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-b.agent.closed; got != call.CauseDrain {
		t.Errorf("the agent was told %v", got)
	}
	b.open()
	if ev := b.event(); ev.Status != 503 {
		t.Errorf("%+v", ev)
	}
}

// fresh gives each call an agent of its own.
type fresh struct{}

func (fresh) Join(ctx context.Context, req media.JoinRequest, chosen func(string)) (media.AgentLeg, error) {
	return newAgent(pcmu).Join(ctx, req, chosen)
}

func TestManyCallsAtOnceEndClean(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	node, err := media.NewNode(settings(), map[endpoint.Connector]media.Connector{endpoint.ConnectNATS: fresh{}}, nil, media.Observer{})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			joined := make(chan struct{}, 1)
			bridge := node.Open(b.req, func(ev call.Event) {
				if ev.Kind == call.AgentJoined {
					joined <- struct{}{}
				}
			})
			if i%3 != 0 { // else it is closed at any moment of its joining
				<-joined
			}
			bridge.Notify(call.EventStarted, call.Event{})
			bridge.Quality()
			bridge.Close(call.CauseNormal)
		})
	}
	all.Wait()
	eventually(t, "no calls are left", func() bool { s := node.Stats(); return s.Calls == 0 && s.PortsUsed == 0 })
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestObserversAreTold(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	add := func(s string) { mu.Lock(); defer mu.Unlock(); seen = append(seen, s) }
	var logged bytes.Buffer
	a := newAgent(pcmu)
	node, err := media.NewNode(settings(), map[endpoint.Connector]media.Connector{endpoint.ConnectNATS: a},
		slog.New(slog.NewTextHandler(&logged, nil)), media.Observer{
			Opened:   func() { add("opened") },
			Joined:   func(_ time.Duration, codec string) { add("joined " + codec) },
			Failed:   func(status int, c call.Cause) { add(fmt.Sprintf("failed %d %s", status, c.Word)) },
			Closed:   func(c call.Cause, _ call.Quality) { add("closed " + c.Word) },
			Panicked: func(where string) { add("panicked in " + where) },
		})
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, a, settings(), "127.0.0.1")
	_ = b.node.Close()
	b.node = node
	b.join()
	b.bridge.Close(call.CauseNormal)
	<-a.closed
	eventually(t, "the observer heard of the end", func() bool { // it is told last, when all is freed
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == 3
	})
	a.before = func(context.Context) { panic("fault") }
	b.open()
	b.event()
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	want := "opened, joined PCMU, closed normal_clearing, opened, panicked in join, failed 500 internal"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if !strings.Contains(logged.String(), "panic contained") || !strings.Contains(logged.String(), "call_id="+call.ID(7).String()) {
		t.Errorf("log: %s", logged.String())
	}
}

func TestNodesRefuseSettingsTheyCannotUse(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*config.Media){
		"rtp_ports":  func(m *config.Media) { m.RTPPorts = "30000" },
		"even port":  func(m *config.Media) { m.RTPPorts = "30001-30001" },
		"bind":       func(m *config.Media) { m.Bind = "eth0" },
		"advertise":  func(m *config.Media) { m.Advertise = "example.com" },
		"latch_mode": func(m *config.Media) { m.LatchMode = "any" },
	} {
		cfg := settings()
		change(&cfg)
		if _, err := media.NewNode(cfg, nil, nil, media.Observer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

var _ actors.Switchboard = (*media.Node)(nil)
