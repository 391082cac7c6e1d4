package connect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/internal/golden"
	"patchbay/media"
)

// A model is a session of the fake that may use the call's tools.
type model struct {
	t        *testing.T
	fake     *fake
	dc       *webrtc.DataChannel
	commands chan media.Command
}

func newModel(t *testing.T, session string) *model {
	t.Helper()
	m := &model{t: t, fake: fakeOpenAI(t), commands: make(chan media.Command, 8)}
	tr := m.fake.transport(endpoint.DialectOpenAI, "/v1/realtime/calls")
	tr.Session, tr.CallTools = []byte(session), true
	leg, err := newHTTP(t, anyLoopback).Join(within(t, patience), request(tr), ignore)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leg.Close(call.CauseNormal) })
	leg.Start(func([]byte) {}, func(call.Cause) {}, func(c media.Command) error {
		m.commands <- c
		if strings.Contains(c.Digits, "x") {
			return media.ErrBadDigits
		}
		return nil
	})
	leg.Notify([]byte(`{"v":1,"type":"dtmf","digit":"1"}`)) // once it is there, the channel is open
	m.dc = <-m.fake.agent.dc
	m.fake.agent.hear(t)
	return m
}

func (m *model) says(events ...string) {
	m.t.Helper()
	for _, e := range events {
		if err := m.dc.SendText(e); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *model) command() media.Command {
	m.t.Helper()
	select {
	case c := <-m.commands:
		return c
	case <-time.After(patience):
		m.t.Fatal("no command came")
		return media.Command{}
	}
}

func calls(name, arguments string) string {
	return `{"type":"response.function_call_arguments.done","event_id":"e1","response_id":"r1","item_id":"i1","output_index":0,"call_id":"call_1","name":"` +
		name + `","arguments":"` + strings.ReplaceAll(arguments, `"`, `\"`) + `"}`
}

func TestAModelMayPressKeysAndReadsWhatBecameOfThem(t *testing.T) {
	t.Parallel()
	m := newModel(t, `{"type":"realtime","model":"gpt-realtime","tools":[{"type":"function","name":"weather"},{"type":"function","name":"hangup","description":"The shop's own words."}]}`)
	golden.Compare(t, "testdata/openai_tools.txt", m.fake.shown())
	m.says(`{"type":"session.created"}`, calls("weather", `{"city":"Haifa"}`), calls("send_dtmf", `{"digits":"1w2"}`))
	if c := m.command(); c.Type != media.CommandSendDTMF || c.Digits != "1w2" {
		t.Errorf("got %+v", c)
	}
	golden.Compare(t, "testdata/openai_reply.json", []byte(m.fake.agent.hear(t)+"\n"+m.fake.agent.hear(t)+"\n"))
	m.says(calls("send_dtmf", `{"digits":"x"}`))
	m.command()
	if got := m.fake.agent.hear(t); !strings.Contains(got, `\"code\":\"invalid\"`) {
		t.Errorf("bad digits were answered %s", got)
	}
}

func TestAModelThatHangsUpIsHeardToTheEnd(t *testing.T) {
	t.Parallel()
	const session = `{"type":"realtime","model":"gpt-realtime"}`
	m := newModel(t, session)
	m.says(`{"type":"output_audio_buffer.started","response_id":"r1"}`, calls("hangup", "{}"), calls("hangup", "{}"),
		calls("send_dtmf", `{"digits":"1"}`)) // answered: the hangup before it was read
	if c := m.command(); c.Type != media.CommandSendDTMF {
		t.Errorf("got %+v while it was speaking", c)
	}
	m.says(`{"type":"output_audio_buffer.stopped","response_id":"r1"}`)
	if c := m.command(); c.Type != media.CommandHangup {
		t.Errorf("got %+v", c)
	}
	silent := newModel(t, session)
	silent.says(calls("hangup", "{}"))
	if c := silent.command(); c.Type != media.CommandHangup {
		t.Errorf("got %+v", c)
	}
}

func TestAModelWithoutToolsOfTheCallHasNone(t *testing.T) {
	t.Parallel()
	f := fakeOpenAI(t)
	leg := joinFake(t, f, endpoint.DialectOpenAI, "/v1/realtime/calls")
	commands := make(chan media.Command, 1)
	leg.Start(func([]byte) {}, func(call.Cause) {}, func(c media.Command) error { commands <- c; return nil })
	leg.Notify([]byte(`{"v":1,"type":"dtmf","digit":"1"}`))
	dc := <-f.agent.dc
	f.agent.hear(t)
	if err := dc.SendText(calls("hangup", "{}")); err != nil {
		t.Fatal(err)
	}
	select {
	case c := <-commands:
		t.Errorf("got %+v", c)
	case <-time.After(100 * time.Millisecond):
	}
	if strings.Contains(string(f.shown()), "hangup") {
		t.Errorf("it was told of tools: %s", f.shown())
	}
}
