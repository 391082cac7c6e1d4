// Package caller is a small SIP caller: it places one call, sends a tone,
// listens, and reports what happened and when. `patchbay call`, the first call
// of `make run` and the end-to-end tests use it.
//
// It is a test instrument, not a softphone: one dialog, one audio stream, no
// registration, no credentials, no TLS.
package caller
