// Package peer is the agent's leg of a call: one WebRTC peer connection on one
// UDP port of its own, carrying one audio stream and, if wanted, one data
// channel.
//
// A [Stack] holds what all peers of a node share: the certificate, the port
// range, the local addresses. A [Peer] offers to an agent ([Peer.Offer],
// [Peer.Accept]) with full ICE in the controlling role, or answers an agent
// that dialled in ([Peer.AnswerTo]) with ICE-lite. The WebRTC library does SDP,
// ICE, DTLS and SCTP. Audio takes a shorter way: the tap reads the SRTP keys
// out of the DTLS handshake, and decrypts and encrypts packets right at the
// socket, in the goroutine that read or wrote them. Where keys are missing, or
// config.Media.SRTPTap is off, audio goes through the library's tracks.
//
// It refuses answers without a codec of the offer, payloads larger than
// [MaxMessage] on the data channel, and commands beyond [CommandsPerSecond].
// It accepts RTP from the selected ICE pair's remote address only, and only
// with a valid authentication tag. Keys stay in memory.
package peer
