package connect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
	"strings"

	"patchbay/actors/call"
	"patchbay/media"
	"patchbay/media/peer"
)

// openAIDialect is OpenAI Realtime and who speaks its "create call" (Azure,
// Inworld, LiteLLM): multipart form data with sdp and session, 201 with the SDP
// answer and the call's Location, POST .../hangup at the end. Its data channel
// has a protocol of its own, in which commands are calls of function tools.
var openAIDialect = dialect{
	accept:  typeSDP,
	channel: peer.Dialect{Label: "oai-events", Hear: func([]byte) peer.Heard { return peer.HeardNothing }},
	talk:    talkOpenAI,
	ask:     askOpenAI,
	read: func(r reply) (Answer, error) {
		a, err := readSDP(r)
		a.SessionID = sessionOf(r.header.Get("Location"))
		a.WorkerID = a.SessionID // what the owner looks for over there
		return a, err
	},
	end: func(u *url.URL, session string) (string, *url.URL) {
		return http.MethodPost, u.JoinPath(session, "hangup")
	},
	event: openAIEvent,
}

func askOpenAI(q question) (string, []byte, error) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part := func(name, mediaType, value string) {
		w, err := form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {`form-data; name="` + name + `"`}, "Content-Type": {mediaType}})
		if err == nil { // a buffer takes everything
			_, _ = w.Write([]byte(value))
		}
	}
	part("sdp", typeSDP, q.sdp)
	session := q.inv.Session
	if q.tools {
		session = withTools(session)
	}
	if len(session) > 0 {
		part("session", typeJSON, string(session))
	}
	if err := form.Close(); err != nil {
		return "", nil, fmt.Errorf("write the offer: %w", err)
	}
	return form.FormDataContentType(), b.Bytes(), nil
}

// readSDP reads an answer that is the body itself.
func readSDP(r reply) (Answer, error) {
	if len(r.body) > MaxAnswer {
		return Answer{}, errTooLarge
	}
	if !bytes.HasPrefix(r.body, []byte("v=0")) {
		return Answer{}, fmt.Errorf("%w: its answer is no SDP", media.ErrAgentRefused)
	}
	return Answer{SDP: string(r.body), Type: "answer"}, nil
}

// sessionOf returns the last segment of a Location, "" where it cannot be one
// of a URL of ours.
func sessionOf(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	id := path.Base(u.Path)
	odd := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.~", c))
	}
	if id == "" || len(id) > maxName || strings.Trim(id, ".") == "" || strings.ContainsFunc(id, odd) {
		return ""
	}
	return id
}

// openAIEvent tells the model of keys, as text of the caller. Nothing else of
// ours has a place in its protocol.
func openAIEvent(event []byte) []byte {
	var e struct {
		Type  string `json:"type"`
		Digit string `json:"digit"`
	}
	if json.Unmarshal(event, &e) != nil || e.Type != call.EventDigit {
		return nil
	}
	type content struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	type item struct {
		Type    string    `json:"type"`
		Role    string    `json:"role"`
		Content []content `json:"content"`
	}
	b, err := json.Marshal(struct {
		Type string `json:"type"`
		Item item   `json:"item"`
	}{"conversation.item.create", item{"message", "user", []content{{"input_text", "DTMF: " + e.Digit}}}})
	if err != nil {
		return nil // strings always marshal
	}
	return b
}
