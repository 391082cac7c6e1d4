// Package dialog is the SIP side of one call: the UAS of RFC 3261 as a pure
// state machine. It reads the messages that edges hand on, answers them, keeps
// the tags, CSeqs and the route set, and tells the call what they mean.
//
// It decides which response a message is owed, when copies of ours leave, and
// where requests of ours go. It does no I/O and knows no clock: every method
// takes the time, every message leaves as a [call.Output], and [UAS.Deadline]
// says when to come back.
//
// What it refuses, always with a response: INVITEs without SDP and SDP that
// cannot be used (488, 400, 415); changes of an established call by re-INVITE
// (488; the call goes on); methods that are not served (405); requests out of
// order (500); and tags of no dialog of ours (481).
package dialog
