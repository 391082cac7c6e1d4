// Package anyedge shows that any edge serves any message of any call (design
// D2): edges, routers, dialogs and call actors as cmd/patchbay binds them, with
// real sockets and a real broker, in one process. Nothing else puts these doors
// together outside a binary.
//
// It is tests only.
package anyedge
