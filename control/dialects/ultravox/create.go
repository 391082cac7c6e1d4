package ultravox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/internal/ultravox"
)

// callNames are the names of a call's fields.
var callNames = names{
	"agent_id": "agentId", "to": "medium.sip.outgoing.to", "from": "medium.sip.outgoing.from",
	"username": "medium.sip.outgoing.username", "password": "medium.sip.outgoing.password",
	"context": "templateContext", "metadata": "metadata", "max_duration_ms": "maxDuration", "ring_timeout_ms": "joinTimeout",
	"throttle": "throttle",
}

// Fields that are for the agent, and what a value of each begins with: t is
// true or false, 0 a number. They are handed on as they come.
var (
	agentSettings = map[string]byte{
		"initialMessages": '[', "firstSpeakerSettings": '{', "dataConnection": '{', "experimentalSettings": '{',
		"initialOutputMedium": '"', "recordingEnabled": 't',
	}
	callSettings = map[string]byte{
		"systemPrompt": '"', "temperature": '0', "model": '"', "voice": '"', "externalVoice": '{', "languageHint": '"',
		"initialMessages": '[', "timeExceededMessage": '"', "inactivityMessages": '[', "selectedTools": '[', "recordingEnabled": 't',
		"firstSpeaker": '"', "transcriptOptional": 't', "initialOutputMedium": '"', "vadSettings": '{', "firstSpeakerSettings": '{',
		"experimentalSettings": '{', "initialState": '{', "dataConnection": '{', "voiceOverrides": '{',
	}
)

// The longest times that a call can be given.
const (
	longestJoin = 300 * time.Second
	longestCall = endpoint.MaxDurationMs * time.Millisecond
)

// reserved begins keys of a call's metadata that are not the owner's.
const reserved = "ultravox."

// createAgentCall places a call for an agent of the account.
func createAgentCall(a *ask) (answer, error) {
	agent, err := a.agent()
	if err != nil {
		return answer{}, err
	}
	f, err := a.form()
	if err != nil {
		return answer{}, err
	}
	f.ignore("agentId") // the path says it
	in := control.NewCall{AgentID: agent.ID}
	if c, ok := f.value("templateContext"); ok {
		if _, ok := f.inner(c, "templateContext"); ok {
			in.Context = c
		}
	}
	settings := f.settings(agentSettings)
	if len(settings) > 0 {
		in.Settings = raw(settings)
	}
	return a.dial(f, in, settings)
}

// createCall places a call that the account made up itself: the agent that its
// settings name for this gets the whole of it.
func createCall(a *ask) (answer, error) {
	if err := a.refuse("priorCallId", "enableGreetingPrompt"); err != nil {
		return answer{}, err
	}
	f, err := a.form()
	if err != nil {
		return answer{}, err
	}
	settings := f.settings(callSettings)
	acct, err := do[control.AccountView](a, "account", "get", control.AccountQuery{}, nil)
	if err != nil {
		return answer{}, err
	}
	if acct.SIP.StartCallAgent == "" {
		return answer{}, fieldFault("The account names no agent for calls of its own making: set sip.start_call_agent, or use /api/agents/{agent_id}/calls.", general)
	}
	return a.dial(f, control.NewCall{AgentID: acct.SIP.StartCallAgent, Session: raw(settings)}, settings)
}

// agent reads the one that the path names.
func (a *ask) agent() (control.AgentView, error) {
	id := strings.ToLower(a.http.PathValue("agent"))
	if !isUUID(id) {
		return control.AgentView{}, notFound()
	}
	return do[control.AgentView](a, "agent", "get", control.ID{ID: id}, nil)
}

// refuse turns down parameters of the query that are not served.
func (a *ask) refuse(params ...string) error {
	for _, name := range params {
		if a.http.URL.Query().Has(name) {
			return fieldFault("This parameter is not served.", name)
		}
	}
	return nil
}

