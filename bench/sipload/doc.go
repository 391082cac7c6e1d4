// Package sipload offers SIP calls over UDP at a fixed rate, whatever becomes
// of them (an open loop), and counts what was answered and how soon.
//
// A call that is to be refused ends with the ACK of its refusal; one that is to
// be answered is acknowledged, held, and ended by BYE. Nothing is sent twice: a
// call without a final response after 500 ms, when a carrier would repeat its
// INVITE, is late, and one without any is lost.
package sipload
