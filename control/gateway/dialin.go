package gateway

import (
	"net/http"

	"patchbay/control"
)

// DialIn is the face of agents that post their own offer. Its keys and tokens
// have always been taken without TLS, so they still are.
func DialIn(g *control.Gateway) Face {
	face := Face{Name: "dialin", Always: true}
	mux := http.NewServeMux()
	g.Routes(func(pattern string, h http.Handler) {
		face.Patterns = append(face.Patterns, pattern)
		mux.Handle(pattern, h)
	})
	face.Handler = mux
	return face
}
