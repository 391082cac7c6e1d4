// Package yappr is Yappr's API on Patchbay's endpoints: the routes of
// /sip-endpoints, with that product's header, bodies, errors, paging and rate
// headers, so that a client of Yappr needs only another host.
//
// It decides how Yappr's words become ours and ours become Yappr's: what a slug
// asked for must look like, which fields a body may have, which code an error
// carries. What an endpoint may be, who may change it, and how often, is decided
// by the operations behind [control.Kit]. It shows endpoints of the kinds that
// Yappr has and answers 404 for all others. It refuses what it does not read, by
// name: a misspelt wish must not be lost.
//
// What Yappr's webhooks are sent is written by internal/bodies.
//
// Sources: Yappr's API reference for SIP endpoints; the newer kinds of endpoint
// are those of its later public guide. docs/apis.md lists where this differs.
package yappr
