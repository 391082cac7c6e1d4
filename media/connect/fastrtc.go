package connect

import (
	"encoding/json"
	"fmt"
	"strconv"

	"patchbay/media"
	"patchbay/media/peer"
)

// fastRTCDialect is FastRTC: POST {mount}/webrtc/offer. A refusal comes with
// status 200. Its server echoes what it hears on the data channel, so nothing
// is read there.
var fastRTCDialect = dialect{
	accept:  typeJSON,
	channel: peer.Dialect{Label: "text", Hear: func([]byte) peer.Heard { return peer.HeardNothing }},
	ask: func(q question) (string, []byte, error) {
		return inJSON(struct {
			SDP  string `json:"sdp"`
			Type string `json:"type"`
			ID   string `json:"webrtc_id"`
		}{q.sdp, "offer", connectionID(q)})
	},
	read: readFastRTC,
}

// connectionID is the call's id. The server knows each connection by it and
// refuses a second one, so that later offers of a call are numbered.
func connectionID(q question) string {
	id := q.inv.CallID.String()
	if n := int(q.inv.Epoch) - firstEpoch; n > 0 {
		id += "-r" + strconv.Itoa(n)
	}
	if q.attempt > 1 {
		id += "-" + strconv.Itoa(q.attempt)
	}
	return id
}

func readFastRTC(r reply) (Answer, error) {
	var refusal struct {
		Status string `json:"status"`
		Meta   struct {
			Error string `json:"error"`
		} `json:"meta"`
	}
	if len(r.body) <= MaxAnswer && json.Unmarshal(r.body, &refusal) == nil && refusal.Status == "failed" {
		if refusal.Meta.Error == "concurrency_limit_reached" {
			return Answer{}, errBusy
		}
		return Answer{}, fmt.Errorf("%w: %.40q", media.ErrAgentRefused, refusal.Meta.Error)
	}
	return readAnswer(r.body)
}
