package actors_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
)

// scripted is a dialog that says what it is told to say.
type scripted struct {
	onRespond, onBye, onReceive, onWake []call.Output
	done                                bool
}

func (s *scripted) Receive(time.Time, call.Packet) []call.Output       { return s.onReceive }
func (s *scripted) Respond(time.Time, call.Response) []call.Output     { return s.onRespond }
func (s *scripted) AnswerOffer(time.Time, call.Response) []call.Output { return s.onRespond }
func (s *scripted) Bye(time.Time, call.Cause) []call.Output            { return s.onBye }
func (s *scripted) Wake(time.Time) []call.Output                       { return s.onWake }
func (s *scripted) Deadline() time.Time                                { return time.Time{} }
func (s *scripted) Done() bool                                         { return s.done }
func (s *scripted) Snapshot() json.RawMessage                          { return nil }
func (s *scripted) Revision() uint64                                   { return 0 }

func sends(text string) call.Output {
	return call.Output{Send: &call.Transmission{Raw: []byte(text)}}
}

func told(kind call.EventKind) call.Output { return call.Output{Event: &call.Event{Kind: kind}} }

func outcome(actions []actors.Action) string {
	var words []string
	for _, a := range actions {
		if a.Send != nil {
			words = append(words, "send "+string(a.Send.Raw))
			continue
		}
		words = append(words, strings.TrimSpace(fmt.Sprint(a.Effect.Do, " ", a.Effect.Name)))
	}
	return strings.Join(words, ", ")
}

func TestAMachineRunsBothHalvesUntilTheyAreSilent(t *testing.T) {
	t.Parallel()
	d := &scripted{onRespond: []call.Output{sends("response")}}
	m := &actors.Machine{Dialog: d, Call: call.New(call.Params{AgentTimeout: time.Second})}
	now := time.Unix(0, 0)
	expect := func(what string, actions []actors.Action, want string) {
		t.Helper()
		if got := outcome(actions); got != want {
			t.Errorf("%s:\n got %s\nwant %s", what, got, want)
		}
	}
	expect("INVITE", m.HandleEvent(now, call.Event{Kind: call.Invited}), "send response, arm, open-bridge, emit call.started")
	expect("answer", m.HandleEvent(now, call.Event{Kind: call.AgentJoined, Answer: &call.Answer{}}), "disarm, send response, emit call.answered")
	d.onReceive = []call.Output{told(call.Acked)}
	expect("ACK", m.HandlePacket(now, call.Packet{}), "")
	// A dialog that answers the BYE at once: its news wait until the effects
	// of the hangup are out.
	d.onBye = []call.Output{sends("BYE"), told(call.ByeDone)}
	expect("hangup", m.HandleEvent(now, call.Event{Kind: call.Hangup}), "send BYE, emit call.ended, close-bridge, finish")
	if m.Done() {
		t.Error("done before the dialog is")
	}
	d.onWake = []call.Output{sends("copy"), told(call.ByeDone)}
	d.done = true
	expect("a late timer", m.HandleWake(now), "send copy")
	if !m.Done() {
		t.Error("not done")
	}
}
