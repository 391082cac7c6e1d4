// Package media is the door of audio: a [Node] carries the RTP of calls between
// carriers and agents, one bridge per call.
//
// It decides which UDP port a call gets, which codecs an agent is offered,
// which source may speak for the carrier (see [patchbay/media/rtp.Latch]), when
// silence is sent for an agent that paused, and when a carrier has gone.
// It passes audio through and never transcodes: the carrier is answered with
// the codec that its agent chose from the carrier's own offer. Of a call that we
// place it is the other way round: the agent gets what the carrier chose.
//
// It refuses a call when the node is full or has no free port (503), when the
// carrier and the agent have no codec in common (488), and when nobody takes
// the call (480). It never sends a packet to an address that neither the
// carrier's SDP names nor the latch has validated.
//
// The agent's side is known only by the interfaces [Connector] and [AgentLeg];
// media/connect and media/peer implement them. [Node.Couple] puts the carrier of
// another bridge there.
package media
