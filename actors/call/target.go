package call

import "net/netip"

// A Target is what a SIP URI says of where it leads (RFC 3263 4).
type Target struct {
	Host      string    // name or address
	Port      uint16    // 0: none
	Transport Transport // "": none
	Secure    bool      // a sips URI: TLS only
}

// A Hop is one address that a request may go to. Name is what a TLS certificate
// there must be for: the URI's host, whatever records led away from it
// (RFC 5922 4).
type Hop struct {
	Transport Transport
	Addr      netip.AddrPort
	Name      string
}
