package connect

import (
	"encoding/json"
	"slices"

	"patchbay/media"
	"patchbay/media/peer"
)

// pipecatDialect is Pipecat's SmallWebRTC transport: POST /api/offer. What is
// known of the call goes into request_data. On the data channel every message
// must have a "type", and none may begin with "ping": after the first, the bot
// counts three seconds without another as a lost client.
var pipecatDialect = dialect{
	accept:  typeJSON,
	channel: peer.Dialect{Label: peer.ChannelLabel, Hear: hearPipecat},
	ask: func(q question) (string, []byte, error) {
		return inJSON(struct {
			SDP  string     `json:"sdp"`
			Type string     `json:"type"`
			Data Invitation `json:"request_data"`
		}{q.sdp, "offer", q.inv})
	},
	read: func(r reply) (Answer, error) {
		var more struct {
			ID string `json:"pc_id"`
		}
		a, err := readAnswer(r.body)
		if err == nil && json.Unmarshal(r.body, &more) == nil {
			a.WorkerID = more.ID[:min(len(more.ID), maxName)] // the bot's name for the call
		}
		return a, err
	},
}

// botCommands are those that a bot may ask for among its own messages.
var botCommands = []string{media.CommandHangup, media.CommandSendDTMF, media.CommandAnswer, media.CommandReject}

// hearPipecat tells the bot's leave and its commands from the messages of its
// own pipeline.
func hearPipecat(message []byte) peer.Heard {
	var m struct {
		Type    string `json:"type"`
		Message struct {
			Type string `json:"type"`
		} `json:"message"`
	}
	if len(message) > peer.MaxMessage {
		return peer.HeardNothing
	}
	err := json.Unmarshal(message, &m)
	switch {
	case m.Type == "signalling" && m.Message.Type == "peerLeft":
		return peer.HeardLeft
	case err == nil && slices.Contains(botCommands, m.Type):
		return peer.HeardCommand
	}
	return peer.HeardNothing
}
