// Package gateway is the API over HTTP: the native one under /v1, and whatever
// faces of vendors are mounted beside it.
//
// Each native route is an operation of [control.Operations], carried out by the
// same function as over NATS; [Routes] says which. The gateway decides what a
// request is about and how its answer is written, and it gives every face what
// all need: a request id, a limit on bodies, a net under panics, an access log
// without secrets, metrics. It decides nothing about rights or objects.
//
// A face of a vendor is a package under control/dialects with a constructor
// that takes a [control.Kit] and settings of its own, and returns an
// http.Handler; cmd/patchbay/faces.go makes a [Face] of it. What a face may
// rely on:
//
//   - Its handler is an http.ServeMux, or sets r.Pattern: that is the route in
//     metrics and the access log. A path never is, for it may hold a secret.
//   - r.Body ends with an *http.MaxBytesError after [MaxBody] bytes. It answers
//     that with its own 413.
//   - [control.AskedOf] has the request id, which the reply's X-Request-Id has
//     already, and the base URL for links.
//   - A panic is contained and answered by Face.Refuse with CodeInternal; so is a
//     request that must not come over a listener without TLS (CodeForbidden), and
//     one while the node starts (CodeUnavailable).
//   - HEAD is served as GET. OPTIONS and methods that a path does not have are
//     the face's own; http.ServeMux answers 405 with Allow for the latter.
package gateway
