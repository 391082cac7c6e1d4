// Package echoagent is an agent that says back what it hears: a worker on NATS
// with a WebRTC peer of the stock library, so that a call to it runs through
// everything that a call to a real agent does. The demo, `patchbay echo-agent`
// and tests use it; docs/agents.md describes what it speaks.
//
// It takes the offer's first codec of PCMU, PCMA, G722 and opus, and returns
// payloads byte for byte under an SSRC, sequence numbers and timestamps of its
// own, so that losses and reordering stay visible. Telephone events come back
// like audio. It refuses calls beyond [Options.MaxCalls] with 503.
package echoagent
