package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"

	"patchbay/actors/call"
)

// Limits of one stream connection.
const (
	maxWriteQueue   = 256 << 10              // bytes that may wait for a slow peer
	writeOverhead   = 64                     // bytes that each waiting message counts beside its own
	handshakeTime   = 5 * time.Second        // of TLS
	lingerTime      = 500 * time.Millisecond // a connection that lost its framing
	lingerBytes     = 256 << 10              // it may still send meanwhile
	acceptPauseLow  = 5 * time.Millisecond
	acceptPauseHigh = time.Second
)

var (
	errClosed    = errors.New("connection is closed")
	errQueueFull = errors.New("peer reads too slowly")
)

// A conn is one connection: TCP, or TLS, WebSocket or both above it. One
// goroutine reads it; another writes while there is something to write.
type conn struct {
	edge   *Edge
	id     uint64
	nc     net.Conn
	socket *websocket.Conn // of WS and WSS, once the handshake is over; set before anything can be sent
	local  netip.AddrPort
	peer   peer
	dialed bool // we opened it

	midst bool // of a WebSocket message; the reader's own

	mu      sync.Mutex
	queue   [][]byte
	size    int
	opening bool // a WebSocket whose handshake is not over: takes nothing yet
	busy    bool // a goroutine is writing
	ending  bool // takes no more
	flushed chan struct{}
}

// accept admits connections of ln until it closes.
func (e *Edge) accept(ctx context.Context, ln net.Listener, t call.Transport) {
	pause := acceptPauseLow
	for {
		nc, err := ln.Accept()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			if err == nil {
				_ = nc.Close()
			}
			return
		}
		if err != nil { // out of descriptors, or a peer that was gone at once
			e.log.Warn("accept", "transport", t, "err", err, "pause", pause)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, acceptPauseHigh)
			continue
		}
		pause = acceptPauseLow
		e.welcome(ctx, nc, t)
	}
}

// adopt registers a connection and starts to read it. One that we opened has
// its TLS already.
func (e *Edge) adopt(ctx context.Context, nc net.Conn, p peer, dialed bool) (link, error) {
	local, t := addrPortOf(nc.LocalAddr()), p.transport
	if dialed {
		local = e.own(t, local)
	}
	if isSecure(t) && !dialed {
		nc = tls.Server(nc, e.certificate.config(t))
	}
	l, drop := e.conns.add(p, dialed, func(id uint64) link {
		return &conn{
			edge: e, id: id, nc: nc, local: local, peer: p,
			dialed: dialed, opening: isSocket(t), flushed: make(chan struct{}),
		}
	})
	if drop != "" {
		e.obs.dropped(drop)
		return nil, fmt.Errorf("connection with %s: %s", p.remote, drop)
	}
	c := l.(*conn)
	if !e.spawn(func() { c.serve(ctx) }) {
		e.conns.remove(c.id, p, dialed)
		return nil, errClosed
	}
	return c, nil
}

// serve reads until the connection ends, then lets what was sent leave.
func (c *conn) serve(ctx context.Context) {
	defer func() {
		c.stop()
		<-c.flushed // at most the write timeout
		c.goodbye()
		_ = c.nc.Close()
		c.edge.conns.remove(c.id, c.peer, c.dialed)
	}()
	defer c.edge.contain("stream")
	began := time.Now()
	if !c.secure(ctx) {
		return
	}
	if isSocket(c.peer.transport) {
		c.readSocket(ctx, began)
		return
	}
	c.read(ctx, began)
}

// secure shakes hands over TLS, where that is below, within its time.
func (c *conn) secure(ctx context.Context) bool {
	t, ok := c.nc.(*tls.Conn)
	if !ok || c.dialed {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, min(c.edge.times.handshake, c.edge.cfg.FirstMessage))
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		c.edge.obs.dropped(DropHandshake)
		c.edge.log.Debug("tls handshake", "source", c.peer.remote, "err", err)
		return false
	}
	return true
}

