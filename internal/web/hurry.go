package web

import (
	"net/http"
	"time"
)

// hurried lets nobody hold a connection by doing nothing.
//
// A body that nobody reads: before a reply the server passes over what is left
// of it, and that may never come. Whoever reads a body sets a time of his own.
//
// A reply that the client does not take: each piece has its time, and not the
// whole, for a slow client is one all the same and who waits for a call waits
// long.
func hurried(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &hurriedWriter{ResponseWriter: w, control: http.NewResponseController(w)}
		_ = out.control.SetWriteDeadline(time.Time{}) // of the request before
		if r.ContentLength != 0 {
			_ = out.control.SetReadDeadline(time.Now().Add(readTimeout))
		}
		h.ServeHTTP(out, r)
		out.hurry() // what the server writes yet
	})
}

// A hurriedWriter gives each piece of a reply its time.
type hurriedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (w *hurriedWriter) hurry() { _ = w.control.SetWriteDeadline(time.Now().Add(writeTimeout)) }

// WriteHeader implements http.ResponseWriter.
func (w *hurriedWriter) WriteHeader(status int) {
	w.hurry()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *hurriedWriter) Write(b []byte) (int, error) {
	w.hurry()
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *hurriedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
