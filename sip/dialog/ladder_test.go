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
	"patchbay/sip/token"
	"patchbay/sip/txn"
)

var (
	epoch  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	timers = txn.Timers{T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second}
)

// patience is how long a ladder runs on after its last played row.
const patience = 100 * time.Second

// TestLadders plays each ladder in testdata/ladders over a call and its dialog
// in virtual time. To write one: put down the rows whose arrows point to
// Patchbay, run with -update, and read what came of it.
func TestLadders(t *testing.T) {
	t.Parallel()
	paths, _ := filepath.Glob("testdata/ladders/*.ladder")
	if len(paths) < 21 {
		t.Fatalf("%d ladders, want at least 21", len(paths))
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".ladder"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, path, []byte(play(t, text)))
		})
	}
}

func play(t *testing.T, text []byte) string {
	l, settings := readLadder(t, text)
	s := newSim(t, sceneOf(settings))
	s.lines(l.head)
	last := time.Duration(0)
	for _, step := range l.steps {
		s.runUntil(step.at)
		s.printer.step(step)
		s.do(step)
		last = step.at
	}
	s.runUntil(last + patience)
	if s.machine != nil && s.machine.Done() {
		s.note(s.doneAt, "nothing is left of the dialog")
	}
	s.lines(l.tail)
	return s.String()
}

// A sim is a carrier, one call and its agent in virtual time.
type sim struct {
	printer
	t       testing.TB
	peer    *peer
	second  *peer            // who takes the call over, in rows that begin with B; nil: nobody yet
	target  *peer            // whom the carrier has us call, in rows that begin with T; nil: nobody yet
	targets map[string]*peer // by their Call-IDs
	asked   *call.Referral
	nth     int
	factory *dialog.Factory
	machine *actors.Machine
	timers  map[call.Timer]time.Duration
	now     time.Duration
	doneAt  time.Duration
	heard   map[string]bool
	seen    func(actors.Action)     // hears every action, if set
	sent    func(call.Transmission) // hears every message, if set

	heardEvents func(name string, ev call.Event) // hears what the agent is told, if set
}

func newSim(t testing.TB, sc scene) *sim {
	t.Helper()
	return &sim{t: t, peer: newPeer(sc), factory: newFactoryOf(t, dialog.Options{SessionExpires: sc.session, Reliable: sc.reliable}), timers: map[call.Timer]time.Duration{}, heard: map[string]bool{}}
}

func newFactory(t testing.TB, advertise string) *dialog.Factory {
	t.Helper()
	return newFactoryOf(t, dialog.Options{Advertise: advertise})
}

