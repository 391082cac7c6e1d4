// Package control is the operators' door: accounts and their keys, endpoints,
// agents, calls and nodes, over NATS request/reply. The HTTP side holds what
// agents that dial in need.
//
// Operations are plain functions of a tenant and a typed request; the NATS
// service and the HTTP gateway are two faces of them. The tenant comes from the
// subject or the credential, never from the payload, and what a credential may
// do is decided in one place, [Operations.Do]. Control decides what may be
// stored; it never decides about a call.
package control
