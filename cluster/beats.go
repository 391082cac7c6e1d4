package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/placement"
	"patchbay/cluster/subject"
	"patchbay/internal/pause"
)

// How beats are written.
const (
	coalesce     = 20 * time.Millisecond // changes within it share a beat
	marksEvery   = 4                     // whole beats between two that repeat every mark: they matter only where a beat was lost
	maxBeatBytes = 128 << 10             // of ids in one message; the broker takes 256 KiB
)

// BeatConfig is what a node says of itself in one role.
type BeatConfig struct {
	Role string
	Node string
	Boot uint64 // of this incarnation, larger than the one before

	// Of media and actor nodes.
	Capacity int              // calls; of an actor node: its weight
	Draining func() bool      // nil: never
	Changed  <-chan struct{}  // holds a token when Live or Claims have changed; nil: never
	Greet    <-chan struct{}  // holds a token when another node has joined, which should hear of us at once; nil: never
	Lost     func(err error)  // a beat could not be sent; nil: ignored
	Sent     func(seq uint64) // a beat is about to be sent; nil: ignored

	// Of media nodes.
	Slot  call.Slot
	Live  func() map[endpoint.Key][]call.ID // nil: no calls
	Young func() []call.Mark                // nil: none
	Again func() []uint64                   // digests of those to be told once more; nil: none

	// Of actor nodes.
	Claims func() placement.Set // nil: none
}

// Beats tell the cluster that a node lives and what it carries: everything at
// its interval, and what changed within 20 ms of the change.
type Beats struct {
	cfg   BeatConfig
	conn  *Conn
	seq   uint64
	told  map[endpoint.Key]idSet // what the last beats add up to
	marks map[uint64]bool        // marks that they told, and whether as settled
	since int                    // whole beats since all marks were told
	ready chan struct{}
}

// NewBeats returns the heartbeat of one role of a node.
func NewBeats(c *Conn, cfg BeatConfig) *Beats {
	return &Beats{cfg: cfg, conn: c, told: map[endpoint.Key]idSet{}, ready: make(chan struct{})}
}

// Ready is closed after the first beat.
func (b *Beats) Ready() <-chan struct{} { return b.ready }

// Run beats until ctx ends, and says goodbye then.
func (b *Beats) Run(ctx context.Context) error {
	every := otherBeat
	if b.cfg.Role == RoleMedia {
		every = mediaBeat
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	b.whole(false)
	close(b.ready)
	for {
		select {
		case <-tick.C:
			b.whole(false)
		case <-b.cfg.Changed:
			if pause.For(ctx, coalesce) {
				b.delta()
			}
		case <-b.cfg.Greet:
			if pause.For(ctx, coalesce) {
				b.marks = nil // the newcomer has heard of none
				b.whole(false)
			}
		case <-ctx.Done():
			b.whole(true)
			return nil
		}
	}
}

// whole says everything, in as many parts as it needs.
func (b *Beats) whole(leaving bool) {
	live := b.live()
	parts := envelope.Split(live, maxBeatBytes)
	if b.since++; b.since >= marksEvery {
		b.marks, b.since = nil, 0
	}
	for i, calls := range parts {
		beat := b.beat()
		beat.Leaving, beat.Calls, beat.Part, beat.Parts = leaving, calls, i+1, len(parts)
		if i == 0 {
			beat.Young = b.young()
		}
		b.send(beat)
	}
	b.told = changed(nil, live, nil)
}

// delta says what has changed since the last beat, or everything if that is
// too much.
func (b *Beats) delta() {
	live := b.live()
	now := changed(nil, live, nil)
	began, ended := difference(now, b.told), difference(b.told, now)
	if len(envelope.Split(began, maxBeatBytes/2)) > 1 || len(envelope.Split(ended, maxBeatBytes/2)) > 1 {
		b.whole(false)
		return
	}
	beat := b.beat()
	beat.Delta, beat.Calls, beat.Ended, beat.Young = true, began, ended, b.young()
	b.send(beat)
	b.told = now
}

// young returns the marks that were not told yet, and notes them.
func (b *Beats) young() (news []call.Mark) {
	if b.cfg.Young == nil {
		return nil
	}
	if b.cfg.Again != nil {
		for _, digest := range b.cfg.Again() {
			delete(b.marks, digest)
		}
	}
	marks := b.cfg.Young()
	told := make(map[uint64]bool, len(marks))
	for _, m := range marks {
		told[m.Digest] = m.Settled
		if settled, known := b.marks[m.Digest]; !known || settled != m.Settled {
			news = append(news, m)
		}
	}
	b.marks = told
	return news
}

func (b *Beats) live() envelope.CallLists {
	if b.cfg.Live == nil {
		return nil
	}
	return b.cfg.Live()
}

// difference is what a has and b has not.
func difference(a, b map[endpoint.Key]idSet) envelope.CallLists {
	out := envelope.CallLists{}
	for key, set := range a {
		for id := range set {
			if _, ok := b[key][id]; !ok {
				out[key] = append(out[key], id)
			}
		}
	}
	return out
}

func (b *Beats) beat() envelope.Beat {
	b.seq++
	beat := envelope.Beat{
		Role: b.cfg.Role, Node: b.cfg.Node, Boot: b.cfg.Boot, Seq: b.seq,
		Slot: b.cfg.Slot, Capacity: b.cfg.Capacity,
		Draining: b.cfg.Draining != nil && b.cfg.Draining(),
	}
	if b.cfg.Claims != nil {
		beat.Claims = b.cfg.Claims()
	}
	return beat
}

// send publishes a beat by two brokers where there are several: one of them may
// hang for seconds before it is found out, and silence of 1.5 s is death.
func (b *Beats) send(beat envelope.Beat) {
	data, err := envelope.EncodeBeat(beat)
	if b.cfg.Sent != nil {
		b.cfg.Sent(beat.Seq)
	}
	if err == nil {
		err = errors.New("not connected")
		for _, nc := range b.conn.Twice() {
			if sent := nc.Publish(subject.Beat(b.cfg.Role, b.cfg.Node), data); sent == nil || err != nil {
				err = sent
			}
		}
	}
	if err != nil && b.cfg.Lost != nil {
		b.cfg.Lost(fmt.Errorf("beat of %s %s: %w", b.cfg.Role, b.cfg.Node, err))
	}
}
