package edge

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/internal/prefixset"
	"patchbay/sip/token"
)

// An Edge listens, routes and answers. It is made by [New] and works in Run.
type Edge struct {
	cfg    config.SIP
	times  times
	id     string
	boot   uint64
	keys   *token.Keys
	router Router

	log      *slog.Logger
	obs      Observer
	healthy  func() bool
	random   func(n int) int
	locate   Locate
	dialable func(netip.Addr) error // nil: every address
	blocked  func(netip.Addr) bool
	taken    func(endpoint.Invite) bool
	roots    *x509.CertPool // whom we believe over TLS; nil: whom this machine does

	certificate *certificate // of TLS and WSS listeners

	ready    chan struct{}
	draining atomic.Bool
	pending  atomic.Int64 // INVITEs and CANCELs that wait for an Outcome

	spawning    sync.Mutex
	closed      bool           // nothing new is spawned
	work        sync.WaitGroup // connections, dials and look-ups
	conns       *conns
	narrow      narrow
	dials       dials
	disbelieved atomic.Int64   // when a certificate was told of last
	balancers   *prefixset.Set // who announce whose connection it is
	announcing  chan struct{}  // one for each that has not yet
	lookups     chan struct{}  // one element per look-up under way
	waiting     atomic.Int64   // INVITEs of ours that wait for a place there
	shards      []shard
	queued      atomic.Int64 // bytes in all shards

	udp   atomic.Pointer[udpSockets]
	addrs atomic.Pointer[Addrs]
	ctx   atomic.Pointer[context.Context] // of Run, for dials and look-ups
}

// times are how long an edge waits for others.
type times struct{ announce, handshake, linger, dial, lookup time.Duration }

var usualTimes = times{announceTime, handshakeTime, lingerTime, dialTimeout, lookupTime}

// Addrs are the addresses an Edge listens on, the zero value where it does not.
type Addrs struct {
	UDP netip.AddrPort
	TCP netip.AddrPort
	TLS netip.AddrPort
	WS  netip.AddrPort
	WSS netip.AddrPort
}

// A Locate finds the addresses to which a request for a host may go, in the
// order in which they are to be tried (RFC 3263).
type Locate func(ctx context.Context, t call.Target) ([]call.Hop, error)

// An Option changes how an Edge is made.
type Option func(*Edge)

// WithLogger sets where the edge logs; nothing without it. No log line holds a
// SIP message or a part of one.
func WithLogger(log *slog.Logger) Option { return func(e *Edge) { e.log = log } }

// WithObserver sets who is told what the edge does.
func WithObserver(o Observer) Option { return func(e *Edge) { e.obs = o } }

// WithHealth sets what OPTIONS asks: false means that no call can be served,
// for example because NATS is away. Without it the edge counts as healthy.
func WithHealth(healthy func() bool) Option { return func(e *Edge) { e.healthy = healthy } }

// WithTaken sets how the edge knows a copy of an INVITE that it has passed on
// before: while it drains, such a copy goes the way of the first, and where it
// has no room, the copy is let go. Without it each is turned away.
func WithTaken(taken func(endpoint.Invite) bool) Option { return func(e *Edge) { e.taken = taken } }

// WithRandom sets the source of the spread of Retry-After: random(n) is in [0, n).
func WithRandom(random func(n int) int) Option { return func(e *Edge) { e.random = random } }

// WithLocate sets how names are looked up. Without it none is: what goes to one
// goes to where the dialog's last message came from.
func WithLocate(l Locate) Option { return func(e *Edge) { e.locate = l } }

// WithRoots sets which authorities' certificates are believed where the edge
// opens a TLS connection; without it, those that the machine trusts.
func WithRoots(roots *x509.CertPool) Option { return func(e *Edge) { e.roots = roots } }

// WithBlocklist sets whom the edge does not hear: what a blocked source sends is
// let go before it is read, without an answer, and its connections are closed.
// blocked is asked for each datagram; it must not block or allocate.
func WithBlocklist(blocked func(netip.Addr) bool) Option {
	return func(e *Edge) { e.blocked = blocked }
}

// WithDialable sets to which addresses INVITEs that accounts have us send may
// go: dialable returns why not. Without it, to all. It must not block.
func WithDialable(dialable func(netip.Addr) error) Option {
	return func(e *Edge) { e.dialable = dialable }
}

