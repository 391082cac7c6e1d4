// Package journal turns calls into records, exactly one each (design D9).
//
// It decides whose word counts about a call, and when nothing is left to do
// for it. A call's way has four steps, each of which may be the last one of
// its node: an entry in the bucket calls when the call begins; a tombstone in
// its place when it ends, written only over the entry that its owner knows;
// the record on the stream RECORDS, taken only if the call has none, its line in
// the index of its tenant's records, likewise, and the event of it; and the end
// of the tombstone. Whoever finds a tombstone may go on from there, at the
// same time as others: the stream takes the first and refuses the rest.
//
// It refuses the record of a node whose call another has taken over (a later
// epoch), and never takes silence for an answer: what is not acknowledged is
// tried again.
package journal
