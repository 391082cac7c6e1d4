package media_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/media"
	"patchbay/media/rtp"

	"go.uber.org/goleak"
)

// payload is 20 ms of audio that tells its number.
func payload(i int, mark byte) []byte {
	p := bytes.Repeat([]byte{mark}, 160)
	binary.BigEndian.PutUint16(p, uint16(i))
	return p
}

// same checks that packets carry the payloads in order, with sequence numbers
// that count on.
func same(t *testing.T, packets [][]byte, pt uint8, mark byte) {
	t.Helper()
	var first uint16
	for i, b := range packets {
		h, start, end, err := rtp.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = h.Sequence
		}
		if n := int(h.Sequence - first); h.PayloadType != pt || !bytes.Equal(b[start:end], payload(n, mark)) {
			t.Fatalf("packet %d (number %d): type %d, payload % x...", i, n, h.PayloadType, b[start:start+4])
		}
	}
}

func TestFiveHundredPacketsEachWayAreEqualByteForByte(t *testing.T) {
	t.Parallel()
	for _, codec := range []call.Codec{pcmu, g722} {
		t.Run(codec.Name, func(t *testing.T) {
			t.Parallel()
			const count = 500
			chosen := codec
			chosen.PayloadType = 120 // the agent's own number
			b := newBench(t, newAgent(chosen), settings(), "127.0.0.1")
			b.join()
			if b.answer.Codec != codec || b.answer.Addr.Port()%2 != 0 || b.answer.Addr.Addr() != addr(b.rtp).Addr() {
				t.Fatalf("answer %+v", b.answer)
			}
			var got [][]byte
			for i := range count {
				b.send(b.rtp, packet(codec.PayloadType, uint16(65300+i), payload(i, 0xca)...))
				b.agent.rx(packet(120, uint16(100+i), payload(i, 0xa9)...))
				if i%50 == 49 { // no more than any socket has room for
					eventually(t, "the agent keeps up", func() bool { return len(b.agent.packets()) > i })
					got = append(got, receive(t, b.rtp, 50, patience)...)
				}
			}
			same(t, b.agent.packets(), 120, 0xca)
			if len(got) != count {
				t.Fatalf("the carrier got %d", len(got))
			}
			same(t, got, codec.PayloadType, 0xa9)
			if q := b.bridge.Quality(); q.PacketsReceived != count || q.PacketsSent != count || q.PacketsLost != 0 || q.Rejected != 0 {
				t.Errorf("%+v", q)
			}
			if first, second := b.event(), b.event(); first.Kind == second.Kind {
				t.Errorf("events %v and %v, want the first RTP of either side", first.Kind, second.Kind)
			}
		})
	}
}

func TestASprayFromElsewhereReachesNobodyAndGetsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.join()
	evil := udp(t, "127.0.0.2")
	const count = 300
	heard := 0
	spray := func(first int) {
		for i := range count {
			b.send(evil, packet(0, uint16(first+i), payload(i, 0xee)...))
			b.agent.rx(packet(0, uint16(first+i), payload(i, 0xa9)...))
			if i%50 != 49 {
				continue
			}
			heard += len(receive(t, b.rtp, 50, patience)) // no more waits than any socket has room for
			if first == 0 {
				eventually(t, "the node keeps up", func() bool { return b.bridge.Quality().Rejected > uint64(i) })
			}
		}
	}
	spray(0)
	eventually(t, "all of the spray was rejected", func() bool { return b.bridge.Quality().Rejected == count })
	b.send(b.rtp, packet(0, 1, payload(0, 0xca)...))
	eventually(t, "the carrier is heard", func() bool { return len(b.agent.packets()) == 1 })
	spray(count) // after the latch
	eventually(t, "the carrier is heard again", func() bool {
		b.send(b.rtp, packet(0, 2, payload(1, 0xca)...)) // behind a spray it may not find room; twice it is heard once
		return len(b.agent.packets()) == 2
	})
	same(t, b.agent.packets(), 0, 0xca)
	if got := receive(t, evil, 1, 50*time.Millisecond); len(got) != 0 {
		t.Errorf("the stranger got %d packets", len(got))
	}
	if heard != 2*count {
		t.Errorf("the carrier got %d of %d packets", heard, 2*count)
	}
}

