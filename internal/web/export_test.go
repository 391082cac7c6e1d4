package web

import "net/http"

// ServerOf is the one of the listener without TLS.
func ServerOf(s *Server) *http.Server { return s.server(nil) }
