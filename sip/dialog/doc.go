// Package dialog is the SIP side of one call, as pure state machines: the [UAS]
// of a call that a carrier begins, and the [UAC] of one that we begin (RFC
// 3261). They read the messages that edges hand on, answer them, keep the tags,
// CSeqs and the route set, and tell the call what they mean.
//
// They decide which response a message is owed, when copies of ours leave, and
// where requests of ours go. They do no I/O and know no clock: every method
// takes the time, every message leaves as a [call.Output], and Deadline says
// when to come back.
//
// A UAC has exactly one outcome: of all answers of its forks the first makes
// the dialog, every other is acknowledged and ended, and so is one that crosses
// its CANCEL. It answers who asks for credentials, and tries the addresses of
// its trunk one after the other.
//
// An answered call may be changed by the carrier's re-INVITE and UPDATE (RFC
// 3261 14.2, RFC 3311). The dialog answers what changes nothing and what comes
// at the wrong time (491, 500); the call says what to answer to the rest. Our
// description has another version whenever it says something else, and only
// then.
//
// What they refuse, always with a response: SDP that cannot be used (488, 400,
// 415; an answered call goes on); methods that are not served (405, REFER without a policy 603), Info
// packages (469) and bodies of INFO that hold no key (415); requests out of
// order (500); and tags of no dialog of ours (481). Redirections (3xx) are not
// followed.
//
// Session timers (RFC 4028) and reliable provisional responses (RFC 3262) are
// served in both roles.
package dialog