func TestACarrierBehindNATIsLatchedToItsOtherPort(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.join()
	other := udp(t, "127.0.0.1")
	for i := range 4 {
		b.send(other, packet(0, uint16(i), payload(i, 0xca)...))
	}
	eventually(t, "the fourth packet is heard", func() bool { return len(b.agent.packets()) == 1 })
	b.agent.rx(packet(0, 1, payload(0, 0xa9)...))
	same(t, receive(t, other, 1, patience), 0, 0xa9)
	if got := receive(t, b.rtp, 1, 20*time.Millisecond); len(got) != 0 {
		t.Error("the SDP's port got a packet too")
	}
}

func TestSilenceIsSentForAQuietAgent(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcma), settings(), "127.0.0.1")
	b.req.Asked.Agent.WebRTC.NoSilence = false
	b.join()
	for _, p := range receive(t, b.rtp, 5, patience) {
		h, start, end, err := rtp.Parse(p)
		if err != nil || h.PayloadType != 8 || end-start != 160 || p[start] != 0xd5 {
			t.Fatalf("%+v % x", h, p[:20])
		}
	}
	if q := b.bridge.Quality(); q.Filled < 5 {
		t.Errorf("%+v", q)
	}
}

func TestDigitsBothWays(t *testing.T) {
	t.Parallel()
	a := newAgent(pcmu)
	a.dtmf = &call.Codec{PayloadType: 110, Name: "telephone-event", ClockRate: 8000}
	b := newBench(t, a, settings(), "127.0.0.1")
	b.join()
	if b.answer.DTMF == nil || *b.answer.DTMF != tel8 {
		t.Fatalf("answer %+v", b.answer)
	}
	b.send(b.rtp, packet(101, 1, 7, 0x0a, 0, 160))
	b.send(b.rtp, packet(101, 1, 7, 0x0a, 0, 160)) // a duplicate
	end := packet(101, 2, 7, 0x8a, 3, 32)
	rtp.Header{PayloadType: 101, SSRC: 99, Sequence: 2, Timestamp: 160}.Put(end)
	b.send(b.rtp, end)
	if ev := b.event(); ev.Kind != call.FirstRTP {
		t.Errorf("%+v", ev)
	}
	if ev := b.event(); ev.Kind != call.Digit || ev.Digit != "7" || ev.Held != 100*time.Millisecond {
		t.Errorf("%+v", ev)
	}
	eventually(t, "telephone-event at the agent", func() bool { return len(a.packets()) == 2 })

	if err := a.command(media.Command{Type: media.CommandSendDTMF, Digits: "1#"}); err != nil {
		t.Fatal(err)
	}
	reader := rtp.NewDigitReader(8000)
	pressed := ""
	for _, p := range receive(t, b.rtp, 14, patience) {
		h, start, end, err := rtp.Parse(p)
		if err != nil || h.PayloadType != 101 {
			t.Fatalf("%+v %v", h, err)
		}
		presses, n, _ := reader.Read(0, h.Timestamp, p[start:end])
		for _, press := range presses[:n] {
			if press.Ended {
				pressed += fmt.Sprintf("%c %v ", press.Digit, press.Held)
			}
		}
	}
	if pressed != "1 100ms # 100ms " {
		t.Errorf("the carrier heard %q", pressed)
	}
}

func TestAnAgentThatStoodByWithTelephoneEventGetsItOnlyIfItsOwnerWants(t *testing.T) {
	t.Parallel()
	a := newAgent(pcmu)
	a.dtmf = &call.Codec{PayloadType: 110, Name: "telephone-event", ClockRate: 8000} // settled before the call was known
	b := newBench(t, a, settings(), "127.0.0.1")
	b.req.Asked.Agent.DTMF = endpoint.DTMFPolicy{DataChannel: true}
	b.join()
	b.send(b.rtp, packet(101, 1, 7, 0x0a, 0, 160))
	eventually(t, "a packet at the agent", func() bool { return len(a.packets()) == 1 })
	if h, start, end, err := rtp.Parse(a.packets()[0]); err != nil || h.PayloadType != pcmu.PayloadType || end-start != 160 {
		t.Errorf("%+v, %d octets, %v; want silence in place of the key", h, end-start, err)
	}
}

