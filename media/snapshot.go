package media

import (
	"encoding/json"
	"net/netip"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/media/rtp"
)

// stateVersion is the major version of a bridge's snapshot. Fields may be added
// within it; readers ignore those that they do not know.
const stateVersion = 1

// A state is what another node needs to carry a call's media on: where the
// carrier's RTP goes, both streams that we send, and the agent's leg, which
// describes itself. The adopter goes on ahead of a stream by the time that has
// passed, so that no key stream is used twice.
type state struct {
	V  int       `json:"v"`
	At time.Time `json:"at"` // of the streams' counts

	// The carrier's leg.
	Local      netip.AddrPort `json:"local"`           // our RTP as advertised
	Target     netip.AddrPort `json:"target"`          // where the carrier's RTP goes
	RTCPTarget netip.AddrPort `json:"rtcp_target"`     // and its RTCP
	Latched    bool           `json:"latched"`         // Target has sent RTP itself
	Signal     netip.Addr     `json:"signal"`          // source of the carrier's SIP: plausible for RTP
	Answer     call.Answer    `json:"answer"`          // as the carrier has it
	ToCarrier  rtp.Stream     `json:"to_carrier"`      // what we send
	Heard      bool           `json:"heard,omitempty"` // the carrier has sent audio

	// The agent's leg.
	Agent    call.Codec      `json:"agent_codec"`
	Digits   *call.Codec     `json:"agent_dtmf,omitempty"`
	Fill     bool            `json:"fill,omitempty"` // silence is sent for an agent that pauses
	ToAgent  rtp.Stream      `json:"to_agent"`
	AgentLeg json.RawMessage `json:"agent_leg,omitempty"` // nil: cannot be carried on, the agent is asked anew
}

// A snapshotter is an agent's leg that another node can carry on.
type snapshotter interface{ Snapshot() json.RawMessage }

// Snapshot implements [actors.Bridge].
func (b *bridge) Snapshot() json.RawMessage {
	b.mu.Lock()
	carrier, leg := b.carrier, b.leg
	b.mu.Unlock()
	if carrier == nil {
		return nil
	}
	s := carrier.snapshot(b.node.now())
	s.V, s.At, s.Local = stateVersion, time.Now().UTC(), b.ports.address
	if l, ok := leg.(snapshotter); ok {
		s.AgentLeg = l.Snapshot()
	}
	raw, err := json.Marshal(s)
	if err != nil { // strings and numbers only: it cannot be
		return nil
	}
	return raw
}

// snapshot is the part that the carrier's leg knows.
func (l *carrierLeg) snapshot(now time.Duration) state {
	l.in.mu.Lock()
	s := state{Signal: l.terms.signal, Answer: l.terms.answer}
	s.ToAgent, s.RTCPTarget, s.Heard = l.in.rw.Stream(now), l.in.rtcpTarget, l.in.heardRTP
	_, s.Latched = l.in.latch.Source()
	s.Agent, s.Digits, s.Fill = l.in.terms.agent, l.in.terms.agentDTMF, l.in.terms.fill
	l.in.mu.Unlock()
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	s.Target, s.ToCarrier = l.out.target, l.out.rw.Stream(now)
	return s
}

// A farewell is a connector that reaches an agent by another way than its leg.
type farewell interface {
	Farewell(f actors.Farewell, event []byte)
}

// Farewell implements [actors.Switchboard]. Agents that only their leg reaches
// see that break.
func (n *Node) Farewell(f actors.Farewell) {
	c, ok := n.connectors[f.Agent.WebRTC.Connector].(farewell)
	if !ok {
		return
	}
	req := actors.BridgeRequest{ID: f.ID}
	c.Farewell(f, notification(req, actors.Asked{Agent: f.Agent}, call.EventEnded, call.Event{Cause: f.Cause}))
}
