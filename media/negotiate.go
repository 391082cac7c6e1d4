package media

import (
	"context"
	"errors"
	"slices"
	"strings"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// passed are the codecs that go through untouched; others are never offered.
var passed = []string{"PCMU", "PCMA", "G722", "opus"}

// offered is what an agent may choose from: the carrier's codecs in the
// carrier's order, narrowed by the endpoint's policy and the agent's own list,
// and the telephone-events that fit one of them.
func offered(offer call.Offer, agent endpoint.Agent, policy []string) (codecs, dtmf []call.Codec) {
	for _, c := range offer.Codecs {
		if named(passed, c.Name) && allowed(policy, c.Name) && allowed(agent.WebRTC.Codecs, c.Name) {
			codecs = append(codecs, c)
		}
	}
	if !hears(agent.DTMF).RTP {
		return codecs, nil
	}
	for _, d := range offer.DTMF {
		if slices.ContainsFunc(codecs, func(c call.Codec) bool { return c.ClockRate == d.ClockRate }) {
			dtmf = append(dtmf, d)
		}
	}
	return codecs, dtmf
}

func allowed(list []string, name string) bool { return len(list) == 0 || named(list, name) }

func named(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
}

// hears is how an agent wants its digits: both ways where it does not say.
func hears(p endpoint.DTMFPolicy) endpoint.DTMFPolicy {
	if !p.RTP && !p.DataChannel {
		return endpoint.DTMFPolicy{RTP: true, DataChannel: true}
	}
	return p
}

// answerTo is the answer to a carrier whose agent chose a codec: the carrier's
// own payload number for it, telephone-event at its clock rate where that was
// offered, and the direction turned round. It returns ErrNoCodec where the
// agent chose what it was not offered.
func answerTo(offer call.Offer, codecs []call.Codec, chosen call.Codec) (call.Answer, error) {
	i := slices.IndexFunc(codecs, func(c call.Codec) bool {
		return strings.EqualFold(c.Name, chosen.Name) && c.ClockRate == chosen.ClockRate
	})
	if i < 0 {
		return call.Answer{}, ErrNoCodec
	}
	a := call.Answer{
		Codec:     codecs[i],
		Ptime:     20,
		RTCPMux:   offer.RTCPMux,
		Direction: offer.Direction.Mirror(),
	}
	for _, d := range offer.DTMF {
		if d.ClockRate == a.Codec.ClockRate {
			a.DTMF = &d
			break
		}
	}
	return a, nil
}

// errNoPorts says no RTP port is free; errNoOffer that the INVITE brought no
// usable offer; errFull that the node carries as many calls as it may.
var (
	errNoPorts     = errors.New("media: no RTP port is free")
	errNoOffer     = errors.New("media: the INVITE holds no usable offer")
	errFull        = errors.New("media: the node is full")
	errNoConnector = errors.New("media: the agent's connector is not served")
)

// failures says what is owed for each way not to get an agent. The first match
// counts.
var failures = []struct {
	err    error
	status int
	cause  call.Cause
}{
	{ErrNoAgent, 480, call.CauseNoAgent},
	{ErrAgentBusy, 480, call.CauseAgentBusy},
	{ErrAgentRefused, 480, call.CauseAgentFailed},
	{ErrAgentUnreachable, 480, call.CauseAgentFailed},
	{errNoConnector, 480, call.CauseAgentFailed},
	{ErrNoCodec, 488, call.CauseNoCodec},
	{errNoOffer, 488, call.CauseBadOffer},
	{errNoPorts, 503, call.CauseNoPorts},
	{errFull, 503, call.CauseOverload},
	{context.DeadlineExceeded, 480, call.CauseNoAgent},
}

// failed is the event for a call that got no agent.
func failed(err error) call.Event {
	for _, f := range failures {
		if errors.Is(err, f.err) {
			return call.Event{Kind: call.AgentFailed, Status: f.status, Cause: f.cause}
		}
	}
	return call.Event{Kind: call.AgentFailed, Status: 500, Cause: call.CauseInternal}
}