func TestTheCarrierGetsAnRTCPByeAndTheAgentTheCause(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.join()
	b.agent.rx(packet(0, 1, 1))
	b.bridge.Close(call.CauseNormal)
	b.bridge.Close(call.CauseInternal)
	if got := <-b.agent.closed; got != call.CauseNormal {
		t.Errorf("the agent was told %v", got)
	}
	sent := uint32(0)
	for bye := false; !bye; {
		reports := receive(t, b.rtcp, 1, patience)
		if len(reports) != 1 {
			t.Fatal("no BYE")
		}
		f, err := rtp.ParseRTCP(reports[0], 0)
		if err != nil {
			t.Fatalf("%+v %v", f, err)
		}
		bye, sent = f.Bye, max(sent, f.Sender.Packets) // before it may come the reports of a slow test
	}
	if sent != 1 {
		t.Errorf("%d packets were reported, want 1", sent)
	}
	if q := b.bridge.Quality(); q.PacketsSent != 1 {
		t.Errorf("after the end: %+v", q)
	}
	if err := b.agent.command(media.Command{Type: media.CommandHangup}); !errors.Is(err, media.ErrClosed) {
		t.Errorf("a command after the end: %v", err)
	}
}

func TestCommandsOfTheAgent(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.req.Invitation.Offer.DTMF, b.req.DTMF.Out = nil, "rfc4733"
	b.join()
	left := []call.Header{{Name: "X-Left", Value: "yes"}}
	for _, try := range []struct {
		command media.Command
		want    error
	}{
		{media.Command{Type: "play"}, media.ErrUnknownCommand},
		{media.Command{Type: "send_dtmf", Digits: "1"}, media.ErrNoDTMF},
		{media.Command{Type: media.CommandTransfer, To: "nobody"}, media.ErrBadTarget},
		{media.Command{Type: media.CommandTransfer, To: "sip:a@b.example\r\nX: y"}, media.ErrBadTarget},
		{media.Command{Type: media.CommandTransfer, To: "+15551234", Replaces: "0000000000010"}, media.ErrBadReplaces},
		{media.Command{Type: media.CommandTransfer, Replaces: "nobody"}, media.ErrBadReplaces},
		{media.Command{Type: media.CommandTransfer, Replaces: b.req.ID.String()}, media.ErrBadReplaces},
		{media.Command{Type: media.CommandTransfer, To: "+15551234", Mode: "fast"}, media.ErrBadMode},
		{media.Command{Type: media.CommandTransfer, To: "+15551234", Headers: []call.Header{{Name: "Via", Value: "x"}}}, media.ErrBadHeaders},
		{media.Command{Type: media.CommandHangup, Headers: []call.Header{{Name: "X-A", Value: "x\r\nVia: y"}}}, media.ErrBadHeaders},
		{media.Command{Type: media.CommandHangup, Headers: make([]call.Header, 17)}, media.ErrBadHeaders},
		{media.Command{Type: media.CommandTransfer, To: "+1 555 1234", Headers: left}, nil},
		{media.Command{Type: media.CommandHangup, ID: "1", Headers: left}, nil},
	} {
		if err := b.agent.command(try.command); !errors.Is(err, try.want) {
			t.Errorf("%+v: %v, want %v", try.command, err, try.want)
		}
	}
	if ev := b.event(); ev.Kind != call.TransferAsked || ev.Transfer.To != "+15551234" || ev.Transfer.By != call.ByAgent || len(ev.Transfer.Headers) != 1 {
		t.Errorf("%+v", ev)
	}
	if ev := b.event(); ev.Kind != call.Hangup || ev.Cause != call.CauseAgentHangup || len(ev.Headers) != 1 {
		t.Errorf("%+v", ev)
	}
	b.agent.left(call.CauseAgentLost)
	if ev := b.event(); ev.Kind != call.AgentLeft || ev.Cause != call.CauseAgentLost {
		t.Errorf("%+v", ev)
	}
}

