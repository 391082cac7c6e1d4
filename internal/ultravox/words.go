package ultravox

import (
	"patchbay/actors/call"
)

// Why a call ended, as Ultravox says it.
const (
	EndUnjoined   = "unjoined"         // it was never answered
	EndHangup     = "hangup"           // by the other side, or by the API
	EndAgent      = "agent_hangup"     // by the agent
	EndTimeout    = "timeout"          // nobody answered in time, or the longest duration
	EndConnection = "connection_error" // a leg broke
	EndSystem     = "system_error"     // a node's fault
)

// How the SIP side of a call ended, as Ultravox says it.
const (
	SIPNormal        = "SIP_TERMINATION_NORMAL"
	SIPInvalidNumber = "SIP_TERMINATION_INVALID_NUMBER"
	SIPTimeout       = "SIP_TERMINATION_TIMEOUT"
	SIPUnavailable   = "SIP_TERMINATION_DESTINATION_UNAVAILABLE"
	SIPBusy          = "SIP_TERMINATION_BUSY"
	SIPCanceled      = "SIP_TERMINATION_CANCELED"
	SIPRejected      = "SIP_TERMINATION_REJECTED"
	SIPUnknown       = "SIP_TERMINATION_UNKNOWN"
)

// endReason is the word for a call that is over.
func (f *Facts) endReason() string {
	switch {
	case system(f.Cause):
		return EndSystem
	case f.Joined.IsZero() && f.Status == 408:
		return EndTimeout
	case f.Joined.IsZero():
		return EndUnjoined
	}
	switch f.Cause.Word {
	case call.CauseMaxDuration.Word:
		return EndTimeout
	case call.CauseAgentHangup.Word:
		return EndAgent
	case call.CauseNormal.Word, call.CauseOperator.Word, call.CauseCarrier.Word, call.CauseCancelled.Word:
		return EndHangup
	}
	return EndConnection
}

// system reports causes that are a node's and neither side's.
func system(c call.Cause) bool {
	switch c.Word {
	case call.CauseInternal.Word, call.CauseNodeLost.Word, call.CauseDrain.Word, call.CauseOverload.Word, call.CauseNoPorts.Word:
		return true
	}
	return false
}

// termination is the word for how the SIP side ended (apis.md 3.3).
func (f *Facts) termination() string {
	if !f.Joined.IsZero() {
		switch f.endReason() {
		case EndHangup, EndAgent, EndTimeout:
			return SIPNormal
		}
		return SIPUnknown
	}
	switch status := f.Status; {
	case status == 486 || status == 600:
		return SIPBusy
	case status == 487:
		return SIPCanceled
	case status == 404 || status == 484 || status == 604:
		return SIPInvalidNumber
	case status == 408:
		return SIPTimeout
	case status == 480 || status == 410 || status >= 500 && status < 600:
		return SIPUnavailable
	case status == 603 || status == 403:
		return SIPRejected
	}
	return SIPUnknown
}
