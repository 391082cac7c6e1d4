package actors

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// What an actor may be told by the rest of the node.
var (
	// ErrBusy says a mailbox or a node is full; the carrier is owed 503 with Retry-After.
	ErrBusy = errors.New("actors: full")
	// ErrDraining says the node takes no new calls.
	ErrDraining = errors.New("actors: draining")
	// ErrNotMine says this node does not carry the call.
	ErrNotMine = errors.New("actors: not my call")
)

// ---- Ports of the endpoint actors ----

// A Store reads the configuration of endpoints, accounts and agents. Its
// methods return endpoint.ErrNotFound, or a wrapped transport error. They
// answer from a cache where they can.
type Store interface {
	Endpoint(ctx context.Context, key endpoint.Key, partition uint8) (endpoint.Endpoint, error)
	Account(ctx context.Context, tenant string) (endpoint.Account, error)
	Agent(ctx context.Context, tenant, id string) (endpoint.Agent, error)
	// Domain returns the tenant at whose domain the address of that key lies.
	Domain(ctx context.Context, key endpoint.Key, partition uint8) (tenant string, err error)
	// Host returns the label of the account whose own domain has the address of
	// that key.
	Host(ctx context.Context, key endpoint.Key, partition uint8) (label string, err error)
	// Number returns the claims on the number whose address has that key.
	Number(ctx context.Context, key endpoint.Key, partition uint8) (endpoint.Claims, error)
}

// A Fallback asks owners' webhooks. Ask blocks until the webhook has answered,
// its own time is over, or ctx ends. Its error is a [*WebhookError] where the
// owner's side is to blame.
type Fallback interface {
	Ask(ctx context.Context, req FallbackRequest) (endpoint.Answer, error)
}

// A FallbackRequest is one question to a webhook. Two with the same Call are
// one to its owner.
type FallbackRequest struct {
	Call    call.ID
	Tenant  string
	Handler endpoint.FallbackHandler // secrets still sealed
	Body    []byte                   // endpoint.Question.Body
}

// A WebhookError says why a webhook did not decide. Why holds no secret: it
// reaches logs.
type WebhookError struct {
	Reason endpoint.Reason // webhook_timeout, webhook_failed, webhook_bad_reply or webhook_suspended
	Why    string
}

// Error implements error.
func (e *WebhookError) Error() string { return string(e.Reason) + ": " + e.Why }

// An Intake hands accepted INVITEs, and CANCELs, to the media node that their
// transaction key names. done is called once, from any goroutine.
type Intake interface {
	Offer(ctx context.Context, job Job, done func(Taken, error))
}

// A Job is one message for the call actor of a transaction: an accepted
// initial INVITE, or a CANCEL of one.
type Job struct {
	V          int                 `json:"v"`
	Cancel     bool                `json:"cancel,omitempty"`
	Known      bool                `json:"known,omitempty"` // only a copy: no call begins with it, 481
	Key        call.TransactionKey `json:"txkey"`
	Branch     string              `json:"branch"` // top Via branch
	Tenant     string              `json:"tenant,omitempty"`
	Endpoint   endpoint.Key        `json:"endpoint,omitempty"`
	Project    endpoint.Key        `json:"project,omitempty"`  // counts the call too: endpoint.ProjectKey
	Agent      *endpoint.Agent     `json:"agent,omitempty"`    // who answers; secrets still sealed
	Failover   []endpoint.Agent    `json:"failover,omitempty"` // asked in this order where Agent does not take the call
	Consult    *Consult            `json:"consult,omitempty"`  // the owner's webhook says who answers: at once, or where Agent and Failover do not
	Codecs     []string            `json:"codecs,omitempty"`   // that the endpoint's owner allows, by name; empty: all
	DTMF       endpoint.KeyPolicy  `json:"dtmf,omitzero"`      // how keys go to the carrier and come from it
	DecisionID string              `json:"decision_id,omitempty"`
	Refers     bool                `json:"refers,omitempty"`    // Endpoint has a policy for REFERs of its carriers
	Partition  *uint8              `json:"partition,omitempty"` // of Endpoint; nil: of a call that we place
	// Early is what the carrier hears before the answer; nil: nothing of ours.
	Early *endpoint.EarlyPolicy `json:"early,omitempty"`
	// Transfer is how the call may be transferred by another call of ours.
	Transfer *endpoint.TransferPolicy `json:"transfer,omitempty"`
	Dial     *Dial                    `json:"dial,omitempty"` // a call that we place: there is no INVITE in Packet
	Packet   call.Packet              `json:"-"`              // travels beside the JSON, as bytes
}

