package endpoint_test

import (
	"errors"
	"testing"

	"patchbay/actors/endpoint"
)

// TestAnAnswerMayCarryTheWholeBodyOfCreateAgentCall has each field of the
// vendor's StartAgentCallRequest, and what becomes of it.
func TestAnAnswerMayCarryTheWholeBodyOfCreateAgentCall(t *testing.T) {
	t.Parallel()
	a, err := endpoint.ParseAnswer([]byte(`{"startAgentCall":{"agentId":"` + salesBot + `","templateContext":{"tier":"gold"},
		"initialMessages":[{"role":"MESSAGE_ROLE_USER","text":"hi"}],"metadata":{"src":"fb"},"medium":{"sip":{"incoming":{}}},
		"joinTimeout":"12.5s","maxDuration":"600s","recordingEnabled":false,"initialOutputMedium":"MESSAGE_MEDIUM_VOICE",
		"firstSpeakerSettings":{"agent":{"text":"Hello"}},"dataConnection":null,"experimentalSettings":{"a":1}}}`))
	if err != nil {
		t.Fatal(err)
	}
	const settings = `{"initialMessages":[{"role":"MESSAGE_ROLE_USER","text":"hi"}],"recordingEnabled":false,` +
		`"initialOutputMedium":"MESSAGE_MEDIUM_VOICE","firstSpeakerSettings":{"agent":{"text":"Hello"}},"experimentalSettings":{"a":1}}`
	if string(a.Agent.Settings) != settings || a.Terms != (endpoint.CallTerms{JoinTimeoutMs: 12500, MaxDurationMs: 600_000}) ||
		string(a.Agent.Context) != `{"tier":"gold"}` || string(a.Agent.Metadata) != `{"src":"fb"}` {
		t.Errorf("got %+v: %s", a, a.Agent.Settings)
	}
}

func TestTimesOfAnAnswerAreReadAndBounded(t *testing.T) {
	t.Parallel()
	for _, action := range []string{`{"startAgentCall":{"agentId":"` + salesBot + `",`, `{"startCall":{"voice":"Ada",`} {
		for fields, want := range map[string]endpoint.CallTerms{
			`"joinTimeout":null,"maxDuration":null`:       {},
			`"joinTimeout":"1s"`:                          {JoinTimeoutMs: 1000},
			`"maxDuration":"30.250s"`:                     {MaxDurationMs: 30_250},
			`"joinTimeout":"121s","maxDuration":"86401s"`: {JoinTimeoutMs: 120_000, MaxDurationMs: 86_400_000},
			`"medium":{"webRtc":{}}`:                      {}, // it is this call, whatever it says
		} {
			if got, err := endpoint.ParseAnswer([]byte(action + fields + "}}")); err != nil || got.Terms != want {
				t.Errorf("%s: got %+v, %v, want %+v", fields, got.Terms, err, want)
			}
		}
		for _, value := range []string{`30`, `"30"`, `"30m"`, `"1m30s"`, `"0s"`, `"-5s"`, `"0.5s"`, `"s"`, `""`, `"1e3s"`, `{}`} {
			if got, err := endpoint.ParseAnswer([]byte(action + `"joinTimeout":` + value + "}}")); !errors.Is(err, endpoint.ErrAnswer) {
				t.Errorf("%s: got %+v, %v", value, got.Terms, err)
			}
		}
		if _, err := endpoint.ParseAnswer([]byte(action + `"medium":"sip"}}`)); !errors.Is(err, endpoint.ErrAnswer) {
			t.Errorf("a medium that is a text: %v", err)
		}
	}
}

func TestWishesOfTheWrongTypeAreRefused(t *testing.T) {
	t.Parallel()
	for _, field := range []string{
		`"initialMessages":{}`, `"firstSpeakerSettings":[]`, `"recordingEnabled":1`, `"initialOutputMedium":true`, `"experimentalSettings":"x"`,
		`"metadata":{"n":1}`, `"metadata":{"n":null}`, `"metadata":{"ultravox.x":"1"}`, `"callbacks":{"ended":{"url":"https://a.example"}}`,
	} {
		body := `{"startAgentCall":{"agentId":"` + salesBot + `",` + field + "}}"
		if a, err := endpoint.ParseAnswer([]byte(body)); !errors.Is(err, endpoint.ErrAnswer) {
			t.Errorf("%s: got %+v, %v", field, a, err)
		}
	}
}
