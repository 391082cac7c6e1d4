// Package ultravox is the part of Ultravox's wire format that both the face of
// its API and the webhooks that follow it write: the call object, the bodies of
// events, ids, times, and the words for how a call ended.
//
// It renders what it is told and decides nothing about calls. It shows no
// secret: neither a password of an outgoing call nor a bearer slug is among
// what it can be told.
package ultravox
