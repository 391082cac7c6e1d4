// Package callout answers NATS servers that ask who a client is (auth callout,
// https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_callout).
//
// A client that is no node shows a name and a secret. A [Doorkeeper] beside each
// broker knows credentials made of the cluster key; a [Responder] on control
// nodes asks whoever keeps the API keys. Each question is one's to answer, by
// its secret alone, so that no client hears two answers. Both refuse what they
// do not know, slowly, and what they cannot read they leave unanswered: the
// server lets nobody in without an answer. A Doorkeeper also ends connections
// whose key is no longer good.
package callout
