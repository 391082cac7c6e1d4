// Package connect finds the agent of a call and joins it, in one of three ways:
// a worker on NATS answers our offer ([NATS]), an HTTP server does ([HTTP]), or
// the agent brings an offer of its own to the waiting call, or before any call
// came, to stand by ([DialIn]).
//
// Every way speaks SDP once each way, with all candidates in it, and leaves a
// connected [patchbay/media/peer.Peer]. What an agent learns of the caller is
// in [Invitation]: claims of the caller, marked untrusted unless the agent's
// owner opted in, and left out altogether where the agent wants none.
//
// HTTP servers speak one of five dialects, a file each: json (ours), openai,
// pipecat, fastrtc and whip.
//
// It refuses other dialects, redirects, answers beyond
// [MaxAnswer], addresses that the dial guard forbids, and more than
// [MaxWaiting] calls that wait for agents to dial in, more than [MaxStandby]
// sessions that stand by. Errors never name a
// secret, a URL's path or query, or SDP.
package connect
