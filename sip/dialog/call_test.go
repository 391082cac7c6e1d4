package dialog_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/internal/golden"
	"patchbay/sip/dialog"
)

// TestCallLadders plays each ladder in testdata/calls over the dialog of a call
// that we begin, in virtual time. The left column is the carrier, the right one
// the call: what it asks for, and what it is told. They are written as those of
// TestLadders are.
func TestCallLadders(t *testing.T) {
	t.Parallel()
	paths, _ := filepath.Glob("testdata/calls/*.ladder")
	if len(paths) < 20 {
		t.Fatalf("%d ladders, want at least 20", len(paths))
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".ladder"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, path, []byte(playCall(t, text)))
		})
	}
}

func playCall(t *testing.T, text []byte) string {
	l, settings := readLadder(t, text)
	s := newCallSim(t, settings)
	s.lines(l.head)
	last := time.Duration(0)
	for _, step := range l.steps {
		s.runUntil(step.at)
		s.printer.step(step)
		s.do(step)
		last = step.at
	}
	s.runUntil(last + patience)
	if s.dialog.Done() {
		s.note(s.doneAt, "nothing is left of the dialog")
	}
	s.lines(l.tail)
	return s.String()
}

// ourOffer is what our side offers.
func ourOffer() call.Offer {
	codecs, dtmf := call.Formats([]string{"PCMU", "PCMA"})
	return call.Offer{Addr: netip.MustParseAddrPort("198.51.100.9:20000"), Codecs: codecs, DTMF: dtmf, Ptime: call.OfferedPtime}
}

// outgoing is the call that a ladder's settings ask for:
//
//	to: sip:...                          what is called
//	hops: sip:... sip:...                a trunk's addresses
//	located: udp 192.0.2.21:5060, ...    addresses that a hop's name leads to; of several hops: with ; between
//	user: name password                  credentials
//	header: Name: value
func outgoing(settings map[string]string) call.Outgoing {
	out := call.Outgoing{To: "sip:+15551000@192.0.2.10", From: "sip:+15550000@patchbay.example", Display: "Agent 7", Edge: "edge-1",
		Hops: strings.Fields(settings["hops"])}
	if to, ok := settings["to"]; ok {
		out.To = to
	}
	if name, password, ok := strings.Cut(settings["user"], " "); ok {
		out.Credentials = call.Credentials{Username: name, Password: password}
	}
	if name, value, ok := strings.Cut(settings["header"], ": "); ok {
		out.Headers = []call.Header{{Name: name, Value: value}}
	}
	return out
}

func located(t testing.TB, targets []call.Target, text string) (all [][]call.Hop) {
	t.Helper()
	for i, one := range strings.Split(text, ";") {
		var hops []call.Hop
		for _, s := range strings.Split(one, ",") {
			if words := strings.Fields(s); len(words) == 2 {
				hops = append(hops, call.Hop{Transport: call.Transport(words[0]), Addr: netip.MustParseAddrPort(words[1]), Name: targets[i].Host})
			}
		}
		all = append(all, hops)
	}
	return all
}

// A callSim is a call of ours and the carrier that is called, in virtual time.
type callSim struct {
	printer
	t      testing.TB
	callee *callee
	dialog actors.Caller
	now    time.Duration
	doneAt time.Duration
	heard  map[string]bool

	lastAck string            // To-tag of the last ACK
	seen    func(call.Output) // hears every output, if set
}

func newCallSim(t testing.TB, settings map[string]string) *callSim {
	t.Helper()
	d, _, err := newFactoryOf(t, dialog.Options{SessionExpires: sceneOf(settings).session}).Call(0x1122334455667788, outgoing(settings))
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := settings["located"]; ok {
		d.(actors.Seeker).Located(located(t, d.(actors.Seeker).Targets(), text))
	}
	return &callSim{t: t, dialog: d, callee: newCallee(), heard: map[string]bool{}}
}

func (s *callSim) at() time.Time { return epoch.Add(s.now) }

