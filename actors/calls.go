package actors

import (
	"sync"
	"sync/atomic"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// CallLimits bound the calls of a media node.
type CallLimits struct {
	Loops        int           // mailbox loops that share the calls
	Mailbox      int           // messages that wait in one loop; beyond it ErrBusy
	MaxCalls     int           // live calls; beyond it 503
	AgentTimeout time.Duration // longest wait for an agent that sets none itself
	MaxDuration  time.Duration // longest call of an agent that sets none itself
	T1           time.Duration // RFC 3261 timer T1
}

// CallPorts are what calls need of the rest of the node.
type CallPorts struct {
	Dialogs     Dialogs
	Wire        Wire
	Switchboard Switchboard
	Ledger      Ledger
	Rulings     Rulings // nil: no call can wait for its owner's webhook
	Locator     Locator // nil: edges look names up
	Targets     Targets // nil: no call is transferred by another
	Coupler     Coupler // likewise
	// Open opens the sealed password of a call that we place; nil: none can be
	// placed with one.
	Open func(endpoint.SecretRef) (string, error)
}

// A CallObserver hears what [Calls] does. Funcs must not block; nil is
// skipped.
type CallObserver struct {
	HostObserver
	// Started hears of a call that this node owns from now on.
	Started func(CallStatus)
	// Ended hears of a call's end, with the record that the ledger gets.
	Ended func(call.Record)
	// Released hears of a call that another node has taken over meanwhile.
	Released func(call.ID)
	// Yielded hears of a call that ends because another node has a copy of it.
	Yielded func(call.ID)
}

// Calls are the call actors of a media node: each carries one call from its
// INVITE until nothing of its dialog need be kept. A call lives on the loop
// that its id names; messages of one call run one at a time.
type Calls struct {
	node     string
	limits   CallLimits
	ports    CallPorts
	newID    func() call.ID
	observer CallObserver

	host     *Host
	keys     *keyring
	index    index
	census   census
	young    young
	linger   linger
	live     atomic.Int64
	draining atomic.Bool
}

// NewCalls returns the call actors of the media node of that name. newID
// returns random ids; one in use is asked for again.
func NewCalls(node string, limits CallLimits, ports CallPorts, newID func() call.ID, observer CallObserver) *Calls {
	c := &Calls{node: node, limits: limits, ports: ports, newID: newID, observer: observer,
		host:   NewHost(limits.Loops, limits.Mailbox, observer.HostObserver),
		census: census{changed: make(chan struct{}, 1)}}
	c.keys = newKeyring(c.host, 64*limits.T1)
	c.young.keep = 64*limits.T1 + youngSlack
	c.linger.limit = 2 * max(limits.MaxCalls, 1)
	return c
}

// InDialog passes on a request or a response that belongs to a call.
// ErrNotMine: there is no such call here; ErrBusy: its loop is full, and
// nothing was done.
func (c *Calls) InDialog(id call.ID, p call.Packet) error {
	return c.tell(id, func(a *actor, now time.Time) { a.receive(now, p) })
}

// Hangup ends a call: BYE if it was answered, else a final response that suits
// the cause. Errors as for InDialog.
func (c *Calls) Hangup(id call.ID, cause call.Cause) error {
	return c.tell(id, func(a *actor, now time.Time) { a.happen(now, call.Event{Kind: call.Hangup, Cause: cause}) })
}

// Holds reports whether the call is here: live, or lingering.
func (c *Calls) Holds(id call.ID) bool { return c.index.get(id) != nil }

func (c *Calls) tell(id call.ID, do func(*actor, time.Time)) error {
	a := c.index.get(id)
	if a == nil {
		return ErrNotMine
	}
	return a.loop.Tell(func(now time.Time) { do(a, now) })
}

// Drain makes the node refuse new calls with 503. Calls it has go on.
func (c *Calls) Drain() { c.draining.Store(true) }

// Resume takes new calls again after a Drain.
func (c *Calls) Resume() { c.draining.Store(false) }

// Draining reports that the node takes no new calls.
func (c *Calls) Draining() bool { return c.draining.Load() }

// HangupAll ends every call, for the same cause.
func (c *Calls) HangupAll(cause call.Cause) {
	for _, a := range c.index.all() {
		// ErrStopped: the call has ended with its host.
		_ = a.loop.Post(func(now time.Time) { a.happen(now, call.Event{Kind: call.Hangup, Cause: cause}) })
	}
}

// Count returns how many calls are live: begun, and not yet over.
func (c *Calls) Count() int { return int(c.live.Load()) }

// Lingering returns how many calls are over and kept for the sake of
// retransmissions.
func (c *Calls) Lingering() int { return c.linger.len() }

// Remembered returns how many transaction keys are kept without a call: of
// calls that have gone, and of CANCELs that came first.
func (c *Calls) Remembered() int { return c.keys.remembered() }

// Depth returns how many messages wait in all mailboxes.
func (c *Calls) Depth() int { return c.host.Depth() }

// Live returns the ids of live calls by what they count for: their endpoint's
// key, and their project's. It is what a media node reports.
func (c *Calls) Live() map[endpoint.Key][]call.ID { return c.census.take() }

// Changed holds a token when Live has changed since the last one was taken.
func (c *Calls) Changed() <-chan struct{} { return c.census.changed }

// Stop lets the mailboxes finish what they have and ends the loops. Calls that
// are still live then are lost: hang up first. One whose BYE has no answer yet
// is over all the same, and has its record.
func (c *Calls) Stop() {
	c.Drain()
	for _, a := range c.index.all() {
		// ErrStopped: the call has ended with its host.
		_ = a.loop.Post(func(now time.Time) { a.happen(now, call.Event{Kind: call.ByeDone}) })
	}
	c.host.Stop()
}

// A census knows the live calls of each key.
type census struct {
	changed chan struct{} // holds one token
	mu      sync.Mutex
	calls   map[endpoint.Key]map[call.ID]struct{}
}

func (c *census) enter(id call.ID, keys ...endpoint.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = make(map[endpoint.Key]map[call.ID]struct{})
	}
	for _, key := range keys {
		if key == "" {
			continue
		}
		if c.calls[key] == nil {
			c.calls[key] = make(map[call.ID]struct{})
		}
		c.calls[key][id] = struct{}{}
	}
	c.notify()
}

func (c *census) leave(id call.ID, keys ...endpoint.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		delete(c.calls[key], id)
		if len(c.calls[key]) == 0 {
			delete(c.calls, key)
		}
	}
	c.notify()
}

func (c *census) notify() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *census) take() map[endpoint.Key][]call.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	live := make(map[endpoint.Key][]call.ID, len(c.calls))
	for key, ids := range c.calls {
		list := make([]call.ID, 0, len(ids))
		for id := range ids {
			list = append(list, id)
		}
		live[key] = list
	}
	return live
}
