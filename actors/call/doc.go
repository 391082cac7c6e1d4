// Package call is the life of one call, from INVITE to BYE, as a pure state
// machine: [Call.Step] takes an [Event] and returns the [Effect]s to carry out,
// in the order they must happen.
//
// A call has two legs. The carrier leg is a SIP dialog and its RTP; the agent
// leg is a WebRTC peer connection. The bridge joins them. SIP transactions and
// the dialog live in sip/dialog, media in media; both speak to the call in the
// events of this package and learn what to do from its effects. A call that we
// place has its legs in the other order: first the carrier answers, then an
// agent is asked.
//
// Nothing here touches the network, a goroutine or the clock: time and
// randomness come in as arguments.
package call
