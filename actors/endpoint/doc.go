// Package endpoint decides what becomes of a call.
//
// An [Endpoint] is one address that carriers dial and one policy for who may
// dial it. [Decide] weighs an [Invite] against that policy and returns a
// [Verdict]. Nothing here touches the network, the clock or a goroutine: the
// caller brings the facts and carries out the verdict.
package endpoint
