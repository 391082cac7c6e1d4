package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/call"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// Limits of sending.
const (
	maxSending  = 8192                   // requests of ours whose edge has not yet said that it sent them
	sendTimeout = 300 * time.Millisecond // for an edge to say so; then any other is asked too
	sendPause   = 500 * time.Millisecond // before a request of a reliable transport is tried again
	maxSendTime = 5 * time.Second        // in all for such a request; one over UDP is repeated by its own timer
	placeTime   = 8 * time.Second        // for an edge to say so of a request outside a dialog: it may look up a name and connect first
	maxOutbox   = 1024                   // responses that can leave elsewhere when their edge turns out to be gone
)

// A WireObserver hears what a Wire could not send. Nil hooks are skipped.
type WireObserver struct {
	Rerouted func(edge string)            // that edge did not send it; any other was asked to
	Lost     func(edge string, err error) // as on any network
	Panic    func(any)
}

// errNotSent says that no edge could send a request.
var errNotSent = errors.New("no edge could send it")

// A Wire sends SIP messages out through edges; it implements actors.Wire.
//
// A response is sent and not waited for: its edge, or where that is dead any
// other of its transport, sends it. A connection dies with its edge: another
// opens a new one, if the peer can be reached.
//
// A request of ours is asked to be sent, by the edge of the dialog's flow
// first, then by any edge of its transport, until one says that it did: over
// TCP or TLS nobody would repeat it.
//
// An INVITE of ours outside a dialog has no flow. All its copies go by one edge
// while that lives, for they shall name one sender; where it cannot send them
// one other is asked, and then it is lost, soon enough to try another address.
type Wire struct {
	conn  *Conn
	gone  func(edge string) bool
	edges func() []string // those that live; nil: nobody knows
	obs   WireObserver
	asker *asker
	sent  *outbox
	sub   *nats.Subscription
	inbox string

	sendWait, sendTime time.Duration // sendTimeout and maxSendTime, but in tests
}

// NewWire returns a Wire. gone, usually [Presence.Gone], tells edges that have
// died: they are not asked.
func NewWire(c *Conn, gone func(edge string) bool, obs WireObserver) (*Wire, error) {
	a, err := newAsker(c.Hot(), maxSending, obs.Panic)
	if err != nil {
		return nil, fmt.Errorf("open wire: %w", err)
	}
	w := &Wire{conn: c, gone: gone, obs: obs, asker: a, sent: newOutbox(maxOutbox), inbox: c.Hot().NewInbox() + ".",
		sendWait: sendTimeout, sendTime: maxSendTime}
	w.sub, err = c.Hot().Subscribe(w.inbox+"*", w.returned)
	if err == nil {
		err = w.sub.SetPendingLimits(maxOutbox, maxPendingBytes)
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("open wire: %w", err)
	}
	return w, nil
}

// Among tells the Wire which edges live, so that it can choose one for an
// INVITE of ours. It is called before the first message.
func (w *Wire) Among(edges func() []string) { w.edges = edges }

// Close lets go of requests that no edge has sent yet.
func (w *Wire) Close() {
	if w.sub != nil {
		_ = w.sub.Unsubscribe() // fails only where it has ended already
	}
	w.asker.close()
}

// Transmit implements actors.Wire.
func (w *Wire) Transmit(tx call.Transmission) {
	if !bytes.HasPrefix(tx.Raw, []byte("SIP/2.0 ")) {
		s := &sending{w: w, edge: tx.Flow.Edge, transport: tx.Flow.Transport, data: envelope.EncodeSend(tx), began: time.Now(),
			dialled: tx.Fill, lost: tx.Lost}
		if s.edge == "" {
			s.edge = w.choose(tx.Raw)
		}
		s.ask()
		return
	}
	w.respond(remembered{edge: tx.Flow.Edge, transport: tx.Flow.Transport, data: envelope.EncodeSend(tx)}, time.Time{})
}

// respond sends a response. Where NATS knows no such edge it says so, which
// is sooner than its missing beats do. Where NATS is away, one over UDP is lost,
// for its request will come again; others wait a while.
func (w *Wire) respond(r remembered, began time.Time) {
	var err error
	if w.gone(r.edge) {
		err = w.reroute(r)
	} else {
		err = w.conn.Hot().PublishRequest(subject.Send(r.edge), ticketed(w.inbox, w.sent.keep(r)), r.data)
	}
	if err != nil {
		w.wait(r, began, err)
	}
}

// wait tries a response again later, if that makes sense.
func (w *Wire) wait(r remembered, began time.Time, err error) {
	if began.IsZero() {
		began = time.Now()
	}
	if !r.transport.Reliable() || time.Since(began)+sendPause >= w.sendTime {
		w.lost(r.edge, err)
		return
	}
	w.asker.later(sendPause, func(rep reply) {
		if !errors.Is(rep.err, errSilence) { // the table is full, or closed
			w.lost(r.edge, rep.err)
			return
		}
		w.respond(r, began)
	})
}

