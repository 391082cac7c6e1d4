package call

import "time"

// A Cause is why a call ended or failed: a Q.850 number for the Reason header
// (RFC 3326) and a stable word for events, records and metrics.
type Cause struct {
	Q850 int    `json:"q850"`
	Word string `json:"word"`
}

// Causes. Words never change.
var (
	CauseNormal        = Cause{16, "normal_clearing"}
	CauseCancelled     = Cause{16, "cancelled"}
	CauseNoAgent       = Cause{18, "no_agent"}        // nobody took the call in time
	CauseAgentBusy     = Cause{17, "agent_busy"}      // every agent asked has no room
	CauseAgentFailed   = Cause{41, "agent_failed"}    // the agent answered with an error
	CauseAgentLost     = Cause{41, "agent_lost"}      // the agent leg broke
	CauseNoPorts       = Cause{34, "no_ports"}        // no RTP port is free
	CauseNoCodec       = Cause{88, "no_common_codec"} // 488
	CauseBadOffer      = Cause{88, "bad_offer"}       // SDP that cannot be used
	CauseNoAck         = Cause{102, "no_ack"}         // 200 never acknowledged
	CauseRTPTimeout    = Cause{102, "rtp_timeout"}    // the carrier went silent
	CauseNoFirstRTP    = Cause{102, "no_first_rtp"}   // the carrier never sent audio
	CauseMaxDuration   = Cause{102, "max_duration"}   // the longest allowed call
	CauseOperator      = Cause{16, "operator_hangup"} // by the control API
	CauseDrain         = Cause{41, "node_drained"}    // the node went down before the call ended
	CauseNodeLost      = Cause{41, "node_lost"}       // the node died with the call
	CauseInternal      = Cause{127, "internal"}       // a fault of ours
	CauseOverload      = Cause{42, "overload"}        // a node or the cluster is full
	CauseAgentHangup   = Cause{16, "agent_hangup"}    // by the agent's command or by leaving
	CauseByeUnanswered = Cause{102, "bye_unanswered"} // our BYE was never answered
	CauseMergedRequest = Cause{127, "merged_request"} // 482
)

// CauseSessionExpired is a carrier that did not say within the session timer
// that it is still there (RFC 4028 10), or knows nothing of the call any more.
var CauseSessionExpired = Cause{102, "session_expired"}

// CauseNoPrack is a carrier that asked for a reliable provisional response and
// never confirmed it (RFC 3262 3).
var CauseNoPrack = Cause{102, "no_prack"}

// Causes of calls whose agent is heard before the answer: one that refuses, whose
// Q.850 number follows its status ([CauseRejected]), and one that never says what
// becomes of the call.
var (
	CauseAgentRejected = Cause{21, "agent_rejected"}
	CauseEarlyLimit    = Cause{102, "early_media_limit"}
)

// CauseWebhookTimeout is an owner's webhook that did not decide in time.
var CauseWebhookTimeout = Cause{102, "webhook_timeout"}

// CauseTransferred is a call that ended because its carrier has been joined
// with somebody else.
var CauseTransferred = Cause{16, "transferred"}

// CauseCarrier is a carrier that ended the call with another reason than
// normal clearing; its own Q.850 number replaces this one.
var CauseCarrier = Cause{31, "carrier_cleared"}

// Causes of a call that we began and nobody answered, as [CauseOfStatus]
// finds them.
var (
	CauseCalledBusy        = Cause{17, "busy"}
	CauseCalledNoAnswer    = Cause{19, "no_answer"}
	CauseCalledUnavailable = Cause{20, "unavailable"}
	CauseCalledDeclined    = Cause{21, "declined"}
	CauseCalledRedirected  = Cause{23, "redirected"} // 3xx: not followed
	CauseCalledNotFound    = Cause{1, "not_found"}
	CauseCredentials       = Cause{21, "credentials_refused"} // the trunk did not take ours, or we have none
	CauseUnreachable       = Cause{38, "unreachable"}         // nothing could be sent, or nothing came back
	CauseCalledFailed      = Cause{41, "carrier_failed"}
	CauseBadAnswer         = Cause{88, "bad_answer"} // the carrier's SDP does not answer our offer
)

// CauseOfStatus is why a call failed whose INVITE got this final response
// (RFC 3398 8.2.6.1).
func CauseOfStatus(status int) Cause {
	switch status {
	case 486, 600:
		return CauseCalledBusy
	case 408, 487:
		return CauseCalledNoAnswer
	case 480:
		return CauseCalledUnavailable
	case 403, 603, 607, 608:
		return CauseCalledDeclined
	case 404, 410, 484, 485, 604:
		return CauseCalledNotFound
	case 401, 407:
		return CauseCredentials
	case 415, 488, 606:
		return CauseNoCodec
	}
	if status >= 300 && status < 400 {
		return CauseCalledRedirected
	}
	return CauseCalledFailed
}

// carrierCause is the cause of a BYE or CANCEL: usual, unless its Reason
// header brought a number of its own.
func carrierCause(told, usual Cause) Cause {
	switch {
	case told.Q850 == 0 || told.Q850 == usual.Q850:
		return usual
	case usual == CauseCancelled:
		return Cause{told.Q850, CauseCancelled.Word}
	default:
		return Cause{told.Q850, CauseCarrier.Word}
	}
}

func orElse(c, otherwise Cause) Cause {
	if c.Word == "" {
		return otherwise
	}
	return c
}

// blame says who ended a call that ended for c.
func blame(c Cause) string {
	switch c.Word {
	case CauseOperator.Word:
		return ByOperator
	case CauseAgentRejected.Word, CauseAgentHangup.Word, CauseAgentFailed.Word, CauseAgentLost.Word, CauseNoCodec.Word:
		return ByAgent
	default:
		return ByNode
	}
}

// statusOf is the SIP status owed for a call that fails before its answer.
// 503 speaks for a node or the cluster only (design D10).
func statusOf(c Cause) int {
	switch c.Word {
	case CauseNoCodec.Word, CauseBadOffer.Word:
		return 488
	case CauseNoPorts.Word, CauseOverload.Word, CauseDrain.Word:
		return 503
	case CauseInternal.Word:
		return 500
	case CauseMergedRequest.Word:
		return 482
	case CauseNoPrack.Word:
		return 504
	default:
		return 480
	}
}

// maxRetryAfter bounds the pause that a 503 asks for, in seconds. A carrier
// may stop sending to us for that long, so it is short, and it differs from
// call to call, so that they do not come back at once.
const maxRetryAfter = 4

func (c *Call) retryAfter() time.Duration {
	return time.Duration(1+c.params.ID%maxRetryAfter) * time.Second
}
