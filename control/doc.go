// Package control is the operators' door: accounts, endpoints, agents and
// calls, over NATS request/reply. The HTTP side holds what agents that dial in
// need.
//
// Operations are plain functions of a tenant and a typed request; the NATS
// service and the HTTP gateway are two faces of them. The tenant comes from the
// subject or the credential, never from the payload. Control decides what may
// be stored; it never decides about a call.
package control