// A Consult says that the call waits for a ruling, and where to ask for it.
type Consult struct {
	Partition       uint8 `json:"partition"`
	WithinMs        int64 `json:"within_ms"`                   // longest wait for the ruling, the webhook's own limit included
	CallerIDTrusted *bool `json:"caller_id_trusted,omitempty"` // the endpoint's word; nil: the agent's
}

// A Question is what a media node asks a decider about a call that it has:
// who answers. It may be asked twice, of two deciders.
type Question struct {
	V          int           `json:"v"`
	Call       call.ID       `json:"call_id"`
	Tenant     string        `json:"tenant"`
	Endpoint   endpoint.Key  `json:"endpoint"`
	Partition  uint8         `json:"partition"`
	DecisionID string        `json:"decision_id"`
	From       call.Party    `json:"from"`
	To         call.Party    `json:"to"` // a bearer slug is redacted
	Headers    []call.Header `json:"headers,omitempty"`
	// Takeover asks something else: whether who sent an INVITE with Replaces may
	// take the call over. Nothing is asked of the owner's webhook.
	Takeover *endpoint.Takeover `json:"takeover,omitempty"`
	// Referral asks whether the target of a carrier's REFER may be called, and how.
	Referral *endpoint.Referral `json:"referral,omitempty"`
}

// A Ruling is the answer to a Question: an agent, or a status and why.
type Ruling struct {
	V        int                `json:"v"`
	Agent    *endpoint.Agent    `json:"agent,omitempty"`    // nil: refused
	Failover []endpoint.Agent   `json:"failover,omitempty"` // as of a Job
	Context  json.RawMessage    `json:"context,omitempty"`  // of the webhook, for the agent
	Metadata json.RawMessage    `json:"metadata,omitempty"` // likewise
	Settings json.RawMessage    `json:"settings,omitempty"` // likewise
	Terms    endpoint.CallTerms `json:"terms,omitzero"`     // of the webhook, for the call itself
	Status   int                `json:"status,omitempty"`   // of a refusal
	Reason   endpoint.Reason    `json:"reason,omitempty"`   // of a refusal
	Admitted bool               `json:"admitted,omitempty"` // the Takeover, or the Referral, may be
	Dial     *Dial              `json:"dial,omitempty"`     // of a Referral: how its target is called
}

// Taken is what became of a Job.
type Taken struct {
	V      int     `json:"v"`
	ID     call.ID `json:"call_id,omitempty"`
	New    bool    `json:"new,omitempty"`    // a call began with this job
	Status int     `json:"status,omitempty"` // not taken: answer the request with this, statelessly
	Text   string  `json:"text,omitempty"`   // why the INVITE cannot become a call, for the carrier
	Node   string  `json:"node,omitempty"`
}

// Load answers how many calls an endpoint has now, from what media nodes report.
type Load interface {
	// Active returns the distinct ids of live calls of an endpoint.
	Active(key endpoint.Key) map[call.ID]struct{}
}

// ---- Ports of the call actors ----

