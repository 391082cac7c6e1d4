// Package locate finds where a SIP request goes: it turns the host of a URI into
// addresses to try, in order (RFC 3263 4).
//
// It decides which transport is used where the URI names none, asks for NAPTR,
// SRV, AAAA and A records as far as that needs, and orders servers by priority
// and by chance of weight (RFC 2782). What was found is kept for its TTL, in
// bounded memory; while no name server answers, what was found before serves on.
// It never asks for an address, and tries nothing: who sends goes through the
// hops in order (4.3).
//
// It refuses names whose services are declared not available, and URIs that ask
// for a transport that has no way out (WebSocket).
package locate
