package call

import "time"

// An EffectKind names something to be done for a call.
type EffectKind string

// Effects.
const (
	Respond     EffectKind = "respond"      // answer the INVITE: Response
	SendBye     EffectKind = "send-bye"     // Cause becomes the Reason header; CANCEL, where the carrier that we call has not answered
	AskRuling   EffectKind = "ask-ruling"   // ask the owner's webhook; Ruled brings its answer
	OpenBridge  EffectKind = "open-bridge"  // reserve RTP and join an agent: Dispatch
	AskAgent    EffectKind = "ask-agent"    // ask another agent on the open bridge: Dispatch
	CloseBridge EffectKind = "close-bridge" // Cause is told to the agent
	Arm         EffectKind = "arm"          // Timer after After; arming again replaces
	Disarm      EffectKind = "disarm"
	Emit        EffectKind = "emit"   // Name and Event go to the agent and the event stream
	Finish      EffectKind = "finish" // the call is over: Record

	SendRefer EffectKind = "send-refer" // ask the carrier to call somebody else: Transfer; ReferDone follows

	FindOther   EffectKind = "find-other"   // ask whose dialog Transfer.Other is; OtherFound or TargetLost follows
	PlaceTarget EffectKind = "place-target" // call the target of Transfer; TargetTold or TargetLost follows
	TellOther   EffectKind = "tell-other"   // tell the call Other of this node: Event
	Couple      EffectKind = "couple"       // join the carrier with that of the call Other, in place of the agent

	SendKeys EffectKind = "send-keys" // tell the carrier of keys by INFO: Keys, Info; DigitsUnsent follows where that cannot be
	PlayKeys EffectKind = "play-keys" // send them as tones: Keys; likewise

	OpenCarrier EffectKind = "open-carrier" // reserve RTP for a carrier that we call; CarrierReady brings the offer
	SendInvite  EffectKind = "send-invite"  // call the carrier with Offer
	TakeAnswer  EffectKind = "take-answer"  // Answer is the carrier's to our offer

	AnswerOffer     EffectKind = "answer-offer"     // answer the re-INVITE or UPDATE of CarrierOffered: Response
	AnswerReplacing EffectKind = "answer-replacing" // answer the INVITE of CarrierReplaces: Response; with a 2xx its dialog is the call's

	AnswerRefer  EffectKind = "answer-refer"  // answer the REFER of CarrierRefers: Response; with a 2xx a subscription begins (RFC 3515)
	AskReferral  EffectKind = "ask-referral"  // ask the policy about Referral; ReferralRuled brings its answer
	InviteTarget EffectKind = "invite-target" // call the target, with Offer
	NotifyRefer  EffectKind = "notify-refer"  // tell the carrier how that goes: the status of Response
	TakeTarget   EffectKind = "take-target"   // the dialog with the target is the call's from here on
	DropTarget   EffectKind = "drop-target"   // give the call to the target up, for Cause

	UpdateMedia EffectKind = "update-media" // carrier and we have agreed on something else: Agreement
)

// An Effect is something the caller of Step must do.
type Effect struct {
	Do       EffectKind
	Response Response
	Cause    Cause
	Timer    Timer
	After    time.Duration
	Name     string // of Emit: call.started, dtmf, call.ended, ...
	Event    Event  // of Emit: what it is about; of TellOther: what is told
	Record   *Record
	Dispatch Dispatch
	Offer    *Offer    // of SendInvite
	Headers  []Header  // of SendBye: further ones, that an agent set
	Transfer *Transfer // of SendRefer, FindOther, PlaceTarget
	Other    ID        // of TellOther, and of Couple
	Answer   *Answer   // of TakeAnswer
	Referral *Referral // of AskReferral
	Keys     string    // of SendKeys and PlayKeys
	Info     bool      // of SendKeys: even where the carrier does not say that it takes INFO

	Agreement *Agreement // of UpdateMedia
}

