package call

import "net/netip"

// A Transport is how a SIP message travels.
type Transport string

// Transports, as they are written on the wire between nodes.
const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
	TLS Transport = "tls"
	WS  Transport = "ws"
	WSS Transport = "wss"
)

// Reliable reports whether the transport retransmits by itself (RFC 3261 17).
func (t Transport) Reliable() bool { return t != UDP }

// A Flow is where a SIP message came from and how to answer it. Only the edge
// it names gives Conn a meaning, and only while its Boot is the same.
type Flow struct {
	Edge      string         `json:"edge"`
	Boot      uint64         `json:"boot"`
	Transport Transport      `json:"transport"`
	Local     netip.AddrPort `json:"local"`               // socket the message arrived at
	Remote    netip.AddrPort `json:"remote"`              // source of the packet, IPv4-mapped addresses unmapped
	Reply     netip.AddrPort `json:"reply"`               // where responses go: RFC 3261 18.2.2, RFC 3581
	Conn      uint64         `json:"conn,omitempty"`      // connection of a reliable transport
	Advertise string         `json:"advertise,omitempty"` // host or host:port by which peers reach the edge; empty: Local
}

// A Packet is one SIP request or response as an edge received it. Raw is
// normalised by the guard and carries the received and rport parameters.
type Packet struct {
	Flow Flow
	Raw  []byte
}

// A Transmission is one SIP message on its way out. A zero To means the
// flow's Reply address, or its connection. Raw holds the whole message.
type Transmission struct {
	Flow Flow
	To   netip.AddrPort
	// Host is set where the next hop of a request is a name: host, or host:port.
	// Without To it must be looked up first; beside To it is what the peer's
	// certificate must say.
	Host string
	// Fill says that Raw, a request of ours outside a dialog, has [SenderHost] in
	// Via and Contact. The edge that sends it writes its own address there.
	Fill bool
	// Grows says that the peer has not asked for UDP, which this request is to go
	// over: a long one goes over TCP, if the peer takes it (RFC 3261 18.1.1).
	Grows bool
	Raw   []byte
	// Lost, if not nil, is called at most once, from any goroutine, where no
	// edge could send the message. It stays on the node.
	Lost func()
}

// SenderHost stands for the host of the edge that sends a request of ours: no
// media node knows what an edge is reached by. No name of the domain is ever
// in DNS (RFC 6761 6.4).
const SenderHost = "edge.invalid"

// An Output is what a dialog wants done about a message or a deadline: bytes
// to send, or news for the call. Exactly one field is set.
type Output struct {
	Send  *Transmission
	Event *Event
}

// A Refusal says that an INVITE cannot become a call, and the response owed.
type Refusal struct {
	Response Response
	Why      string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Why }
