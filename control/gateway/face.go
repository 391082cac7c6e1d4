package gateway

import (
	"net/http"

	"patchbay/control"
)

// MaxBody is the largest body of a request, bytes.
const MaxBody = 1 << 20

// A Face is one vendor's API, or the native one, as it is mounted.
type Face struct {
	Name string // in metrics, logs and http.faces: native, yappr, ultravox
	// Patterns are what it serves, in the syntax of [http.ServeMux], without
	// hosts: "/sip-endpoints", "/sip-endpoints/", "GET /{$}", "/api/sip",
	// "/api/sip/". Of two that fit, the more specific one is asked; two faces
	// with the same one are an error at start.
	Patterns []string
	Handler  http.Handler
	// Always: it is served whatever http.faces says, and on a listener without TLS
	// that others reach, too: it takes no keys that last.
	Always bool
	// Refuse answers what the gateway refuses before the face sees it, in the
	// face's own words; nil: as problem+json.
	Refuse func(w http.ResponseWriter, r *http.Request, told *control.Error)
}

func (f Face) refuse(w http.ResponseWriter, r *http.Request, told *control.Error) {
	if f.Refuse != nil {
		f.Refuse(w, r, told)
		return
	}
	writeProblem(w, r, control.HTTPStatus(told.Code), told)
}