// A Response is an answer to the INVITE, or to a request that changes the call.
// Answer is rendered as SDP, and so is Offer, which is ours where the request
// had none; Cause, if set on a failure, as a Reason header (RFC 3326).
type Response struct {
	Status     int
	Answer     *Answer
	Offer      *Offer
	Cause      Cause
	Text       string        // of the Reason header, and of Warning on 488
	RetryAfter time.Duration // whole seconds; 0: none
	Headers    []Header      // further ones, of a 2xx
}

// A Record is what remains of a call: its CDR.
type Record struct {
	ID         ID        `json:"call_id"`
	Tenant     string    `json:"tenant"`
	Endpoint   string    `json:"endpoint"` // Key, never the slug
	Agent      string    `json:"agent,omitempty"`
	Worker     string    `json:"worker,omitempty"`
	Resumed    int       `json:"resumed,omitempty"` // agents that took over after the answer; Agent and Worker are the last
	Holds      int       `json:"holds,omitempty"`   // how often the carrier put the call on hold
	HeldMs     int64     `json:"held_ms,omitempty"` // and for how long in all
	Node       string    `json:"node"`
	DecisionID string    `json:"decision_id,omitempty"`
	SIPCallID  string    `json:"sip_call_id"`
	From       Party     `json:"from"`
	To         Party     `json:"to"`
	Transport  Transport `json:"transport"`
	Source     string    `json:"source"`
	Codec      string    `json:"codec,omitempty"`
	Status     int       `json:"status"` // final response to the INVITE
	Cause      Cause     `json:"cause"`
	EndedBy    string    `json:"ended_by"` // carrier, agent, operator, node, owner
	Stages     Stages    `json:"stages"`
	Quality    Quality   `json:"quality"`
	// Direction is "outbound" of a call that we began; "": the carrier did.
	Direction string   `json:"direction,omitempty"`
	Trunk     string   `json:"trunk,omitempty"`    // id; that a call of ours went through
	Metadata  Document `json:"metadata,omitempty"` // that its owner gave it, an object of texts
	// Headers are some of the INVITE's, of a call that a carrier began: see
	// [Invitation.Told].
	Headers []Header `json:"headers,omitempty"`
	// Transfer is the last that was asked of the call; nil: none was.
	Transfer *Transferred `json:"transfer,omitempty"`
	Moved    *Moved       `json:"moved,omitempty"` // the last time that another dialog took the call over; nil: none did
	// Joined is the call whose carrier this one's was joined with; 0: none.
	Joined ID `json:"joined_call,omitempty"`
}

// A Document is a piece of JSON that is handed on as it came; "": none.
type Document string

// MarshalJSON writes the document.
func (d Document) MarshalJSON() ([]byte, error) {
	if d == "" {
		return []byte("null"), nil
	}
	return []byte(d), nil
}

// UnmarshalJSON takes the document.
func (d *Document) UnmarshalJSON(text []byte) error {
	if *d = Document(text); string(text) == "null" {
		*d = ""
	}
	return nil
}

// Stages are the moments of a call; zero where it never got there.
type Stages struct {
	Invited       time.Time `json:"invited"`
	Ruled         time.Time `json:"ruled,omitzero"`   // the owner's webhook named an agent
	Ringing       time.Time `json:"ringing,omitzero"` // of a call of ours: its carrier rings
	AgentChosen   time.Time `json:"agent_chosen,omitzero"`
	AgentJoined   time.Time `json:"agent_joined,omitzero"` // of a call of ours
	EarlyMedia    time.Time `json:"early_media,omitzero"`  // 183 with SDP sent: the carrier hears ringing of ours, or the agent
	Answered      time.Time `json:"answered,omitzero"`     // 200 sent
	Acked         time.Time `json:"acked,omitzero"`
	FirstRTP      time.Time `json:"first_rtp,omitzero"`
	FirstAgentRTP time.Time `json:"first_agent_rtp,omitzero"`
	Ended         time.Time `json:"ended"`
}