// Dialogs makes the SIP side of a new call out of its INVITE.
type Dialogs interface {
	// New reads the INVITE in p and returns its dialog. An error wraps
	// call.Refusal: the INVITE cannot become a call, and the status is owed.
	New(now time.Time, id call.ID, p call.Packet) (Dialog, call.Invitation, error)
	// Restore makes the dialog of a call that another node carried: state is what
	// its Snapshot said, p its INVITE where that has no final response.
	Restore(id call.ID, state json.RawMessage, p call.Packet) (Dialog, error)
	// Call makes the dialog of a call that we begin, and what its INVITE will
	// say of it, without a word sent. An error is a [*call.WrongOutgoing].
	Call(id call.ID, out call.Outgoing) (Caller, call.Invitation, error)
}

// A Caller is the dialog of a call that we begin. What it tells the call of its
// INVITE are any number of CarrierRings, then exactly one of CarrierAnswered
// and CarrierFailed; after an answer it is as any Dialog. Respond does nothing.
//
// Bye before the final response gives the call up: CANCEL, once a provisional
// response has come (RFC 3261 9.1). CarrierFailed follows all the same: when
// the final response has come, or 64*T1 have passed; an answer that crosses the
// CANCEL is acknowledged and ended. A call that was given up needs no ByeDone.
type Caller interface {
	Dialog
	// Invite sends the INVITE with our offer. It is called once.
	Invite(now time.Time, offer call.Offer) []call.Output
	// Unsent says that no edge could send the INVITE (Transmission.Lost). It
	// counts as a 503 (RFC 3261 8.1.3.1), where nothing was heard yet: the next
	// of the call's hops is tried, or the call fails.
	Unsent(now time.Time) []call.Output
	// Heard reports that the carrier has said anything to the INVITE, a 100
	// among it: before that, another address of its trunk may be tried.
	Heard() bool
}

// A Dialog is the SIP side of one call: its transactions, tags, CSeqs and route
// set. It is a pure state machine: no I/O, no clock, one caller at a time.
type Dialog interface {
	// Receive takes a message that belongs to the dialog: a retransmitted
	// INVITE, CANCEL, ACK, BYE, other in-dialog requests, or a response to a
	// request of ours.
	Receive(now time.Time, p call.Packet) []call.Output
	// Respond answers the INVITE. A second final response is ignored.
	Respond(now time.Time, r call.Response) []call.Output
	// AnswerOffer answers the request that CarrierOffered told of, which is done
	// before anything else is asked of the dialog.
	AnswerOffer(now time.Time, r call.Response) []call.Output
	// Bye ends an answered dialog. Before the ACK it waits for it, at most
	// 64*T1 (RFC 3261 15).
	Bye(now time.Time, cause call.Cause) []call.Output
	// Wake is called at Deadline.
	Wake(now time.Time) []call.Output
	// Deadline is when Wake wants to be called next; zero: not at all.
	Deadline() time.Time
	// Done reports that every transaction has ended and nothing of the dialog
	// need be kept, not even to answer retransmissions.
	Done() bool
	// Snapshot is all that another node needs to go on with the dialog; nil when
	// it is over.
	Snapshot() json.RawMessage
	// Revision changes whenever what Snapshot says does.
	Revision() uint64
}

// Rulings asks deciders what the owner of a call's endpoint decided.
type Rulings interface {
	// Ask calls done once, from any goroutine, unless stop is called first.
	// Where no decider answers, the ruling is 503.
	Ask(q Question, done func(Ruling)) (stop func())
}

// A Wire sends SIP messages out through an edge. It never blocks; a message
// that cannot be sent is counted and lost, as on any network.
type Wire interface {
	Transmit(tx call.Transmission)
}

