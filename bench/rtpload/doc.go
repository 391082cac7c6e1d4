// Package rtpload sends RTP of many calls, 50 packets a second each, PCMU of
// 20 ms, from one socket a side, and counts what comes back. Payloads carry
// the call's number and the time they left, so that delay is measured on one
// clock.
package rtpload
