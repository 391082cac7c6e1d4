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
	case f.Joined.IsZero() && f.unheard():
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

// unheard reports that nobody answered in time: the carrier said so, or we gave
// up, which it confirms with a 487.
func (f *Facts) unheard() bool {
	return f.Status == 408 || f.Cause.Word == call.CauseCalledNoAnswer.Word
}

// system reports causes that are a node's and neither side's.
func system(c call.Cause) bool {
	switch c.Word {
	case call.CauseInternal.Word, call.CauseNodeLost.Word, call.CauseDrain.Word, call.CauseOverload.Word, call.CauseNoPorts.Word:
		return true
	}
	return false
}

// termination is the word for how the SIP side ended (docs/apis.md, Events).
func (f *Facts) termination() string {
	if !f.Joined.IsZero() {
		switch f.endReason() {
		case EndHangup, EndAgent, EndTimeout:
			return SIPNormal
		}
		return SIPUnknown
	}
	if f.unheard() {
		return SIPTimeout
	}
	if word, ok := terminations[f.Status]; ok {
		return word
	}
	if f.Status/100 == 5 {
		return SIPUnavailable
	}
	return SIPUnknown
}

// terminations are the words for calls that were not answered, by status.
var terminations = map[int]string{
	486: SIPBusy, 600: SIPBusy, 487: SIPCanceled, 404: SIPInvalidNumber, 484: SIPInvalidNumber, 604: SIPInvalidNumber,
	480: SIPUnavailable, 410: SIPUnavailable, 603: SIPRejected, 403: SIPRejected,
}
