package ultravox_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/control"
	shape "patchbay/internal/ultravox"
)

// rows say which tests show each part of Ultravox's contract, from this folder:
//
//	UV-1  the SIP configuration is read and changed by PATCH
//	UV-2  an agent's default pattern
//	UV-3  what is 400
//	UV-4  bodies of errors
//	UV-5  registrations
//	UV-6  the question to the fallback handler
//	UV-7  its replies, and the SIP that comes of them
//	UV-8  header fields as context
//	UV-9  bodies of events
var rows = map[string]map[string][]string{
	"UV-1": {"sip_test.go": {"TestTheSIPConfigurationIsReadAndWrittenAsDocumented", "TestWhatThisAPICannotSayIsKept"}, "../ultravox_test.go": {"TestWhatUltravoxWritesBackOfAnAccountUnchangedStays"}},
	"UV-2": {"sip_test.go": {"TestTheSIPConfigurationIsReadAndWrittenAsDocumented"}},
	"UV-3": {"sip_test.go": {"TestMistakesInTheSIPConfigurationAreNamed"}, "calls_test.go": {"TestMistakesInCallsAreNamed"}, "webhooks_test.go": {"TestMistakesInWebhooksAreNamed"}},
	"UV-4": {"sip_test.go": {"TestWhoMayNotIsToldSoInTheVendorsWords"}, "webhooks_test.go": {"TestPagesLeadForwardAndBack"}},
	"UV-5": {"registrations_test.go": {"TestRegistrationsAreKeptAsDocumented", "TestMistakesInRegistrationsAreNamed"}},
	"UV-6": {"../../../e2e/ultravox_test.go": {"TestUltravoxsFallbackHandlerDecides"}, "../../../actors/endpoint/answer_test.go": {"TestTheQuestionIsTheContracts"}},
	"UV-7": {"../../../e2e/ultravox_test.go": {"TestUltravoxsFallbackHandlerDecides"}, "../../../e2e/owner_test.go": {"TestTheOwnersWebhookDecides"}},
	"UV-8": {"../../../e2e/ultravox_test.go": {"TestUltravoxsFallbackHandlerDecides"}, "../../../actors/endpoint/answer_test.go": {"TestContextOfACall"}},
	"UV-9": {"../../../internal/ultravox/ultravox_test.go": {"TestEventBodies", "TestWordsForHowACallEnded"}, "webhooks_test.go": {"TestWebhooksAreKeptAsDocumented"}},
}

func TestEveryRowOfTheContractIsShown(t *testing.T) {
	t.Parallel()
	for n := range 9 {
		row := fmt.Sprintf("UV-%d", n+1)
		if len(rows[row]) == 0 {
			t.Errorf("%s is shown by no test", row)
		}
		for file, tests := range rows[row] {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Errorf("%s: %v", row, err)
			}
			for _, name := range tests {
				if !strings.Contains(string(text), "func "+name+"(") {
					t.Errorf("%s: %s has no %s", row, file, name)
				}
			}
		}
	}
}

// The documents' replies: of the vendor's page, and of the published
// schema. A text stands for what it names.
const (
	seedSIP = `{"allowedAgents":[{"agentId":"","toUserPattern":""}],"domain":"","allowedCidrRanges":[""],"allowAllAgents":false,
"fallbackHandler":{"url":"","secrets":[""]}}`
	schemaRegistration = `{"registrationId":"","created":"","username":"","proxy":"","outboundProxy":"?","authUser":"?","successful":"?"}`
	schemaWebhook      = `{"webhookId":"","agentId":"?","created":"","url":"","secrets":[""],"events":[""],"status":"","lastStatusChange":"?","recentFailures":[]}`
	schemaPage         = `{"next":"?","previous":"?","results":[]}`
	schemaCall         = `{"callId":"","clientVersion":"?","created":"","joined":"?","ended":"?","endReason":"?","billedDuration":"?","billedSideInputTokens":"?",
"billedSideOutputTokens":"?","billingStatus":"","firstSpeaker":"","firstSpeakerSettings":{},"inactivityMessages":[],"initialOutputMedium":"","joinTimeout":"",
"joinUrl":"?","languageHint":"?","maxDuration":"","medium":{"sip":{}},"model":"","recordingEnabled":false,"retentionPolicy":"?","systemPrompt":"?","temperature":0,
"timeExceededMessage":"?","voice":"?","transcriptOptional":true,"vadSettings":"?","shortSummary":"?","summary":"?","agent":{"agentId":"","name":""},"agentId":"",
"experimentalSettings":{},"metadata":{},"initialState":{},"requestContext":{},"sipDetails":{"billedDuration":"?","terminationReason":"?"}}`
)

// like says where a reply lacks a key of the document, or has a value of
// another type there; "?" may be null.
func like(want, got any, at string) []string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{at + " is no object"}
		}
		var all []string
		for name, v := range w {
			if _, there := g[name]; !there {
				all = append(all, at+"."+name+" is not there")
				continue
			}
			all = append(all, like(v, g[name], at+"."+name)...)
		}
		return all
	case []any:
		g, ok := got.([]any)
		if !ok {
			return []string{at + " is no list"}
		}
		if len(w) > 0 && len(g) > 0 {
			return like(w[0], g[0], at+"[0]")
		}
		return nil
	case string:
		if w == "?" && got == nil {
			return nil
		}
	}
	if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
		return []string{fmt.Sprintf("%s is %T, want %T", at, got, want)}
	}
	return nil
}

func TestRepliesHaveTheKeysAndTypesOfTheDocuments(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.live.calls = []control.CallView{exampleCall(0x9a51c06f3be2d704, time.Minute)}
	s.past.records = []call.Record{exampleRecord(0x9a51c06f3be2d705, time.Hour)}
	for _, c := range []struct{ name, method, path, body, want string }{
		{"configuration", "PATCH", "/api/sip", `{"allowedCidrRanges":["198.51.100.0/24"],"allowedAgents":[{"agentId":"` + sales + `"}],"fallbackHandler":{"url":"https://x.example"}}`, seedSIP},
		{"configuration, read", "GET", "/api/sip", "", seedSIP},
		{"registration", "POST", "/api/sip/registrations", `{"username":"u","password":"p","proxy":"pbx.example"}`, schemaRegistration},
		{"registrations", "GET", "/api/sip/registrations", "", schemaPage},
		{"webhook", "POST", "/api/webhooks", `{"url":"https://x.example","events":["call.ended"]}`, schemaWebhook},
		{"webhooks", "GET", "/api/webhooks", "", schemaPage},
		{"a call that is placed", "POST", "/api/agents/" + sales + "/calls", `{` + outgoing + `}`, schemaCall},
		{"a live call", "GET", "/api/calls/" + shape.CallID(0x9a51c06f3be2d704), "", schemaCall},
		{"a call that is over", "GET", "/api/calls/" + shape.CallID(0x9a51c06f3be2d705), "", schemaCall},
		{"calls", "GET", "/api/calls", "", schemaPage},
	} {
		w := s.Ask(t, c.method, c.path, c.body)
		var want, got any
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code/100 != 2 {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
			continue
		}
		for _, why := range like(want, got, c.name) {
			t.Error(why)
		}
	}
}
