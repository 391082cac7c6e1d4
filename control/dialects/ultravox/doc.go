// Package ultravox is the face of Ultravox's API (docs/apis.md): an account's
// SIP configuration and registrations, calls, and webhooks, by its paths, its
// X-API-Key, its bodies and paging.
//
// A request becomes operations of [control.Operations], which decide about
// rights and objects. The face decides about form alone: what its product
// writes in another way, or does not have. What it does not show it does not
// change; what it cannot do it refuses, naming the field. Errors are worded as
// Django REST framework words them, for the documents are silent about them.
package ultravox
