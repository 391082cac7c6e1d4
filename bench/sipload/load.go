package sipload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
)

// Sizes of the load.
const (
	maxCalls    = 1_000_000
	batch       = 64      // messages read or written at once
	bufferBytes = 4 << 20 // of the socket, each way
	maxMessage  = 4096
	late        = 500 * time.Millisecond // RFC 3261 timer T1: a carrier would repeat
)

// Options say what to offer.
type Options struct {
	Target  string // host:port
	User    string // of the Request-URI
	Rate    float64
	For     time.Duration // how long calls are offered
	Answer  bool          // calls are to be answered; else to be refused
	Hold    time.Duration // from the ACK to the BYE
	Stay    bool          // no BYE is sent
	Tail    time.Duration // wait for what is owed after the last INVITE
	RTPPort int           // in the offers
}

// A load is one run.
type load struct {
	o      Options
	script script
	conn   *net.UDPConn
	to     *net.UDPAddr
	began  time.Time

	mu    sync.Mutex
	calls []call
	byes  []message // due in this order
}

type call struct {
	offered, answered, ended time.Duration // since the start; 0: not yet
	status                   int
	port                     string
}

type message struct {
	due  time.Duration
	data []byte
}

// Run offers the calls and waits for their ends.
func Run(ctx context.Context, o Options) (Result, error) {
	total := int(o.Rate * o.For.Seconds())
	if total < 1 || total > maxCalls {
		return Result{}, fmt.Errorf("offer %d calls: 1 to %d may be offered", total, maxCalls)
	}
	to, err := net.ResolveUDPAddr("udp4", o.Target)
	if err != nil {
		return Result{}, fmt.Errorf("resolve %s: %w", o.Target, err)
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = conn.Close() }()
	if err := errors.Join(conn.SetReadBuffer(bufferBytes), conn.SetWriteBuffer(bufferBytes)); err != nil {
		return Result{}, err
	}
	l := &load{o: o, conn: conn, to: to, began: time.Now(), calls: make([]call, total), script: script{
		target: o.Target, user: o.User, me: conn.LocalAddr().String(), sdp: fmt.Sprintf(offer, o.RTPPort),
		mark: strconv.FormatInt(int64(os.Getpid()), 36) + strconv.FormatInt(time.Now().UnixNano(), 36)}}
	go l.listen()
	if err := l.offer(ctx); err != nil {
		return Result{}, err
	}
	offering := l.now()
	if err := l.await(ctx); err != nil {
		return Result{}, err
	}
	return l.result(offering), nil
}

func (l *load) now() time.Duration { return time.Since(l.began) }

// offer sends what is due, twice a millisecond.
func (l *load) offer(ctx context.Context) error {
	out := newBatch(l)
	for sent := 0; sent < len(l.calls); {
		due := min(int(l.now().Seconds()*l.o.Rate)+1, len(l.calls))
		for ; sent < due; sent++ {
			l.mu.Lock()
			l.calls[sent].offered = l.now()
			l.mu.Unlock()
			if err := out.add(l.script.invite(sent)); err != nil {
				return err
			}
		}
		if err := l.hangUp(out); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Microsecond):
		}
	}
	return nil
}

// hangUp sends the BYEs that are due, and what else waits.
func (l *load) hangUp(out *outBatch) error {
	now, n := l.now(), 0
	l.mu.Lock()
	for n < len(l.byes) && l.byes[n].due <= now {
		n++
	}
	due := l.byes[:n:n]
	l.byes = l.byes[n:]
	l.mu.Unlock()
	for _, m := range due {
		if err := out.add(m.data); err != nil {
			return err
		}
	}
	return out.flush()
}

// await waits until nothing is owed, or the tail is over.
func (l *load) await(ctx context.Context) error {
	out := newBatch(l)
	for end := l.now() + l.o.Tail + l.o.Hold; l.now() < end && !l.done(); {
		if err := l.hangUp(out); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
	return nil
}

func (l *load) done() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.calls {
		c := &l.calls[i]
		if c.answered == 0 || l.o.Answer && !l.o.Stay && c.status < 300 && c.ended == 0 {
			return false
		}
	}
	return true
}

// listen reads responses until the socket is closed.
func (l *load) listen() {
	conn := ipv4.NewPacketConn(l.conn)
	in := make([]ipv4.Message, batch)
	for i := range in {
		in[i].Buffers = [][]byte{make([]byte, maxMessage)}
	}
	out := newBatch(l)
	for {
		n, err := conn.ReadBatch(in, 0)
		if err != nil {
			return
		}
		now := l.now()
		for _, m := range in[:n] {
			for _, reply := range l.take(now, m.Buffers[0][:m.N]) {
				_ = out.add(reply) // an ACK that is lost is asked for again
			}
		}
		_ = out.flush()
	}
}

// take notes a response and returns what is sent at once.
func (l *load) take(now time.Duration, m []byte) (replies [][]byte) {
	r, ok := l.script.read(m)
	if !ok || r.call < 0 || r.call >= len(l.calls) || r.status < 200 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.calls[r.call]
	switch {
	case r.bye:
		c.ended = now
		return nil
	case r.status >= 300:
		replies = append(replies, l.script.request("ACK", r.call, 1, "-0", m, false))
	default:
		replies = append(replies, l.script.request("ACK", r.call, 1, "-1", m, true))
	}
	if c.answered != 0 {
		return replies // a copy
	}
	c.answered, c.status, c.port = now, r.status, r.port
	if r.status < 300 && !l.o.Stay {
		bye := l.script.request("BYE", r.call, 2, "-2", m, true)
		if l.o.Hold == 0 {
			return append(replies, bye)
		}
		l.byes = append(l.byes, message{now + l.o.Hold, bye})
	}
	return replies
}

// An outBatch sends messages many at a time.
type outBatch struct {
	conn *ipv4.PacketConn
	to   net.Addr
	msgs []ipv4.Message
}

func newBatch(l *load) *outBatch {
	return &outBatch{conn: ipv4.NewPacketConn(l.conn), to: l.to, msgs: make([]ipv4.Message, 0, batch)}
}

func (b *outBatch) add(data []byte) error {
	b.msgs = append(b.msgs, ipv4.Message{Buffers: [][]byte{data}, Addr: b.to})
	if len(b.msgs) < batch {
		return nil
	}
	return b.flush()
}

func (b *outBatch) flush() error {
	for left := b.msgs; len(left) > 0; {
		n, err := b.conn.WriteBatch(left, 0)
		if err != nil {
			return fmt.Errorf("send to %s: %w", b.to, err)
		}
		left = left[n:]
	}
	b.msgs = b.msgs[:0]
	return nil
}