func TestTheAgentIsToldWhatHappenedBeforeItJoined(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	gate := make(chan struct{})
	b.agent.before = func(ctx context.Context) { <-gate }
	b.open()
	for range 20 { // more than is kept
		b.bridge.Notify(call.EventStarted, call.Event{})
	}
	close(gate)
	<-b.agent.started
	b.bridge.Notify(call.EventDigit, call.Event{Digit: "5", Held: 120 * time.Millisecond})
	b.bridge.Notify(call.EventEnded, call.Event{Cause: call.CauseNormal})
	notes := b.agent.notes
	if len(notes) != 8+2 {
		t.Fatalf("%d notes", len(notes))
	}
	started, digit, ended := fields(t, notes[0]), fields(t, notes[8]), fields(t, notes[9])
	if started["type"] != "call.started" || started["v"] != 1.0 || started["from"].(map[string]any)["user"] != "alice" || started["call_id"] != call.ID(7).String() {
		t.Errorf("%v", started)
	}
	if digit["digit"] != "5" || digit["duration_ms"] != 120.0 || ended["cause"] != "normal_clearing" {
		t.Errorf("%v %v", digit, ended)
	}
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.Bind, cfg.Advertise = "127.0.0.1", "198.51.100.1" // of the other family: passed over
	b := newBench(t, newAgent(pcmu), cfg, "::1")
	b.join()
	if b.answer.Addr.Addr() != addr(b.rtp).Addr() {
		t.Fatalf("answer %v", b.answer.Addr)
	}
	b.send(b.rtp, packet(0, 1, 1))
	b.agent.rx(packet(0, 1, payload(0, 3)...))
	same(t, receive(t, b.rtp, 1, patience), 0, 3)
	eventually(t, "the carrier is heard", func() bool { return len(b.agent.packets()) == 1 })
}

func TestTheAdvertisedAddressIsTheConfiguredOne(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.Advertise = "198.51.100.1"
	b := newBench(t, newAgent(pcmu), cfg, "127.0.0.1")
	b.join()
	if got := b.answer.Addr.Addr().String(); got != "198.51.100.1" {
		t.Errorf("answer %s", got)
	}
}

func TestPacketsFromBeforeTheAnswerAreThrownAway(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.RTPPorts = "12998-12999" // nobody else's: other packages' tests run at once
	b := newBench(t, newAgent(pcmu), cfg, "127.0.0.1")
	b.agent.before = func(context.Context) {
		for i := range 5 {
			to := addr(b.rtp)
			_, _ = b.rtp.WriteToUDPAddrPort(packet(0, uint16(i), 1), netip.AddrPortFrom(to.Addr(), 12998))
		}
	}
	b.join()
	b.send(b.rtp, packet(0, 100, 2))
	eventually(t, "the first packet after the answer", func() bool { return len(b.agent.packets()) == 1 })
	if got := b.agent.packets()[0]; got[len(got)-1] != 2 {
		t.Error("a packet of before was heard")
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	return len(files)
}

// It runs alone: it counts goroutines and files of the process.
func TestEverythingIsFreed(t *testing.T) {
	before := goleak.IgnoreCurrent()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	files := descriptors(t)
	for i := range 20 {
		b.agent = newAgent(pcmu)
		b.relay.set(b.agent)
		if i%4 == 3 { // given up while joining
			gate := make(chan struct{})
			b.agent.before = func(ctx context.Context) { close(gate); <-ctx.Done() }
			b.agent.err = media.ErrNoAgent
			b.open()
			<-gate
			b.bridge.Close(call.CauseCancelled)
			continue
		}
		b.join()
		b.send(b.rtp, packet(0, 1, 1))
		b.bridge.Close(call.CauseNormal)
	}
	eventually(t, "no calls are left", func() bool { return b.node.Stats().Calls == 0 })
	if s := b.node.Stats(); s.PortsUsed != 0 || s.PortsFree+s.PortsResting != 1000 {
		t.Errorf("%+v", s)
	}
	eventually(t, "no goroutine is left", func() bool { return goleak.Find(before) == nil })
	if got := descriptors(t); got != files {
		t.Errorf("%d files, %d before", got, files)
	}
	for range 2 {
		if err := b.node.Close(); err != nil {
			t.Error(err)
		}
	}
}
