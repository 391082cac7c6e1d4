package connect

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
)

// Trust makes the connector believe certificates of a test's own.
func (h *HTTP) Trust(roots *x509.CertPool) {
	h.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
}
