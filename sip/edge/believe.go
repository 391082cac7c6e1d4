package edge

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
)

var errNoCertificateShown = errors.New("the peer shows no certificate")

// towardsPeer returns the settings of a TLS connection that we open to a SIP
// domain or address.
func towardsPeer(name string, roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: name,
		// The verification of crypto/tls knows no SIP identities: it is done
		// below, in full.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if err := believe(s.PeerCertificates, name, roots); err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
			}
			return nil
		},
	}
}

// believe reports why a peer's certificates do not show that it may serve a
// name: they must lead to an authority that is trusted, and the first be for the
// name, as a DNS name or address, or as a SIP domain (RFC 5922 7.1, 7.2).
func believe(shown []*x509.Certificate, name string, roots *x509.CertPool) error {
	if len(shown) == 0 {
		return errNoCertificateShown
	}
	between := x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	if _, err := shown[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return err
	}
	err := shown[0].VerifyHostname(name)
	if err != nil && slices.Contains(sipDomains(shown[0]), strings.ToLower(name)) {
		return nil
	}
	return err
}

// sipDomains are the domains that a certificate is for by SIP URIs. One with a
// user part is a person's, not a domain's (RFC 5922 7.1).
func sipDomains(c *x509.Certificate) (all []string) {
	for _, u := range c.URIs {
		if u.Scheme == "sip" && u.Opaque != "" && !strings.ContainsAny(u.Opaque, "@;") {
			all = append(all, strings.ToLower(u.Opaque))
		}
	}
	return all
}