// A Switchboard joins carriers' media with agents.
type Switchboard interface {
	// Open reserves a port for the carrier and looks for the agent, without
	// blocking. Everything that follows is told to post: EarlyReady, where there
	// is to be a ringing tone and the carrier can hear one, AgentChosen, then
	// AgentJoined or AgentFailed, later FirstRTP, Digit, MediaTimeout,
	// AgentLeft. After AgentFailed and AgentLeft the bridge waits to be asked
	// for another agent, or to be closed. post never blocks and may be called
	// from any goroutine.
	Open(req BridgeRequest, post func(call.Event)) Bridge
	// Reserve opens the bridge of a call that we place, with a port for its
	// carrier and no agent, without blocking: CarrierReady brings the offer, or
	// AgentFailed says why there is none.
	Reserve(req BridgeRequest, post func(call.Event)) Bridge
	// Farewell tells an agent that its call ended with the node that carried it,
	// where there is another way to it than that node. It does not block.
	Farewell(f Farewell)
}

// A Farewell is what an agent is told of a call that has no bridge any more.
type Farewell struct {
	ID     call.ID
	Agent  endpoint.Agent
	Worker string // that took the call; "": none, or it has no name
	Cause  call.Cause
}

// A BridgeRequest is one call that wants an agent.
type BridgeRequest struct {
	ID         call.ID
	Tenant     string
	Endpoint   endpoint.Key
	Asked      Asked // the first agent
	Invitation call.Invitation
	Codecs     []string // the endpoint's media policy, or what a carrier is offered, by name; empty: all
	DTMF       endpoint.KeyPolicy
	Outbound   bool // we call the carrier
	// Ringback is the ringing tone that the carrier hears until the answer; "":
	// none.
	Ringback string
}

// A Bridge is one call's media.
type Bridge interface {
	// Notify tells the agent about the call: call.started, dtmf, call.ended.
	Notify(name string, ev call.Event)
	// Ask looks for another agent and lets the one before go. It does not block;
	// what follows is as after Open. The carrier of an answered call hears a
	// comfort tone meanwhile, and the agent must take the call's codec.
	Ask(next Asked)
	// Join takes the answer of a carrier that we call to our offer. It may be
	// taken again before Answered, where early media came from elsewhere. Until
	// Answered the carrier is heard and sent nothing.
	Join(carrier call.Answer)
	// Update takes what carrier and we have agreed on anew: addresses, numbers of
	// the call's codec, directions. A carrier on hold is sent no audio, and its
	// silence does not count.
	Update(agreed call.Agreement)
	// Press sends keys, and w for a pause, as tones in the audio. DigitsUnsent
	// says where that cannot be.
	Press(keys string)
	// Early says that the carrier has been told of our side before the answer: it
	// hears its ringing tone, or the agent, which may now answer or refuse.
	Early()
	// Answered says that the carrier has our answer, or we have its: silence
	// counts from here.
	Answered()
	// Quality returns what was measured so far.
	Quality() call.Quality
	// Snapshot is all that another node needs to carry the media on; nil before
	// an agent has joined.
	Snapshot() json.RawMessage
	// Close frees ports and leaves the agent. It returns at once and may be
	// called twice.
	Close(cause call.Cause)
}

// A Ledger takes what calls leave behind, without blocking.
type Ledger interface {
	// Event takes an entry of a call's history.
	Event(tenant string, ev CallEvent)
	// Keep takes what is to be known of a live call if the node dies: at its
	// beginning, and again when that changes. Only the latest counts.
	Keep(s *Snapshot)
	// Record takes the record of a call that is over.
	Record(rec call.Record)
}

// A CallEvent is one entry of a call's history, as it is published and stored.
type CallEvent struct {
	V        int            `json:"v"`
	ID       string         `json:"id"` // <call id>.<seq>: unique, for deduplication
	Call     call.ID        `json:"call_id"`
	Seq      uint64         `json:"seq"`
	Type     string         `json:"type"` // call.started, call.answered, dtmf, call.ended, call.rejected, ...
	At       time.Time      `json:"at"`
	Tenant   string         `json:"tenant"`
	Endpoint endpoint.Key   `json:"endpoint"`
	Data     map[string]any `json:"data,omitempty"`
	Facts    *CallFacts     `json:"facts,omitempty"` // of the call, as it then was; nil: it became none
}
