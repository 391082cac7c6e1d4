package gateway

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"time"
)

// documents are written by the tests of this package from the routes, the types
// of the operations and control's examples.
//
//go:embed documents
var documents embed.FS

// Documents is the face of what describes the native API: openapi.json, a page
// for people, and an index of both. It wants no key.
func Documents() Face {
	mux := http.NewServeMux()
	face := Face{Name: "docs", Handler: mux, Always: true}
	for _, d := range []struct{ path, file, kind string }{
		{"/openapi.json", "openapi.json", "application/json"},
		{"/reference", "reference.html", "text/html; charset=utf-8"},
		{"/reference.md", "reference.md", "text/markdown; charset=utf-8"},
		{"/llms.txt", "llms.txt", "text/plain; charset=utf-8"},
	} {
		text, err := documents.ReadFile("documents/" + d.file)
		if err != nil {
			panic(err) // it was there when this was compiled
		}
		sum := sha256.Sum256(text)
		tag := `"` + hex.EncodeToString(sum[:8]) + `"`
		mux.HandleFunc("GET "+d.path, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Type", d.kind)
			h.Set("Cache-Control", "no-cache")
			h.Set("ETag", tag)
			h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
			http.ServeContent(w, r, d.file, time.Time{}, bytes.NewReader(text))
		})
		face.Patterns = append(face.Patterns, d.path)
	}
	return face
}
