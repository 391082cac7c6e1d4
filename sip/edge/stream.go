package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"patchbay/actors/call"
)

// Limits of one stream connection.
const (
	maxWriteQueue   = 256 << 10              // bytes that may wait for a slow peer
	writeOverhead   = 64                     // bytes that each waiting message counts beside its own
	lingerTime      = 500 * time.Millisecond // a connection that lost its framing
	lingerBytes     = 256 << 10              // it may still send meanwhile
	acceptPauseLow  = 5 * time.Millisecond
	acceptPauseHigh = time.Second
)

var (
	errClosed    = errors.New("connection is closed")
	errQueueFull = errors.New("peer reads too slowly")
)

// A conn is one stream connection: TCP, or TLS above it. One goroutine reads
// it; another writes while there is something to write.
type conn struct {
	edge   *Edge
	id     uint64
	nc     net.Conn
	local  netip.AddrPort
	peer   peer
	dialed bool // we opened it

	mu      sync.Mutex
	queue   [][]byte
	size    int
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
		if !e.hears(addrPortOf(nc.RemoteAddr())) {
			_ = nc.Close()
			continue
		}
		if _, err := e.adopt(ctx, nc, t, false); err != nil {
			_ = nc.Close()
		}
	}
}

// adopt registers a connection and starts to read it.
func (e *Edge) adopt(ctx context.Context, nc net.Conn, t call.Transport, dialed bool) (link, error) {
	local, remote := addrPortOf(nc.LocalAddr()), addrPortOf(nc.RemoteAddr())
	p := peer{t, remote}
	l, drop := e.conns.add(p, dialed, func(id uint64) link {
		return &conn{
			edge: e, id: id, nc: nc, local: local, peer: p,
			dialed: dialed, flushed: make(chan struct{}),
		}
	})
	if drop != "" {
		e.obs.dropped(drop)
		return nil, fmt.Errorf("connection with %s: %s", remote, drop)
	}
	c := l.(*conn)
	e.obs.connections(t, +1)
	if !e.spawn(func() { c.serve(ctx) }) {
		e.conns.remove(c.id, p, dialed)
		e.obs.connections(t, -1)
		return nil, errClosed
	}
	return c, nil
}

// serve reads until the connection ends, then lets what was sent leave.
func (c *conn) serve(ctx context.Context) {
	defer func() {
		c.stop()
		<-c.flushed // at most the write timeout
		_ = c.nc.Close()
		c.edge.conns.remove(c.id, c.peer, c.dialed)
		c.edge.obs.connections(c.peer.transport, -1)
	}()
	defer c.edge.contain("stream")
	c.read(ctx)
}

// read cuts the stream into messages until it ends or the peer is too slow.
func (c *conn) read(ctx context.Context) {
	var f framer
	w := newWatch(time.Now(), &c.edge.cfg, c.dialed)
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
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, io.LimitReader(c.nc, lingerBytes))
}

func (c *conn) flow() call.Flow {
	return call.Flow{
		Edge: c.edge.id, Boot: c.edge.boot, Transport: c.peer.transport,
		Local: c.local, Remote: c.peer.remote, Reply: c.peer.remote, Conn: c.id,
	}
}

// send implements link.
func (c *conn) send(raw []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ending:
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

// finish ends our half of the stream.
func (c *conn) finish() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
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
		_, err := batch.WriteTo(c.nc)
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

// addrPortOf returns the address of one end of a connection, unmapped.
func addrPortOf(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return unmap(t.AddrPort())
	}
	return netip.AddrPort{}
}
