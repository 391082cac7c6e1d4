package web

import (
	"net"
	"net/http"
)

// ServerOf is the one of the listener without TLS.
func ServerOf(s *Server) *http.Server { return s.server(nil) }

// Fairly is how a listener's connections are shared out.
func Fairly(l net.Listener, perSource int) net.Listener { return fairly(l, perSource) }
