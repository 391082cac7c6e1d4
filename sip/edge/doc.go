// Package edge is where carriers' SIP arrives and where our answers leave
// (design D2). It keeps nothing that a restart could lose: connections,
// bounded queues and pending questions, all disposable.
//
// It decides which part of the cluster a message belongs to: initial INVITEs
// and CANCELs go by the address that was dialled, everything else by the token
// in the Request-URI, the To-tag or the Via branch. It answers by itself what
// needs no call: OPTIONS, methods nobody serves, malformed messages, dialogs
// that do not exist, and every rejection, statelessly (RFC 3261 8.2.7) with a
// To-tag that lets any edge drop the ACK.
//
// It refuses: messages over 65,507 bytes (UDP) or 65,536 (all others), more
// connections than configured, more pending INVITEs than configured (503),
// peers that take too long over a handshake or a message, and pages of origins
// that may not call. UDP, TCP, TLS, WS and WSS are served: whatever a
// connection is made of, it is a [link] that reads whole messages and hands
// them to Edge.deliver, where one guard reads them.
package edge
