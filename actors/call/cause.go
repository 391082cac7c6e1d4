package call

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
	CauseInternal      = Cause{127, "internal"}       // a fault of ours
	CauseOverload      = Cause{42, "overload"}        // a node or the cluster is full
	CauseAgentHangup   = Cause{16, "agent_hangup"}    // by the agent's command or by leaving
	CauseByeUnanswered = Cause{102, "bye_unanswered"} // our BYE was never answered
	CauseMergedRequest = Cause{127, "merged_request"} // 482
)
