// Package spool keeps what a node cannot publish yet on the node's own disk:
// events and records of calls, encrypted, in the order in which they came.
//
// It decides what makes room when it is full: the oldest events, never a
// record. It refuses a record that has no room, a directory that another
// process uses, and text that was changed or moved since it was written: that
// is skipped and counted.
//
// A spool is a directory of segments, one series for events and one for
// records. A segment is appended to by one process only and never opened again
// for writing. It begins with a head of 24 bytes: "PBSP", version, kind, id of
// the cluster key, a zero, and a salt of 16 bytes. HKDF (RFC 5869) makes the
// segment's key of the storage key and the salt. Each entry follows as the
// length of its sealed text (4 bytes, big endian) and that text: AES-256-GCM,
// with the entry's number as the nonce and the head as associated data, so that
// no entry can be moved or exchanged without being found out.
package spool
