// Package wire stands in front of everything that SIP peers send, and writes
// everything that they get.
//
// [Read] is one pass: a guard that decides whether octets are a message that can
// only be read one way, a normaliser that gives it one spelling, and an index of
// its header fields. What it refuses becomes a [Fault], which holds the status
// that the sender is owed and can write that answer, or says that nothing may be
// sent. What it lets through is a [Message]: its Raw can be read again, by any
// node, to the same result, and no header field in it can hide another.
//
// It decides from the message alone: no clock, no network, no configuration but
// [Limits]. It does not know slugs, tokens or dialogs. URIs are read by sipgo,
// behind a check that keeps from it what it misreads; this is the only package
// that imports it. In tests sipgo's whole parser is a second reader that must
// agree with the index.
//
// Nothing here prints a message whole: String methods and faults leave out user
// parts, which may be bearer slugs.
package wire
