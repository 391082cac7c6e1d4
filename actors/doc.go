// Package actors decides what becomes of calls and carries them: it runs the
// pure models of actors/endpoint and actors/call on bounded mailboxes.
//
// [Endpoints] decides on INVITEs, one loop per partition of addresses, and
// hands accepted ones to a media node. [Calls] is that media node's side: it
// runs one call per accepted INVITE until nothing of its dialog is left.
// A [Host] runs the loops of both.
//
// The package knows neither NATS nor SIP nor WebRTC: what it needs of them it
// names in its ports. It refuses what it cannot take at once, with a status a
// carrier understands, and never waits on a loop.
package actors
