package connect

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"patchbay/actors/endpoint"
	"patchbay/media/peer"
)

// Media types of offers and answers.
const (
	typeJSON = "application/json"
	typeSDP  = "application/sdp"
)

// A question is one offer on its way to an HTTP agent.
type question struct {
	sdp     string
	inv     Invitation
	attempt int  // counted from 1
	tools   bool // the agent may use tools of the call
}

// A reply is what an HTTP agent answered with a status that means yes.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// A dialect is how one stack takes an offer over HTTP. Functions that are nil
// are left out.
type dialect struct {
	accept string
	// channel is how its agents use the data channel.
	channel peer.Dialect
	// talk is how agents that may use tools of the call speak on it; nil: none
	// may.
	talk func(peer.Line) func(message []byte) peer.Heard
	// silent agents have no data channel at all.
	silent bool
	// twoWay agents are servers that may answer for one way only: they are sent
	// away.
	twoWay bool
	// ask renders the offer: its media type and body.
	ask func(q question) (mediaType string, body []byte, err error)
	// read returns the answer. Errors are errBusy, or wrap
	// [media.ErrAgentRefused].
	read func(r reply) (Answer, error)
	// end is the request that ends the session: u is the agent's URL, session
	// what the answer named. An empty method: there is nothing to send.
	end func(u *url.URL, session string) (method string, target *url.URL)
	// event renders what the agent is told; nil: it is not told.
	event func(event []byte) []byte
}

// channelOf is how an agent uses its data channel.
func (d *dialect) channelOf(t endpoint.AgentTransport) peer.Dialect {
	c := d.channel
	if t.CallTools {
		c.Talk = d.talk
	}
	return c
}

// dialects are those that are served (docs/agents.md).
var dialects = map[string]*dialect{
	"":                      &jsonDialect,
	endpoint.DialectJSON:    &jsonDialect,
	endpoint.DialectOpenAI:  &openAIDialect,
	endpoint.DialectPipecat: &pipecatDialect,
	endpoint.DialectFastRTC: &fastRTCDialect,
	endpoint.DialectWHIP:    &whipDialect,
}

// jsonDialect is our own: the offer and what is known of the call.
var jsonDialect = dialect{
	accept: typeJSON,
	ask: func(q question) (string, []byte, error) {
		return inJSON(Question{SDP: q.sdp, Type: "offer", Call: q.inv})
	},
	read: func(r reply) (Answer, error) { return readAnswer(r.body) },
}

func inJSON(v any) (string, []byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return "", nil, fmt.Errorf("write the offer: %w", err)
	}
	return typeJSON, body, nil
}
