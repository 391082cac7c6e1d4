package endpoint_test

import (
	"errors"
	"strings"
	"testing"

	"patchbay/actors/endpoint"
)

func TestAWebhooksAnswerIsReadStrictly(t *testing.T) {
	t.Parallel()
	good := map[string]func(endpoint.Answer) bool{
		`{"startAgentCall":{"agentId":"` + salesBot + `","templateContext":{"tier":"gold"},"metadata":{"src":"fb"}}}`: func(a endpoint.Answer) bool {
			return a.Agent.AgentID == salesBot && string(a.Agent.Context) == `{"tier":"gold"}` && string(a.Agent.Metadata) == `{"src":"fb"}`
		},
		`{"startAgentCall":{"agentId":"` + strings.ToUpper(salesBot) + `","templateContext":null}}`: func(a endpoint.Answer) bool {
			return a.Agent.AgentID == salesBot && a.Agent.Context == nil
		},
		`{"startCall":{"systemPrompt":"Take a message.","voice":"Ada"}}`: func(a endpoint.Answer) bool {
			return string(a.StartCall) == `{"systemPrompt":"Take a message.","voice":"Ada"}`
		},
		` {"startCall":{}} `:                                     func(a endpoint.Answer) bool { return string(a.StartCall) == `{}` },
		`{"reject":{}}`:                                          func(a endpoint.Answer) bool { return a.Reject.Status == 603 },
		`{"reject":{"sipRejectCode":null}}`:                      func(a endpoint.Answer) bool { return a.Reject.Status == 603 },
		`{"reject":{"sipRejectCode":400}}`:                       func(a endpoint.Answer) bool { return a.Reject.Status == 400 },
		`{"reject":{"sipRejectCode":699}}`:                       func(a endpoint.Answer) bool { return a.Reject.Status == 699 },
		`{"reject":{"sipRejectCode":486,"message":"all\nbusy"}}`: func(a endpoint.Answer) bool { return a.Reject.Status == 486 && a.Reject.Message == "all busy" },
	}
	for body, ok := range good {
		if a, err := endpoint.ParseAnswer([]byte(body)); err != nil || !ok(a) {
			t.Errorf("%s: got %+v, %v", body, a, err)
		}
	}
	for _, body := range []string{
		``, `null`, `[]`, `"reject"`, `{}`, `{`, `{"reject":{}`, `{"reject":{}} {}`, `{"reject":{}}x`,
		`{"reject":{},"startCall":{}}`, `{"reject":{},"reject":{}}`, `{"reject":{},"startCall":null}`, `{"Reject":{}}`, `{"hangup":{}}`,
		`{"reject":null}`, `{"reject":[]}`, `{"reject":{"sipRejectCode":399}}`, `{"reject":{"sipRejectCode":700}}`, `{"reject":{"sipRejectCode":302}}`,
		`{"reject":{"sipRejectCode":"486"}}`, `{"reject":{"sipRejectCode":486.5}}`, `{"reject":{"message":1}}`, `{"reject":{"code":486}}`,
		`{"startCall":null}`, `{"startCall":"x"}`, `{"startAgentCall":{}}`, `{"startAgentCall":{"agentId":"bot"}}`, `{"startAgentCall":{"agentId":7}}`,
		`{"startAgentCall":{"agentId":"` + salesBot + `","templateContext":[]}}`, `{"startAgentCall":{"agentId":"` + salesBot + `","voice":"Ada"}}`,
		`{"startAgentCall":{"agentId":"` + salesBot + `","agentId":"` + supportBot + `"}}`,
		`{"reject":{"message":"` + strings.Repeat("x", endpoint.MaxReply) + `"}}`,
	} {
		a, err := endpoint.ParseAnswer([]byte(body))
		if !errors.Is(err, endpoint.ErrAnswer) {
			t.Errorf("%.80s: got %+v, %v", body, a, err)
		}
		if err != nil && strings.Contains(err.Error(), salesBot) {
			t.Errorf("the error repeats the reply: %v", err)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	for _, s := range []string{`{"reject":{}}`, `{"startCall":{"a":[1,{}]}}`, `{"startAgentCall":{"agentId":"` + salesBot + `"}}`, `{"reject":{"sipRejectCode":486,"message":"\u0000"}}`, `{`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := endpoint.ParseAnswer(body)
		set := 0
		for _, is := range []bool{a.Agent != nil, a.StartCall != nil, a.Reject != nil} {
			if is {
				set++
			}
		}
		if err == nil && set != 1 || err != nil && set != 0 {
			t.Errorf("%q: %d actions, %v", body, set, err)
		}
		if a.Reject != nil && (a.Reject.Status < 400 || a.Reject.Status > 699) {
			t.Errorf("%q: status %d", body, a.Reject.Status)
		}
	})
}

func TestTheQuestionIsTheContracts(t *testing.T) {
	t.Parallel()
	q := endpoint.Question{CallerID: ptr("+15550100"), FromDisplayName: ptr("Bob"), FromURI: ptr("sip:+15550100@pbx.example.net"),
		ToURI: ptr("sip:sales@acme.sip.example.com"), SIPHeaders: map[string]string{"X-Customer-Name": "Bob"}}
	body, err := q.Body()
	const want = `{"callerId":"+15550100","fromDisplayName":"Bob","fromUri":"sip:+15550100@pbx.example.net","toUri":"sip:sales@acme.sip.example.com","sipHeaders":{"X-Customer-Name":"Bob"}}`
	if err != nil || string(body) != want {
		t.Errorf("got %s, %v", body, err)
	}
	body, _ = endpoint.Question{}.Body()
	if string(body) != `{"callerId":null,"fromDisplayName":null,"fromUri":null,"toUri":null,"sipHeaders":{}}` {
		t.Errorf("of an anonymous caller: %s", body)
	}
}

func TestHeadersOfOneNameAreJoined(t *testing.T) {
	t.Parallel()
	got := endpoint.Headers([]endpoint.HeaderField{{"X-Tag", "a"}, {"x-tag", "b"}, {"Diversion", "<sip:x@y>"}})
	if len(got) != 2 || got["X-Tag"] != "a, b" || got["Diversion"] != "<sip:x@y>" {
		t.Errorf("got %v", got)
	}
}

func TestContextOfACall(t *testing.T) {
	t.Parallel()
	fields := []endpoint.HeaderField{{"X-Customer-Name", "Bob"}, {"X-Complex-Value", `{"subkey":"value"}`}, {"X-Count", "3"}, {"X-", "no name"}, {"Diversion", "<sip:x@y>"}}
	from := endpoint.Caller{ID: "+15550100", URI: "sip:+15550100@pbx.example.net"}
	for name, c := range map[string]struct{ template, schema, want string }{
		"headers and who calls": {"", "", `{"complex_value":{"subkey":"value"},"count":3,"customer_name":"Bob","ultravox":{"sip":{"caller_id":"+15550100","from_uri":"sip:+15550100@pbx.example.net"}}}`},
		"what SIP says wins": {`{"customer_name":"Eve","tier":"gold","ultravox":{"sip":{"caller_id":"1"}}}`, "",
			`{"complex_value":{"subkey":"value"},"count":3,"customer_name":"Bob","tier":"gold","ultravox":{"sip":{"caller_id":"+15550100","from_uri":"sip:+15550100@pbx.example.net"}}}`},
		"a closed schema keeps the rest out": {`{"tier":"gold","secret":1}`, `{"type":"object","properties":{"tier":{},"count":{}},"additionalProperties":false}`, `{"count":3,"tier":"gold"}`},
		"an open schema does not":            {`{"tier":"gold"}`, `{"properties":{"tier":{}}}`, `{"complex_value":{"subkey":"value"},"count":3,"customer_name":"Bob","tier":"gold","ultravox":{"sip":{"caller_id":"+15550100","from_uri":"sip:+15550100@pbx.example.net"}}}`},
		"nothing is left":                    {"", `{"additionalProperties":false}`, ``},
	} {
		if got := endpoint.Context([]byte(c.template), fields, from, []byte(c.schema)); string(got) != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	if got := endpoint.Context(nil, nil, endpoint.Caller{}, nil); got != nil {
		t.Errorf("of nothing: %s", got)
	}
}