func newFactoryOf(t testing.TB, o dialog.Options) *dialog.Factory {
	t.Helper()
	keys, err := token.NewKeys(token.Key{ID: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Keys, o.Slot, o.Timers, o.BaseDomain = keys, 7, timers, "sip.example.com"
	f, err := dialog.NewFactory(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// do plays one row.
func (s *sim) do(st step) {
	switch st.from {
	case carrier:
		if s.fromOthers(st.text) {
			return
		}
		s.receive(s.peer.packet(s.t, st.text))
	case agent:
		if s.ruled(st.text) {
			return
		}
		s.tell(agentEvent(s.t, st.text))
	case nobody:
	}
}

func (s *sim) at() time.Time { return epoch.Add(s.now) }

// receive hands a packet on, the first one to a new call.
func (s *sim) receive(p call.Packet) {
	if s.machine != nil {
		s.carryOut(s.machine.HandlePacket(s.at(), p))
		return
	}
	d, inv, err := s.factory.New(s.at(), 0x1122334455667788, p)
	if err != nil {
		s.note(s.now, "refused: "+err.Error())
		return
	}
	longest, _ := time.ParseDuration(s.peer.maxDuration)
	s.machine = &actors.Machine{Dialog: d, Call: call.New(call.Params{
		ID: 0x1122334455667788, Tenant: "default", Invitation: inv, AgentTimeout: s.peer.patience, MaxDuration: longest, Early: s.peer.early, Refers: s.peer.refers,
	})}
	s.tell(call.Event{Kind: call.Invited})
}

func (s *sim) tell(ev call.Event) {
	if s.machine != nil {
		s.carryOut(s.machine.HandleEvent(s.at(), ev))
	}
}

func (s *sim) carryOut(actions []actors.Action) {
	for _, a := range slices.Clone(actions) {
		if s.seen != nil {
			s.seen(a)
		}
		if a.Send != nil {
			s.print(*a.Send)
			continue
		}
		switch e := a.Effect; e.Do {
		case call.Arm:
			s.timers[e.Timer] = s.now + e.After
		case call.Disarm:
			delete(s.timers, e.Timer)
		case call.OpenBridge:
			s.toAgent(s.now, "open bridge")
		case call.AskReferral:
			s.asked = e.Referral
			s.note(s.now, "asked about "+e.Referral.To)
		case call.CloseBridge:
			s.toAgent(s.now, "close bridge: "+e.Cause.Word)
		case call.Emit:
			if s.heardEvents != nil {
				s.heardEvents(e.Name, e.Event)
			}
			s.toAgent(s.now, strings.TrimSpace(e.Name+" "+e.Event.Digit+unsentText(e.Event)+movedText(e.Event.Moved)+moverText(e.Event.Mover)))
		case call.PlayKeys:
			s.toAgent(s.now, "tones "+e.Keys)
		case call.UpdateMedia:
			s.toAgent(s.now, "update media: "+agreementText(e.Agreement))
		case call.Finish:
			r := e.Record
			text := fmt.Sprintf("record: %d, %s (%d) by %s", r.Status, r.Cause.Word, r.Cause.Q850, r.EndedBy)
			if r.Holds > 0 {
				text += fmt.Sprintf(", %d holds of %v", r.Holds, time.Duration(r.HeldMs)*time.Millisecond)
			}
			s.note(s.now, text)
		}
	}
	if s.machine != nil && s.machine.Done() && s.doneAt == 0 {
		s.doneAt = s.now
	}
}

// print shows one of our messages, and lets the carrier hear it.
func (s *sim) print(tx call.Transmission) {
	if s.sent != nil {
		s.sent(tx)
	}
	raw := string(tx.Raw)
	text, details := describe(raw)
	if tx.To.IsValid() {
		details = append(details, "to "+tx.To.String())
	}
	if tx.Host != "" {
		details = append(details, "to "+tx.Host)
	}
	if tx.Flow.Transport != s.peer.transport {
		details = append(details, "over "+string(tx.Flow.Transport))
	}
	if s.heard[raw] {
		text, details = text+" again", nil
	}
	s.heard[raw] = true
	if tx.Flow.Edge != "edge-1" {
		text += " via " + tx.Flow.Edge
	}
	text = s.hear(header(raw, "Call-ID"), raw) + text
	s.toCarrier(s.now, text, details)
}

// runUntil lets everything happen that is due by then.
func (s *sim) runUntil(end time.Duration) {
	for s.machine != nil {
		next, timer := s.next()
		if next < 0 || next > end {
			break
		}
		s.now = next
		if timer != "" {
			delete(s.timers, timer)
			s.note(s.now, "timer "+string(timer))
			s.tell(call.Event{Kind: call.TimerDue, Timer: timer})
			continue
		}
		s.carryOut(s.machine.HandleWake(s.at()))
	}
	s.now = end
}

// next is the first thing due: one of the call's timers, or the dialog's.
func (s *sim) next() (at time.Duration, timer call.Timer) {
	at = -1
	if d := s.machine.Deadline(); !d.IsZero() {
		at = max(d.Sub(epoch), s.now)
	}
	for name, due := range s.timers {
		if at < 0 || due < at {
			at, timer = due, name
		}
	}
	return at, timer
}

// agentEvent reads what a row lets the agent, an operator or the node say:
// "chosen echo-1", "joined PCMU", "failed 480 no_agent", "left agent_hangup",
// "hangup operator_hangup", "silence rtp_timeout", "digit 5", "press 12w3", "audio"; "ringing
// PCMU" of a port that can ring, "answer" and "reject 486" of early media.
func agentEvent(t testing.TB, text string) call.Event {
	words := append(strings.Fields(text), "", "")
	switch words[0] {
	case "chosen":
		return call.Event{Kind: call.AgentChosen, Agent: words[1]}
	case "answer":
		return call.Event{Kind: call.AnswerAsked, Headers: headersOf(words[1])}
	case "reject":
		status, _ := strconv.Atoi(words[1])
		return call.Event{Kind: call.Hangup, Status: status, Cause: call.CauseRejected(status)}
	case "joined", "ringing":
		ev := call.Event{Kind: call.AgentJoined, Answer: &call.Answer{
			Addr:  netip.MustParseAddrPort("198.51.100.9:20000"),
			Codec: call.Codec{Name: words[1], ClockRate: 8000}, Ptime: 20,
			DTMF: &call.Codec{PayloadType: 101, Name: "telephone-event", ClockRate: 8000},
		}}
		if words[2] == "offers" {
			ev.Offer = ev.Answer.Describe()
		}
		if words[0] == "ringing" {
			ev.Kind = call.EarlyReady
		}
		return ev
	case "failed":
		status, _ := strconv.Atoi(words[1])
		return call.Event{Kind: call.AgentFailed, Status: status, Cause: causeOf(t, words[2])}
	case "left":
		return call.Event{Kind: call.AgentLeft, Cause: causeOf(t, words[1])}
	case "hangup":
		return call.Event{Kind: call.Hangup, Cause: causeOf(t, words[1]), Headers: headersOf(words[2])}
	case "transfer":
		return call.Event{Kind: call.TransferAsked, Transfer: &call.Transfer{To: words[1], By: call.ByAgent, Headers: headersOf(words[2])}}
	case "attended":
		return call.Event{Kind: call.TransferAsked, Transfer: &call.Transfer{By: call.ByOperator,
			Replaces: &call.DialogID{CallID: "b@192.0.2.30", OurTag: "ours", TheirTag: "theirs", TheirSide: "sip:bob@192.0.2.30:5070"}}}
	case "silence":
		return call.Event{Kind: call.MediaTimeout, Cause: causeOf(t, words[1])}
	case "digit":
		return call.Event{Kind: call.Digit, Digit: words[1]}
	case "press":
		return call.Event{Kind: call.DigitsAsked, Keys: words[1], Info: words[2] == "always"}
	case "audio":
		return call.Event{Kind: call.FirstRTP}
	}
	t.Fatalf("%q is nothing an agent says", text)
	return call.Event{}
}

// headersOf reads "X-Left=yes".
func headersOf(text string) []call.Header {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return nil
	}
	return []call.Header{{Name: name, Value: value}}
}

// unsentText is what is told of keys that the carrier did not get.
func unsentText(ev call.Event) string {
	if ev.Keys == "" {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s: %d %s", ev.Keys, ev.Status, ev.Reason))
}

func movedText(m *call.Transferred) string {
	if m == nil {
		return ""
	}
	return strings.TrimRight(fmt.Sprintf("%d %s", m.Status, m.Reason), " ")
}

func causeOf(t testing.TB, word string) call.Cause {
	for _, c := range []call.Cause{call.CauseNoAgent, call.CauseAgentFailed, call.CauseAgentLost, call.CauseNoPorts, call.CauseNoCodec,
		call.CauseRTPTimeout, call.CauseNoFirstRTP, call.CauseSessionExpired, call.CauseOperator, call.CauseDrain, call.CauseAgentHangup, call.CauseInternal} {
		if c.Word == word {
			return c
		}
	}
	t.Fatalf("%q is no cause", word)
	return call.Cause{}
}
