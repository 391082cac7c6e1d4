package media

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
)

var _ actors.Switchboard = (*Node)(nil)

// A Node carries the media of calls. It keeps no more than config.Media.MaxCalls
// at once, joining ones and closing ones included.
type Node struct {
	cfg        config.Media
	connectors map[endpoint.Connector]Connector
	log        *slog.Logger
	observer   Observer
	start      time.Time
	bind       netip.Addr
	advertise  netip.Addr
	pool       *pool
	wheel      wheel

	mu      sync.Mutex
	bridges map[*bridge]struct{}
	closed  bool
	running sync.WaitGroup
}

// NewNode returns a node that reaches agents by connectors. It fails where cfg
// names no usable ports or addresses. A nil log discards.
func NewNode(cfg config.Media, connectors map[endpoint.Connector]Connector, log *slog.Logger, observer Observer) (*Node, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	n := &Node{
		cfg:        cfg,
		connectors: maps.Clone(connectors),
		log:        log,
		observer:   observer,
		start:      time.Now(),
		bridges:    map[*bridge]struct{}{},
	}
	n.wheel.visit = func(b *bridge) { b.carrier.tick(n.now()) }
	var err error
	if n.pool, err = newPool(cfg.RTPPorts, cfg.PortQuarantine); err != nil {
		return nil, err
	}
	if n.bind, err = parseAddress("bind", cfg.Bind); err != nil {
		return nil, err
	}
	if n.advertise, err = parseAddress("advertise", cfg.Advertise); err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"sdp", "nat", "off"}, cfg.LatchMode) {
		return nil, fmt.Errorf("media.latch_mode %q: want sdp, nat or off", cfg.LatchMode)
	}
	return n, nil
}

// now is the node's clock: monotonic, from its start.
func (n *Node) now() time.Duration { return time.Since(n.start) }

// Open implements [actors.Switchboard]. A node that is full or closed posts
// AgentFailed with 503.
func (n *Node) Open(req actors.BridgeRequest, post func(call.Event)) actors.Bridge {
	if req.Asked.Deadline.IsZero() {
		req.Asked.Deadline = time.Now().Add(n.cfg.AgentTimeout)
	}
	b := &bridge{node: n, req: req, tell: post, opened: n.now()}
	ctx := b.expect(req.Asked)
	n.observer.opened()
	if !n.admit(b, func() { b.search(ctx, req.Asked) }) {
		b.cancel()
		b.closed = true
		ev := failed(errFull)
		n.observer.failed(ev)
		go post(ev) // not from within Open: the caller does not hold the bridge yet
	}
	return b
}

// admit counts a bridge and starts its goroutine, unless the node is full.
func (n *Node) admit(b *bridge, open func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || len(n.bridges) >= n.cfg.MaxCalls {
		return false
	}
	n.bridges[b] = struct{}{}
	n.running.Go(open)
	return true
}

// spawn starts a goroutine that Close waits for. The caller is one itself, or
// holds a bridge that is not forgotten yet.
func (n *Node) spawn(f func()) { n.running.Go(f) }

func (n *Node) forget(b *bridge) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.bridges, b)
}

// Close ends all calls' media, refuses new calls, and returns when everything
// is freed. It may be called twice.
func (n *Node) Close() error {
	n.mu.Lock()
	n.closed = true
	bridges := slices.Collect(maps.Keys(n.bridges))
	n.mu.Unlock()
	for _, b := range bridges {
		b.Close(call.CauseDrain)
	}
	n.running.Wait()
	n.wheel.done.Wait()
	return nil
}

// Stats are a node's counts at one moment.
type Stats struct {
	Calls        int // joining and closing ones included
	MaxCalls     int
	PortsFree    int // pairs of RTP and RTCP
	PortsUsed    int
	PortsResting int
}

// Stats returns what the node carries now.
func (n *Node) Stats() Stats {
	s := Stats{MaxCalls: n.cfg.MaxCalls}
	s.PortsFree, s.PortsUsed, s.PortsResting = n.pool.counts(n.now())
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Calls = len(n.bridges)
	return s
}

// panicked reports a fault that cost one packet, tick or call.
func (n *Node) panicked(id call.ID, where string, what any) {
	n.observer.panicked(where)
	n.log.Error("panic contained", "call_id", id.String(), "action", where,
		"err", fmt.Sprint(what), "stack", string(debug.Stack()))
}
