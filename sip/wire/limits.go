package wire

// Limits bounds what [Read] takes. A message at a limit is read, one
// beyond it is a Fault.
type Limits struct {
	// Datagram says that the octets came as one whole packet or WebSocket
	// message: what follows the body is cut (RFC 3261 18.3), and Content-Length
	// may be absent. On a stream it may not (20.14).
	Datagram   bool
	MaxBytes   int // whole message: 513
	MaxBody    int // body: 413
	MaxHeaders int // header fields, joined values counted one by one: 400
	MaxVias    int // 400
	MaxRoutes  int // Route, and as many Record-Route again: 400
	MaxLine    int // start line, or one header field unfolded, octets: 400
}

// Defaults of Limits.
const (
	DefaultMaxDatagram = 65507 // largest UDP payload over IPv4
	DefaultMaxStream   = 65536
	DefaultMaxBody     = 32768
	DefaultMaxHeaders  = 100
	DefaultMaxVias     = 40 // RFC 4475 3.1.1.7 has 34
	DefaultMaxRoutes   = 20
	DefaultMaxLine     = 8192
)

// DatagramLimits returns the limits for UDP.
func DatagramLimits() Limits {
	l := StreamLimits()
	l.Datagram, l.MaxBytes = true, DefaultMaxDatagram
	return l
}

// SocketLimits returns the limits for messages of a WebSocket, each of which
// is one message (RFC 7118 5).
func SocketLimits() Limits {
	l := StreamLimits()
	l.Datagram = true
	return l
}

// StreamLimits returns the limits for messages framed on TCP or TLS.
func StreamLimits() Limits {
	return Limits{
		MaxBytes: DefaultMaxStream, MaxBody: DefaultMaxBody, MaxHeaders: DefaultMaxHeaders,
		MaxVias: DefaultMaxVias, MaxRoutes: DefaultMaxRoutes, MaxLine: DefaultMaxLine,
	}
}

// RelayLimits returns the limits for Raw of a message that another node of ours
// has read: it may have grown by long names and by the stamp.
func RelayLimits() Limits {
	l := StreamLimits()
	l.MaxBytes, l.MaxLine = 2*DefaultMaxStream, 2*DefaultMaxLine
	return l
}
