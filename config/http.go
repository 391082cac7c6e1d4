package config

import (
	"net/url"
	"slices"
	"strings"
)

// Faces are the APIs that there are over HTTP.
var Faces = []string{"native", "yappr", "ultravox"}

func (c *checker) http() {
	h := c.cfg.HTTP
	if (h.TLSCert == "") != (h.TLSKey == "") {
		c.mistake("http.tls_key_file", "goes together with http.tls_certificate_file; one of the two is empty")
	}
	for _, face := range h.Faces {
		c.oneOf("http.faces", face, Faces...)
	}
	if h.MaxConnsPerIP > h.MaxConns {
		c.mistake("http.max_connections_per_source", "%d is more than http.max_connections, %d", h.MaxConnsPerIP, h.MaxConns)
	}
	if h.PublicURL != "" && !isBase(h.PublicURL) {
		c.mistake("http.public_url", "%q is no scheme and host: want one such as https://api.example.com", h.PublicURL)
	}
	c.hosts()
}

// isBase reports whether a URL is http or https, a host and nothing else.
func isBase(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == ""
}

// hosts checks the names at which one face is served alone.
func (c *checker) hosts() {
	hosts := map[string]bool{}
	for _, line := range c.cfg.HTTP.Hosts {
		face, host, _ := strings.Cut(line, "=")
		if !slices.Contains(Faces, face) || !domain.MatchString(strings.ToLower(host)) {
			c.mistake("http.hosts", "%q is no face and host: want one such as yappr=api.yappr.example.com", line)
		}
		if hosts[strings.ToLower(host)] {
			c.mistake("http.hosts", "%s is there twice", host)
		}
		hosts[strings.ToLower(host)] = true
	}
}
