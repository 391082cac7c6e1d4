// Package caller is a small SIP caller: it places one call, sends a tone,
// listens, and reports what happened and when. `patchbay call`, the first call
// of `make run` and the end-to-end tests use it.
//
// It speaks UDP, TCP, TLS, WS and WSS, and may send each message of its call to
// another edge of a cluster.
//
// It is a test instrument, not a softphone: one dialog, one audio stream, no
// registration, no credentials.
package caller
