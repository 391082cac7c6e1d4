package peer

import "github.com/pion/webrtc/v4"

// maxNudges bounds how often one call's ICE is hurried.
const maxNudges = 8

// isAnswer reports whether a packet is a STUN Binding success response
// (RFC 8489 section 5).
func isAnswer(b []byte) bool { return len(b) >= 2 && b[0] == 0x01 && b[1] == 0x01 }

// nudge makes the library look at its ICE pairs now. It nominates a pair that
// has just been answered only when the agent's own check comes in, and else at
// its next tick, up to 200 ms later: each call to an agent with ICE-lite, which
// never checks, would wait that long. A new remote candidate makes it look; this
// one is of TCP, so no pair is made with it and nothing is ever sent to it.
func (p *Peer) nudge() {
	n := p.nudges.Add(1)
	if n > maxNudges || p.sock.remote.Load() != nil {
		return
	}
	go p.hurry(n)
}

// hurry adds the candidate apart from its caller, the reader of the socket:
// who closes the library waits for the reader, and holds the lock that is
// needed here.
func (p *Peer) hurry(n int32) {
	defer func() {
		if recover() != nil {
			p.sock.panics("media.peer")
		}
	}()
	_ = p.ice.AddRemoteCandidate(&webrtc.ICECandidate{ // it only fails once ICE is closed
		Foundation: "nudge", Priority: 1, Address: "192.0.2.1", Port: uint16(n), // RFC 5737
		Protocol: webrtc.ICEProtocolTCP, TCPType: "passive", Typ: webrtc.ICECandidateTypeHost, Component: 1,
	})
}
