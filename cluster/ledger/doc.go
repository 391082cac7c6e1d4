// Package ledger takes what calls leave behind, events and records, and sees
// to it that JetStream gets it, whatever happens meanwhile (design D5, D9).
//
// Nothing here is on the path of a call: every way in returns at once. The
// ledger decides what waits where. While JetStream answers in time, what comes
// is published at once; once it does not, what comes goes to the spool on the
// node's own disk, and is replayed in order, under the same ids, when JetStream
// is back or the node starts anew. Records are on the disk (fsync) before they
// leave memory; events follow within a second.
//
// It refuses what has no room: events beyond its queue or the spool are lost
// and counted, the oldest first; a record only when both queue and spool are
// full of records, and then with an error in the log for each.
package ledger