// do plays one row.
func (s *callSim) do(st step) {
	words := append(strings.Fields(st.text), "")
	switch {
	case st.from == carrier:
		s.carryOut(s.dialog.Receive(s.at(), s.callee.packet(s.t, st.text)))
	case st.from == nobody:
	case words[0] == "invite":
		s.carryOut(s.dialog.Invite(s.at(), ourOffer()))
	case words[0] == "unsent":
		s.carryOut(s.dialog.Unsent(s.at()))
	case words[0] == "bye":
		s.carryOut(s.dialog.Bye(s.at(), causeOf(s.t, words[1])))
	case words[0] == "press":
		s.carryOut(s.dialog.(actors.Presser).Press(s.at(), words[1], slices.Contains(words, "always")))
	default:
		s.t.Fatalf("%q is nothing a call says", st.text)
	}
}

func (s *callSim) carryOut(outputs []call.Output) {
	for _, o := range slices.Clone(outputs) {
		if o.Send != nil && strings.HasPrefix(string(o.Send.Raw), "ACK ") {
			s.lastAck = tagOf(header(string(o.Send.Raw), "To"))
		}
		if s.seen != nil {
			s.seen(o)
		}
		if o.Send != nil {
			s.print(*o.Send)
			continue
		}
		s.toAgent(s.now, eventText(*o.Event))
		if o.Event.Kind == call.CarrierOffered {
			s.agree(o.Event.Offer)
		}
	}
	if s.dialog.Done() && s.doneAt == 0 {
		s.doneAt = s.now
	}
}

// agree answers as a call would whose agent has PCMA.
func (s *callSim) agree(offer *call.Offer) {
	ours := call.Answer{Addr: netip.MustParseAddrPort("198.51.100.9:20000"), Codec: call.Codec{PayloadType: 8, Name: "PCMA", ClockRate: 8000}, Ptime: 20}
	r := call.Response{Status: 200, Offer: ours.Describe()}
	if offer != nil {
		ours.Direction = offer.Direction.Mirror()
		r = call.Response{Status: 488, Cause: call.CauseNoCodec}
		for _, c := range offer.Codecs {
			if c.Name == ours.Codec.Name {
				r = call.Response{Status: 200, Answer: &ours}
			}
		}
	}
	s.carryOut(s.dialog.AnswerOffer(s.at(), r))
}

func eventText(ev call.Event) string {
	text := string(ev.Kind)
	if ev.Status != 0 {
		text += " " + strconv.Itoa(ev.Status)
	}
	if ev.Cause != (call.Cause{}) {
		text += fmt.Sprintf(" %s (%d)", ev.Cause.Word, ev.Cause.Q850)
	}
	if a := ev.Answer; a != nil {
		text += fmt.Sprintf(" %s %s", a.Codec.Name, a.Addr)
	}
	return text
}

// print shows one of our messages, and lets the carrier hear it.
func (s *callSim) print(tx call.Transmission) {
	raw := string(tx.Raw)
	text, details := describe(raw)
	if !strings.HasPrefix(raw, "SIP/2.0") {
		if tag := tagOf(header(raw, "To")); tag != "" {
			text += " tag=" + tag
		}
	}
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		if v := header(raw, name); v != "" {
			details = append(details, name+": "+v)
		}
	}
	if tx.To.IsValid() {
		details = append(details, "to "+tx.To.String())
	}
	if tx.Host != "" {
		details = append(details, "to "+tx.Host)
	}
	if tx.Flow.Transport != call.UDP {
		details = append(details, "over "+string(tx.Flow.Transport))
	}
	if s.heard[raw] {
		text, details = text+" again", nil
	}
	s.heard[raw] = true
	if tx.Flow.Edge != "edge-1" {
		text += " via " + tx.Flow.Edge
	}
	s.toCarrier(s.now, text, details)
	s.callee.hear(s.t, tx)
}

// runUntil lets everything happen that is due by then.
func (s *callSim) runUntil(end time.Duration) {
	for {
		at := s.dialog.Deadline()
		if at.IsZero() || at.Sub(epoch) > end {
			break
		}
		s.now = max(at.Sub(epoch), s.now)
		s.carryOut(s.dialog.Wake(s.at()))
	}
	s.now = end
}
