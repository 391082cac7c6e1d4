// Package webhook speaks to owners' webhooks. It asks those that decide what
// becomes of a call, in the contract of Ultravox's fallback handler: one signed
// POST, one JSON reply. It posts events to those that hear of them, and holds
// the signatures of each kind.
//
// It decides whether a webhook may be asked at all, and what its silence, its
// errors and its reply mean. It refuses addresses that dialguard forbids, any
// redirect, certificates that do not verify, replies beyond 64 KiB or beyond
// the handler's time, and for a while targets that have failed again and
// again.
package webhook