// dial reads what all calls have, and places one.
func (a *ask) dial(f *form, in control.NewCall, settings map[string]json.RawMessage) (answer, error) {
	f.outgoing(&in)
	in.Metadata = f.labels("metadata")
	join, long := f.seconds("joinTimeout", ultravox.DefaultJoin, longestJoin), f.seconds("maxDuration", 0, longestCall)
	in.RingTimeoutMs, in.MaxDurationMs = join.Milliseconds(), long.Milliseconds()
	in.Throttle = a.http.URL.Query().Get("throttle")
	if err := f.done(); err != nil {
		return answer{}, err
	}
	if err := a.nameCaller(&in); err != nil {
		return answer{}, err
	}
	v, err := do[control.CallView](a, "call", "create", in, callNames)
	if err != nil {
		return answer{}, err
	}
	facts := a.facts(v)
	facts.JoinTimeout, facts.MaxDuration, facts.Settings = join, long, settings
	facts.Outgoing = &ultravox.Outgoing{To: v.To.URI, From: v.From.URI, Username: in.Username}
	return answer{status: http.StatusCreated, body: ultravox.Render(facts)}, nil
}

// outgoing reads whom to call, and as whom. It is the one medium that is
// served: others have no SIP in them.
func (f *form) outgoing(in *control.NewCall) {
	f.need("medium")
	medium, ok := f.object("medium")
	if !ok {
		return
	}
	medium.need("sip")
	sip, ok := medium.object("sip")
	if medium.close(); !ok {
		return
	}
	if sip.has("incoming") {
		sip.read["incoming"] = true
		sip.wrong("incoming", "Incoming calls come by SIP: they are not made here.")
	} else {
		sip.need("outgoing")
	}
	out, ok := sip.object("outgoing")
	if sip.close(); !ok {
		return
	}
	out.need("to", "from")
	if to, ok := out.text("to", 0); ok {
		in.To = targetOf(to)
		if !strings.Contains(to, "@") {
			out.wrong("to", "Enter a SIP URI. Phone numbers are not allowed.")
		}
	}
	if from, ok := out.text("from", 0); ok {
		in.From = from
	}
	in.Username, _ = out.text("username", 0)
	in.Password, _ = out.text("password", 0)
	out.close()
}

// targetOf is a SIP URI; the documents write some without its scheme.
func targetOf(to string) string {
	if strings.HasPrefix(strings.ToLower(to), "sip:") {
		return to
	}
	return "sip:" + to
}

// nameCaller makes a URI of who calls: a URI is as it was said, a number too,
// and a name is one at the account's domain.
func (a *ask) nameCaller(in *control.NewCall) error {
	_, number := endpoint.ParseNumber(in.From)
	switch {
	case number || strings.HasPrefix(strings.ToLower(in.From), "sip:"):
		return nil
	case strings.Contains(in.From, "@"):
		in.From = "sip:" + in.From
		return nil
	}
	acct, err := do[control.AccountView](a, "account", "get", control.AccountQuery{}, nil)
	if err != nil {
		return err
	}
	host := a.face.kit.Host
	if acct.SIP.DomainLabel != "" {
		host = acct.SIP.DomainLabel + "." + a.face.kit.Domain
	}
	in.From = "sip:" + url.PathEscape(in.From) + "@" + host
	return nil
}

// labels reads an object of texts.
func (f *form) labels(name string) json.RawMessage {
	v, ok := f.value(name)
	if !ok {
		return nil
	}
	o, ok := f.inner(v, name)
	if !ok {
		return nil
	}
	for key := range o.fields {
		o.text(key, 0)
		if strings.HasPrefix(key, reserved) {
			o.wrong(key, fmt.Sprintf("Keys may not start with %q.", reserved))
		}
	}
	return v
}

// seconds reads a duration; otherwise where there is none.
func (f *form) seconds(name string, otherwise, longest time.Duration) time.Duration {
	text, ok := f.text(name, 0)
	if !ok {
		return otherwise
	}
	d, ok := ultravox.ParseSeconds(text)
	if !ok || d < time.Second || d > longest {
		f.wrong(name, fmt.Sprintf(`Enter a duration like "30s", from 1s to %s.`, ultravox.Seconds(longest)))
	}
	return d
}

// settings reads the fields that are for the agent. null is none.
func (f *form) settings(known map[string]byte) map[string]json.RawMessage {
	settings := map[string]json.RawMessage{}
	for name, begins := range known {
		if f.null(name) {
			continue
		}
		v, ok := f.value(name)
		if !ok {
			continue
		}
		if !fits(v[0], begins) {
			f.wrong(name, "Incorrect type.")
		}
		settings[name] = v
	}
	return settings
}

func fits(first, begins byte) bool {
	switch begins {
	case 't':
		return first == 't' || first == 'f'
	case '0':
		return first == '-' || '0' <= first && first <= '9'
	}
	return first == begins
}
