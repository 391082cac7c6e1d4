package media

import (
	"context"
	"errors"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Why a call did not get its agent. A [Connector] wraps one of these; the
// detail around it must hold no secret, because it reaches logs.
var (
	// ErrNoAgent says nobody took the call in time: 480, Q.850 18.
	ErrNoAgent = errors.New("media: no agent took the call")
	// ErrAgentBusy says every agent asked has no room: 480, Q.850 17.
	ErrAgentBusy = errors.New("media: agents are busy")
	// ErrAgentRefused says an agent was reached and declined, or answered with
	// an error: 480, Q.850 41.
	ErrAgentRefused = errors.New("media: the agent refused the call")
	// ErrAgentUnreachable says an agent could not be reached, or its ICE or
	// DTLS did not connect: 480, Q.850 41.
	ErrAgentUnreachable = errors.New("media: the agent cannot be reached")
	// ErrNoCodec says the agent's answer holds no codec of the offer: 488,
	// Q.850 88.
	ErrNoCodec = errors.New("media: no common codec")
)

// Why a command of an agent was not carried out. The message layer of the agent
// leg answers the agent with the error's text.
var (
	// ErrUnknownCommand says the command's type is not served.
	ErrUnknownCommand = errors.New("media: this command is not served")
	// ErrBadDigits says digits are missing, too many, or not of 0-9 A-D * # w.
	ErrBadDigits = errors.New("media: digits must be of 0-9 A-D * # and w for a pause")
	// ErrNoDTMF says the carrier did not offer telephone-event.
	ErrNoDTMF = errors.New("media: the carrier takes no telephone-event")
	// ErrDigitsFull says too many digits wait to be sent.
	ErrDigitsFull = errors.New("media: too many digits are waiting")
	// ErrBadTarget says a transfer's target is neither a sip: URI nor a number.
	ErrBadTarget = errors.New("media: to must be sip:user@host[:port][;transport=udp|tcp|tls], or a number")
	// ErrBadMode says a transfer's mode is none.
	ErrBadMode = errors.New("media: mode must be auto, refer or bridge")
	// ErrBadReplaces says a transfer's other call is none, or stands beside to.
	ErrBadReplaces = errors.New("media: want to or replaces, which is the id of another call of yours")
	// ErrBadHeaders says header fields are too many or too long, have names that
	// are not the agent's to set, or more than one line.
	ErrBadHeaders = errors.New("media: headers must be at most 16 of X-* and User-to-User, of one line of at most 1024 bytes each")
	// ErrClosed says the call's media has ended.
	ErrClosed = errors.New("media: the call has ended")
)

// A Connector finds the agent of a call and joins it.
type Connector interface {
	// Join blocks until the agent's leg is connected, or fails with an error
	// that wraps one of this package's; the end of ctx counts as ErrNoAgent.
	// chosen is called once an agent took the offer, or may now dial in; it
	// does not block. The leg outlives ctx, which ends with Join. After an error
	// nothing of the leg is left behind.
	Join(ctx context.Context, req JoinRequest, chosen func(worker string)) (AgentLeg, error)
}

// A JoinRequest is one call that wants an agent.
type JoinRequest struct {
	ID         call.ID
	Tenant     string
	Endpoint   endpoint.Key
	Agent      endpoint.Agent
	Invitation call.Invitation
	Codecs     []call.Codec // to be offered, in this order; payload numbers are the carrier's
	DTMF       []call.Codec // telephone-event formats to be offered, one per clock rate; empty: none
	Context    []byte       // what the agent is told beside the invitation, JSON; nil: nothing
	Metadata   []byte       // of the owner's webhook, JSON; nil: none
	Settings   []byte       // likewise
	Epoch      uint64       // 1; more: the agent takes over an answered call
	Patient    bool         // nobody is asked after this agent: it is worth waiting for
	Outbound   bool         // we called the carrier
}

// An AgentLeg is a connected WebRTC peer that carries one audio stream.
type AgentLeg interface {
	// Codec is the agent's choice, with the payload type used on its leg.
	Codec() call.Codec
	// DTMF is the agent's telephone-event at the codec's clock rate, where it
	// was negotiated.
	DTMF() (call.Codec, bool)
	// Start is called once, before the first WriteRTP. rx gets each plaintext
	// RTP packet of the agent, one at a time; it does not block, may write to
	// the slice, and does not keep it. closed is called at most once, when the
	// leg breaks or the agent leaves, not after Close. command gets what the
	// agent asks for and its error is what the agent is told.
	Start(rx func(packet []byte), closed func(call.Cause), command func(Command) error)
	// WriteRTP sends one plaintext RTP packet that carries the leg's payload
	// type and SSRC. It is called by one goroutine at a time. It may change the
	// packet, and does not keep it.
	WriteRTP(packet []byte) error
	// SSRC is the synchronization source that packets to the agent must carry.
	SSRC() uint32
	// Notify sends one JSON object to the agent, by data channel, NATS, or
	// both. It never blocks; what cannot be sent is lost.
	Notify(event []byte)
	// Close leaves the agent and frees the leg's ports. It may be called twice
	// and from any goroutine, rx among them.
	Close(cause call.Cause)
}

// Types of Command that are served.
const (
	CommandHangup   = "hangup"
	CommandSendDTMF = "send_dtmf"
	CommandTransfer = "transfer"
)

// A Command is what an agent asks of its call.
type Command struct {
	ID     string `json:"id,omitempty"` // the agent's own mark, echoed in the answer
	Type   string `json:"type"`
	Digits string `json:"digits,omitempty"` // of send_dtmf; w is a pause of half a second
	// Headers are further header fields: of hangup on the BYE, of transfer on the
	// REFER, of answer on the 200. X-* and User-to-User.
	Headers []call.Header `json:"headers,omitempty"`
	// Status is of reject: 400 to 699; 0: 603.
	Status int    `json:"status,omitempty"`
	To     string `json:"to,omitempty"`   // of transfer: sip: URI, or a number at the carrier
	Mode   string `json:"mode,omitempty"` // of transfer: auto, refer, bridge
	// Replaces is of transfer, in place of To: another call of the agent's, whose
	// other side is the target.
	Replaces string `json:"replaces,omitempty"`
}