// returned takes back a response that no edge listened to.
func (w *Wire) returned(m *nats.Msg) {
	defer contain(w.obs.Panic)
	ticket, err := strconv.ParseUint(m.Subject[len(w.inbox):], 36, 64)
	if err != nil || len(m.Data) > 0 || m.Header.Get("Status") != "503" {
		return // not a word of NATS
	}
	r, ok := w.sent.take(ticket)
	if !ok {
		return
	}
	if err := w.reroute(r); err != nil {
		w.lost(r.edge, err)
	}
}

// reroute has any edge of the transport send a response. Its source is not the
// address that the carrier called: better than none where the edge is gone, and
// no worse where edges share an address. Over a reliable transport nobody would
// repeat it, so that an edge must say that it sent it: NATS may pick the
// connection of one that was cut off, which it has not missed yet.
func (w *Wire) reroute(r remembered) error {
	if r.transport.Reliable() {
		s := &sending{w: w, edge: r.edge, transport: r.transport, data: r.data, began: time.Now(), response: true}
		s.ask()
		return nil
	}
	if w.obs.Rerouted != nil {
		w.obs.Rerouted(r.edge)
	}
	return w.conn.Hot().Publish(subject.SendAny(r.transport), r.data)
}

func (w *Wire) lost(edge string, err error) {
	if w.obs.Lost != nil {
		w.obs.Lost(edge, err)
	}
}

// A sending is one request of ours until an edge has sent it.
type sending struct {
	w         *Wire
	edge      string // of the dialog's flow
	transport call.Transport
	data      []byte
	began     time.Time
	response  bool   // any edge is asked at once, and no other way
	dialled   bool   // a request outside a dialog
	lost      func() // nil: nobody wants to know
	others    int    // how often any edge was asked in this round
}

// maxOthers is how often any edge is asked in one round: the queue group may
// pick one that hangs.
const maxOthers = 2

func (s *sending) ask() {
	if s.others == 0 && !s.response && s.edge != "" && !s.w.gone(s.edge) {
		s.w.asker.ask(subject.Send(s.edge), s.data, s.patience(), s.answered)
		return
	}
	s.askAny()
}

func (s *sending) askAny() {
	s.others++
	if s.w.obs.Rerouted != nil {
		s.w.obs.Rerouted(s.edge)
	}
	s.w.asker.ask(subject.SendAny(s.transport), s.data, s.patience(), s.answered)
}

// patience is how long an edge may take to say what became of the message.
func (s *sending) patience() time.Duration {
	if s.dialled {
		return placeTime
	}
	return s.w.sendWait
}

// refused is why an edge has not sent the message; nil: it has.
func (r reply) refused() error {
	if r.err != nil {
		return r.err
	}
	d, err := envelope.DecodeDelivery(r.data)
	if err == nil && d != envelope.Delivered {
		return errNotSent
	}
	return err
}

// hopeless reports that nobody else is asked. An edge that is silent about a
// request outside a dialog may still send it.
func (s *sending) hopeless(err error) bool {
	if s.dialled && (s.others > 0 || errors.Is(err, errSilence)) {
		return true
	}
	return errors.Is(err, errFull) || errors.Is(err, errClosed)
}

func (s *sending) answered(rep reply) {
	err := rep.refused()
	switch {
	case err == nil:
	case s.hopeless(err):
		s.end(err)
	case s.others < maxOthers && !(s.others > 0 && errors.Is(err, errNobody)):
		s.askAny()
	case s.transport.Reliable() && time.Since(s.began)+sendPause < s.w.sendTime:
		s.others = 0
		s.w.asker.later(sendPause, func(rep reply) {
			if !errors.Is(rep.err, errSilence) { // the table is full, or closed
				s.end(rep.err)
				return
			}
			s.ask()
		})
	default:
		s.end(err)
	}
}

// end gives the message up.
func (s *sending) end(err error) {
	s.w.lost(s.edge, err)
	if s.lost != nil {
		s.lost()
	}
}

// choose returns the live edge that an INVITE goes by, the same for all its
// copies. "" lets NATS choose.
func (w *Wire) choose(raw []byte) string {
	if w.edges == nil {
		return ""
	}
	var first string
	var most uint64
	for _, edge := range w.edges() {
		h := fnv.New64a()
		_, _ = h.Write([]byte(edge)) // never fails
		_, _ = h.Write(raw)
		if weight := h.Sum64(); first == "" || weight > most || weight == most && edge < first {
			first, most = edge, weight
		}
	}
	return first
}

// An outbox remembers the last responses that were sent, by ticket.
type outbox struct {
	mu    sync.Mutex
	next  uint64
	slots []remembered
}

type remembered struct {
	ticket    uint64
	edge      string
	transport call.Transport
	data      []byte
}

func newOutbox(size int) *outbox { return &outbox{slots: make([]remembered, size)} }

// keep remembers a response in the place of the oldest.
func (o *outbox) keep(r remembered) (ticket uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next++
	r.ticket = o.next
	o.slots[o.next%uint64(len(o.slots))] = r
	return o.next
}

// take returns a response and forgets it.
func (o *outbox) take(ticket uint64) (remembered, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := &o.slots[ticket%uint64(len(o.slots))]
	if at.ticket != ticket {
		return remembered{}, false
	}
	r := *at
	*at = remembered{}
	return r, true
}