// New returns an Edge. id names it in the cluster and boot this start of it;
// together they say whether a flow's connection can still be ours. New opens
// no socket.
func New(cfg config.SIP, id string, boot uint64, keys *token.Keys, router Router, opts ...Option) *Edge {
	e := &Edge{
		cfg: cfg, times: usualTimes, id: id, boot: boot, keys: keys, router: router,
		log:       slog.New(slog.DiscardHandler),
		healthy:   func() bool { return true },
		blocked:   func(netip.Addr) bool { return false },
		taken:     func(endpoint.Invite) bool { return false },
		random:    rand.IntN,
		locate:    func(context.Context, call.Target) ([]call.Hop, error) { return nil, errNoLocate },
		ready:     make(chan struct{}),
		lookups:   make(chan struct{}, maxLookups),
		balancers: prefixset.New(cfg.BalancerPrefixes()), announcing: make(chan struct{}, maxAnnouncing),
		shards: newShards(max(2, runtime.GOMAXPROCS(0))),
	}
	for _, opt := range opts {
		opt(e)
	}
	e.conns = newConns(cfg.MaxConns, cfg.MaxConnsPerIP, e.obs.connections)
	e.certificate = newCertificate(cfg.TLSCertificate, cfg.TLSKey, e.log)
	return e
}

// Ready is closed once every listener is open.
func (e *Edge) Ready() <-chan struct{} { return e.ready }

// Addrs returns the addresses that are listened on, once Ready is closed. With
// a configured port 0 they hold the real port.
func (e *Edge) Addrs() Addrs {
	if a := e.addrs.Load(); a != nil {
		return *a
	}
	return Addrs{}
}

// Drain turns new calls away from now on: initial INVITEs and OPTIONS get 503
// with Retry-After. Dialogs are served on, and so are copies of INVITEs that
// came before (see [WithTaken]).
func (e *Edge) Drain() { e.draining.Store(true) }

// Resume takes new calls again.
func (e *Edge) Resume() { e.draining.Store(false) }

// Run opens the listeners and serves until ctx ends; then it lets queued
// writes leave, for at most the write timeout, and returns nil. An address that
// cannot be listened on is an error that names its setting.
func (e *Edge) Run(ctx context.Context) error {
	open, err := e.listen(ctx)
	if err != nil {
		return err
	}
	e.ctx.Store(&ctx)
	var readers, workers sync.WaitGroup
	for i := range e.shards {
		workers.Go(func() { e.serveShard(&e.shards[i]) })
	}
	if udp := open.udp; udp != nil {
		e.udp.Store(udp)
		for _, c := range udp.conns {
			readers.Go(func() { udp.read(c, e.hears, e.deliverDatagram) })
		}
	}
	for _, l := range open.streams {
		readers.Go(func() { e.accept(ctx, l, l.transport) })
	}
	if e.certificate.certFile != "" {
		readers.Go(func() { e.certificate.watch(ctx) })
	}
	close(e.ready)

	<-ctx.Done()
	open.closeStreams()
	e.finish()
	open.closeUDP()
	readers.Wait()
	e.closeShards()
	workers.Wait()
	return nil
}

// hears reports whether a source may speak to this edge, and counts it if not.
func (e *Edge) hears(source netip.AddrPort) bool {
	if !e.blocked(source.Addr()) {
		return true
	}
	e.obs.dropped(DropBlocked)
	return false
}

// spawn runs f in a goroutine that Run waits for; false once Run is ending.
func (e *Edge) spawn(f func()) bool {
	e.spawning.Lock()
	defer e.spawning.Unlock()
	if !e.closed {
		e.work.Go(f)
	}
	return !e.closed
}

// finish ends connections, dials and look-ups, and waits for them.
func (e *Edge) finish() {
	e.spawning.Lock()
	e.closed = true
	e.spawning.Unlock()
	e.conns.stop()
	e.work.Wait()
}

// contain ends a panic: it costs one message, or one connection. The value of
// a panic may hold a message, so only that of the runtime is logged.
func (e *Edge) contain(where string) {
	if v := recover(); v != nil {
		e.report(where, v)
	}
}

func (e *Edge) report(where string, v any) {
	reason := fmt.Sprintf("%T", v)
	if err, ok := v.(runtime.Error); ok {
		reason = err.Error()
	}
	e.obs.panicked(where)
	e.log.Error("panic", "where", where, "reason", reason, "stack", string(debug.Stack()))
}
