package cluster

import (
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"patchbay/cluster/subject"
)

// A PartitionDoor is where an actor node takes messages about endpoints: of the
// partitions that it owns, and, from the time it is opened, those that any
// decider may take. It begins closed.
type PartitionDoor struct {
	nc    *nats.Conn
	obs   DoorObserver
	lines []line
	stop  chan struct{}
	wg    sync.WaitGroup

	mu     sync.Mutex
	open   bool
	closed bool
	held   map[uint8]subscriptions
	any    subscriptions
}

// A line is one kind of message. All its subscriptions feed one queue and one
// goroutine: 256 partitions cost no more than one.
type line struct {
	owner func(k uint8) string // where the owner of a partition is asked
	any   string               // where any decider is; empty: nowhere
	take  func(*nats.Msg)
	queue chan *nats.Msg
}

func newPartitionDoor(nc *nats.Conn, obs DoorObserver, lines ...line) *PartitionDoor {
	d := &PartitionDoor{nc: nc, obs: obs, lines: lines, stop: make(chan struct{}), held: make(map[uint8]subscriptions)}
	for i := range d.lines {
		d.lines[i].queue = make(chan *nats.Msg, maxPendingInvites)
	}
	return d
}

// work takes a line's messages one at a time. What has come is still taken when
// the door closes.
func (d *PartitionDoor) work(l *line) {
	for {
		select {
		case m := <-l.queue:
			d.take(l, m)
		case <-d.stop:
			for {
				select {
				case m := <-l.queue:
					d.take(l, m)
				default:
					return
				}
			}
		}
	}
}

func (d *PartitionDoor) take(l *line, m *nats.Msg) {
	defer contain(d.obs.Panic)
	l.take(m)
}

// Open takes what any decider may take. It may be called again.
func (d *PartitionDoor) Open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open || d.closed {
		return nil
	}
	d.open = true
	for i := range d.lines {
		l := &d.lines[i]
		d.wg.Go(func() { d.work(l) })
		if l.any == "" {
			continue
		}
		sub, err := d.subscribe(l, l.any)
		if err != nil {
			return err
		}
		d.any = append(d.any, sub)
	}
	return nil
}

// Own takes messages about partition k too, once the door is open. Two owners during a hand-over share
// them: they are one queue group.
func (d *PartitionDoor) Own(k uint8) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.held[k] != nil {
		return nil
	}
	subs := make(subscriptions, 0, len(d.lines))
	for i := range d.lines {
		sub, err := d.subscribe(&d.lines[i], d.lines[i].owner(k))
		if err != nil {
			subs.close()
			return err
		}
		subs = append(subs, sub)
	}
	d.held[k] = subs
	return nil
}

// Release takes messages about partition k no longer.
func (d *PartitionDoor) Release(k uint8) {
	d.mu.Lock()
	defer d.mu.Unlock()
	subs := d.held[k]
	delete(d.held, k)
	subs.close()
}

func (d *PartitionDoor) subscribe(l *line, subj string) (*nats.Subscription, error) {
	sub, err := d.nc.ChanQueueSubscribe(subj, subject.Deciders, l.queue)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subj, err)
	}
	return sub, nil
}

// Close stops taking messages: edges ask other deciders from now on. It returns
// once those that have come are taken, and may be called twice.
func (d *PartitionDoor) Close() {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		d.any.close()
		for _, subs := range d.held {
			subs.close()
		}
		clear(d.held)
		close(d.stop)
	}
	d.mu.Unlock()
	d.wg.Wait()
}
