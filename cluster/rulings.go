package cluster

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// Waits for a ruling (design D3). The webhook's own time is the decider's
// affair, and the whole wait the call's.
const (
	rulingProgress = time.Second // without a sign of progress another decider is asked
	rulingTries    = 3           // the owner, any decider, any once more
)

// A RulingObserver hears how questions went. Nil hooks are skipped.
type RulingObserver struct {
	Next  func(try int) // a decider gave no sign for a second
	None  func()        // no decider gave any: 503
	Panic func(any)
}

// Rulings asks deciders who answers calls that wait for their endpoint's
// owner; it implements actors.Rulings for a media node.
type Rulings struct {
	nc    *nats.Conn
	limit int
	obs   RulingObserver
	inbox string
	sub   *nats.Subscription

	progressWait time.Duration // rulingProgress, but in tests

	mu    sync.Mutex
	next  uint64
	waits map[uint64]*rulingAsk
}

// NewRulings returns Rulings that keep at most limit questions open: a media
// node has no more calls.
func NewRulings(c *Conn, limit int, obs RulingObserver) (*Rulings, error) {
	r := &Rulings{nc: c.Control(), limit: limit, obs: obs, inbox: c.Control().NewInbox() + ".", progressWait: rulingProgress,
		waits: make(map[uint64]*rulingAsk)}
	sub, err := r.nc.Subscribe(r.inbox+"*", r.answer)
	if err == nil {
		err = sub.SetPendingLimits(maxPendingPackets, maxPendingBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to rulings: %w", err)
	}
	r.sub = sub
	return r, nil
}

// Close gives up all questions; their calls end by their own time.
func (r *Rulings) Close() {
	_ = r.sub.Unsubscribe() // fails only where it has ended already
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, a := range r.waits {
		a.watch.Stop()
		delete(r.waits, id)
	}
	r.limit = 0
}

// A rulingAsk is one question that waits. Its fields are guarded by Rulings.mu.
type rulingAsk struct {
	id    uint64
	owner string
	data  []byte
	try   int
	watch *time.Timer
	done  func(actors.Ruling)
}

// undecided is the ruling where no decider can be heard.
func undecided() actors.Ruling {
	v := endpoint.Unavailable(endpoint.ReasonUnavailable)
	return actors.Ruling{V: envelope.Version, Status: v.Status, Reason: v.Reason}
}

// Ask implements actors.Rulings.
func (r *Rulings) Ask(q actors.Question, done func(actors.Ruling)) (stop func()) {
	data, err := envelope.EncodeQuestion(q)
	if err != nil {
		done(undecided())
		return func() {}
	}
	a := &rulingAsk{owner: subject.Ruling(q.Partition), data: data, done: done}
	r.mu.Lock()
	if len(r.waits) >= r.limit {
		r.mu.Unlock()
		done(undecided())
		return func() {}
	}
	r.next++
	a.id = r.next
	r.waits[a.id] = a
	a.watch = time.AfterFunc(r.progressWait, func() { r.silent(a.id) })
	r.mu.Unlock()
	r.publish(a.owner, a)
	return func() { r.take(a.id) }
}

// publish asks. What cannot be sent is not answered, and asked again.
func (r *Rulings) publish(subj string, a *rulingAsk) {
	_ = r.nc.PublishRequest(subj, r.inbox+strconv.FormatUint(a.id, 36), a.data)
}

// take removes a question.
func (r *Rulings) take(id uint64) *rulingAsk {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.waits[id]
	if a != nil {
		a.watch.Stop()
		delete(r.waits, id)
	}
	return a
}

// silent asks another decider, or gives up.
func (r *Rulings) silent(id uint64) {
	defer contain(r.obs.Panic)
	r.mu.Lock()
	a := r.waits[id]
	if a == nil {
		r.mu.Unlock()
		return
	}
	a.try++
	again := a.try < rulingTries
	if again {
		a.watch.Reset(r.progressWait)
	} else {
		delete(r.waits, id)
	}
	r.mu.Unlock()
	switch {
	case again:
		if r.obs.Next != nil {
			r.obs.Next(a.try)
		}
		r.publish(subject.RulingAny, a)
	default:
		if r.obs.None != nil {
			r.obs.None()
		}
		a.done(undecided())
	}
}

func (r *Rulings) answer(m *nats.Msg) {
	defer contain(r.obs.Panic)
	id, err := strconv.ParseUint(m.Subject[len(r.inbox):], 36, 64)
	if err != nil {
		return // not a subject of ours
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		r.silent(id) // nobody listens
		return
	}
	ruling, err := envelope.DecodeRuling(m.Data)
	switch {
	case err != nil:
		r.silent(id)
	case ruling == nil:
		r.progress(id)
	default:
		if a := r.take(id); a != nil {
			a.done(*ruling)
		}
	}
}

// progress gives the decider another second.
func (r *Rulings) progress(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.waits[id]; a != nil {
		a.watch.Reset(r.progressWait)
	}
}