// read cuts the stream into messages until it ends or the peer is too slow.
func (c *conn) read(ctx context.Context, began time.Time) {
	var f framer
	w := newWatch(began, &c.edge.cfg, c.dialed)
	for {
		_ = c.nc.SetReadDeadline(w.due)
		if ctx.Err() != nil || c.over() {
			return
		}
		n, err := c.nc.Read(f.space())
		if err != nil {
			if w.waiting && errors.Is(err, os.ErrDeadlineExceeded) && !c.over() {
				c.edge.obs.dropped(DropSlow)
			}
			return
		}
		if !c.edge.hears(c.peer.remote) { // blocked since it connected
			return
		}
		f.filled(n)
		whole, err := c.cut(&f)
		if err != nil {
			c.refuse(&f, err)
			return
		}
		w.heard(time.Now(), whole, f.partial())
	}
}

// cut hands on every whole message in f and answers pings. whole reports that
// there was a message.
func (c *conn) cut(f *framer) (whole bool, err error) {
	for {
		u, msg, err := f.next()
		switch {
		case err != nil:
			return whole, err
		case u == unitPing:
			_ = c.send([]byte("\r\n"))
		case u == unitMessage:
			whole = true
			c.edge.deliver(inbound{raw: append(make([]byte, 0, len(msg)), msg...), flow: c.flow(), link: c})
		default:
			return whole, nil
		}
	}
}

// refuse answers what cannot be framed, as far as it can be read. What came
// before may still be at work, so the connection stays for its answers a
// moment, unless the peer goes first. Closing over unread bytes would reset
// it and lose them too.
func (c *conn) refuse(f *framer, why error) {
	c.edge.obs.dropped(DropFraming)
	c.edge.refuseFrame(inbound{raw: f.head(), flow: c.flow(), link: c}, why)
	_ = c.nc.SetReadDeadline(time.Now().Add(c.edge.times.linger))
	if c.over() { // stop has set a deadline before ours
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(c.nc, lingerBytes))
}

func (c *conn) flow() call.Flow {
	return call.Flow{
		Edge: c.edge.id, Boot: c.edge.boot, Transport: c.peer.transport,
		Local: c.local, Remote: c.peer.remote, Reply: c.peer.remote, Conn: c.id, Advertise: c.edge.cfg.Advertise,
	}
}

// send implements link.
func (c *conn) send(raw []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ending || c.opening:
		return errClosed
	case c.size+len(raw)+writeOverhead > maxWriteQueue:
		return errQueueFull
	}
	c.queue = append(c.queue, raw)
	c.size += len(raw) + writeOverhead
	if !c.busy {
		c.busy = true
		c.edge.work.Go(c.drain) // the reader still counts, so Run still waits
	}
	return nil
}

// stop implements link: no more is taken, and once the queue has left, the
// peer sees the end of the stream.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return
	}
	c.ending = true
	_ = c.nc.SetReadDeadline(time.Now()) // wakes the reader
	if !c.busy {
		c.finish()
	}
}

// over reports that the connection takes no more.
func (c *conn) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// finish ends our half of the stream. A WebSocket says goodbye later.
func (c *conn) finish() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && c.socket == nil {
		_ = half.CloseWrite()
	}
	close(c.flushed)
}

// drain writes what waits, then goes.
func (c *conn) drain() {
	for {
		c.mu.Lock()
		batch, size := net.Buffers(c.queue), c.size
		c.queue = nil
		if len(batch) == 0 {
			c.busy = false
			if c.ending {
				c.finish()
			}
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.edge.cfg.WriteTimeout))
		err := c.write(batch)
		c.mu.Lock()
		c.size -= size
		if err != nil {
			c.queue, c.size = nil, 0
			if !c.ending {
				c.ending = true
				_ = c.nc.SetReadDeadline(time.Now())
			}
			c.edge.obs.dropped(DropWrite)
		}
		c.mu.Unlock()
	}
}

// write writes whole messages.
func (c *conn) write(batch net.Buffers) error {
	if c.socket != nil {
		return writeSocket(c.socket, batch)
	}
	_, err := batch.WriteTo(c.nc)
	return err
}

// addrPortOf returns the address of one end of a connection, unmapped.
func addrPortOf(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return unmap(t.AddrPort())
	}
	return netip.AddrPort{}
}
