package edge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"patchbay/actors/call"
)

// Limits of one WebSocket connection (RFC 6455, RFC 7118).
const (
	maxUpgrade   = 8 << 10                // bytes of the HTTP request that opens it
	socketBuffer = 2 << 10                // bytes read at once; longer messages are read in parts
	pingInterval = 30 * time.Second       // between our pings: browsers cannot send any
	pongTimeout  = 10 * time.Second       // for the answer to one
	goodbyeTime  = 500 * time.Millisecond // for the close handshake
	sipProtocol  = "sip"                  // RFC 7118 4.1
	anyOrigin    = "*"
)

// readSocket takes one SIP message from each WebSocket message until the
// connection ends. The peer has first_message_timeout from the start of the
// connection for its HTTP request, and for each message from its first frame
// on. Between messages it must answer our pings: a browser may be silent for as
// long as its user is.
func (c *conn) readSocket(ctx context.Context, began time.Time) {
	_ = c.nc.SetDeadline(began.Add(c.edge.cfg.FirstMessage))
	if c.over() {
		return
	}
	socket, err := c.upgrade()
	if err != nil {
		c.edge.obs.dropped(DropHandshake)
		c.edge.log.Debug("websocket handshake", "source", c.peer.remote, "err", err)
		return
	}
	socket.SetReadLimit(maxStreamMessage)
	c.mu.Lock()
	c.socket, c.opening = socket, false
	c.mu.Unlock()
	_ = c.nc.SetWriteDeadline(time.Time{})
	gone := make(chan struct{})
	defer close(gone)
	if !c.edge.spawn(func() { c.keepAlive(gone) }) {
		return
	}
	for ctx.Err() == nil {
		message, err := c.nextMessage()
		if err != nil || !c.edge.hears(c.peer.remote) {
			return
		}
		c.take(message)
	}
}

// nextMessage reads one WebSocket message.
func (c *conn) nextMessage() ([]byte, error) {
	_ = c.nc.SetReadDeadline(time.Now().Add(c.edge.cfg.IdleTimeout))
	if c.over() { // stop has set a deadline before ours
		return nil, errClosed
	}
	_, r, err := c.socket.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	c.midst = true
	defer func() { c.midst = false }()
	_ = c.nc.SetReadDeadline(time.Now().Add(c.edge.cfg.FirstMessage))
	if c.over() {
		return nil, errClosed
	}
	message, err := io.ReadAll(r)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.over():
		c.edge.obs.dropped(DropSlow)
	case errors.Is(err, websocket.ErrMessageTooBig):
		c.edge.obs.dropped(DropFraming)
	}
	return message, err
}

// take hands on one message. Line ends are a keep-alive, as on a stream
// (RFC 7118 6).
func (c *conn) take(message []byte) {
	if len(bytes.Trim(message, "\r\n")) > 0 {
		c.edge.deliver(inbound{raw: message, flow: c.flow(), link: c})
		return
	}
	if bytes.HasPrefix(message, []byte("\r\n\r\n")) {
		_ = c.send([]byte("\r\n"))
	}
}

// keepAlive pings until the connection is gone, and ends one whose peer does
// not answer.
func (c *conn) keepAlive(gone <-chan struct{}) {
	defer c.edge.contain("keep-alive")
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-gone:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), pongTimeout)
		err := c.socket.Ping(ctx)
		cancel()
		if err != nil {
			c.stop()
			return
		}
	}
}

// heard is told of pings and pongs, by the reader: both prove that the peer
// lives.
func (c *conn) heard() {
	if c.midst {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(c.edge.cfg.IdleTimeout))
	if c.over() { // stop may have set a deadline before ours, and the reader goes on to read
		_ = c.nc.SetReadDeadline(time.Now())
	}
}

// writeSocket writes each message as one WebSocket message: as text where it
// is text, which all peers take.
func writeSocket(socket *websocket.Conn, batch net.Buffers) error {
	for _, raw := range batch {
		kind := websocket.MessageText
		if !utf8.Valid(raw) {
			kind = websocket.MessageBinary
		}
		if err := socket.Write(context.Background(), kind, raw); err != nil {
			return err
		}
	}
	return nil
}

// goodbye ends a WebSocket as its protocol asks; the peer may be gone.
func (c *conn) goodbye() {
	if c.socket == nil {
		return
	}
	_ = c.nc.SetDeadline(time.Now().Add(goodbyeTime))
	_ = c.socket.Close(websocket.StatusGoingAway, "")
}

// upgrade reads the HTTP request that opens a WebSocket, and answers it.
func (c *conn) upgrade() (*websocket.Conn, error) {
	br := bufio.NewReaderSize(io.LimitReader(c.nc, maxUpgrade), socketBuffer)
	r, err := http.ReadRequest(br)
	if err != nil {
		return nil, err
	}
	w := &upgradeWriter{nc: c.nc, br: br, header: http.Header{}}
	switch {
	case !offersSIP(r):
		http.Error(w, "want the WebSocket subprotocol sip (RFC 7118)", http.StatusBadRequest)
		return nil, errors.New("subprotocol sip is not offered")
	case !c.edge.originAllowed(r):
		http.Error(w, "pages of this origin may not call here (sip.ws_origins)", http.StatusForbidden)
		return nil, errors.New("origin is not allowed")
	}
	return websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{sipProtocol},
		InsecureSkipVerify: true, // the origin was looked at above
		OnPingReceived:     func(context.Context, []byte) bool { c.heard(); return true },
		OnPongReceived:     func(context.Context, []byte) { c.heard() },
	})
}

// isSocket reports whether a transport is WebSocket's.
func isSocket(t call.Transport) bool { return t == call.WS || t == call.WSS }

func offersSIP(r *http.Request) bool {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(name), sipProtocol) {
				return true
			}
		}
	}
	return false
}

// originAllowed decides whether a browser's page may speak here. A page that
// its user visits would call from the user's address, which an allowlist may
// trust: without leave, only pages of our own host may. What is no browser
// sends no Origin (RFC 6454 7).
func (e *Edge) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(e.cfg.WSOrigins, anyOrigin) {
		return true
	}
	for _, allowed := range e.cfg.WSOrigins {
		if strings.EqualFold(allowed, origin) {
			return true
		}
	}
	_, host, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(host, r.Host)
}

// An upgradeWriter answers one HTTP request on a connection that nobody else
// serves: there is no server whose limits could differ from the edge's.
type upgradeWriter struct {
	nc     net.Conn
	br     *bufio.Reader
	header http.Header
	status int
}

func (w *upgradeWriter) Header() http.Header { return w.header }

// WriteHeader writes the head of the answer. Whatever is no upgrade ends the
// connection.
func (w *upgradeWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if status != http.StatusSwitchingProtocols {
		w.header.Set("Connection", "close")
	}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	_ = w.header.Write(&b) // a buffer takes all
	b.WriteString("\r\n")
	_, _ = w.nc.Write(b.Bytes()) // a peer that is gone is noticed at the next read
}

func (w *upgradeWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.nc.Write(b)
}

// Hijack implements http.Hijacker.
func (w *upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.nc, bufio.NewReadWriter(w.br, bufio.NewWriterSize(w.nc, socketBuffer)), nil
}
