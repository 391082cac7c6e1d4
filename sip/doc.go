// Package sip is the carriers' door. Its parts are packages of their own:
//
//   - wire guards, frames, parses and writes messages; the only user of sipgo's parser
//   - token signs what routes a dialog's messages: our tags, Contacts and Via branches
//   - edge listens, routes and answers statelessly; it keeps nothing a restart could lose
//   - dialog is the SIP side of one call, whoever begins it, as a pure state machine
//   - sdp reads offers and answers leniently and writes its own strictly
package sip
