package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/hooks/plan"
	"patchbay/cluster/subject"
	"patchbay/cluster/tail"
	"patchbay/internal/bodies"
	"patchbay/internal/pause"
)

// Limits of taking events up.
const (
	maxBatch  = 64              // events at once
	maxItems  = 500             // deliveries of one write
	markEvery = 5 * time.Second // how late the mark is while nobody is told
	skew      = 2 * time.Second // between clocks, for events older than a webhook
	lastOrder = uint64(1) << 62 // of a call's record: after all its events
)

// follow takes up the shard's events as they come.
func (s *shard) follow() {
	for !s.leaving() {
		if s.d.full.Load() { // each consumer that is given up costs JetStream something for a while
			s.d.told(errFull, "follow events")
			pause.For(s.ctx, again)
			continue
		}
		ctx, stop := context.WithCancel(s.ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			select {
			case <-s.quiet:
				stop()
			case <-ctx.Done():
			}
		}()
		s.mu.Lock()
		q := tail.Query{Stream: subject.StreamEvents, Filter: subject.EventsOf(s.n), From: s.at + 1}
		s.mu.Unlock()
		s.batch = nil
		err := tail.Follow(ctx, s.d.js, q, func(uint64) {}, s.take)
		stop()
		<-done
		switch {
		case errors.Is(err, errLost):
			s.lost(err)
		case !s.leaving():
			s.d.told(err, "follow events")
			pause.For(s.ctx, again)
		}
	}
}

// Errors of taking up: events wait where they are.
var (
	errFull   = errors.New("hooks: hooks.max_bytes is reached")
	errEnding = errors.New("hooks: the end of a delivery that is to be sent again is not written down yet")
)

// take gathers events while more are on their way.
func (s *shard) take(m tail.Message) error {
	s.batch = append(s.batch, m)
	if m.Pending > 0 && len(s.batch) < maxBatch {
		return nil
	}
	batch := s.batch
	s.batch = nil
	return s.absorb(batch)
}

// A found is a delivery that an event brings about.
type found struct {
	item
	expect uint64 // of what is stored of it
	over   bool   // there is no room for it
}

// absorb writes down who is to hear of events, in one write with how far they
// are taken up.
func (s *shard) absorb(batch []tail.Message) error {
	if s.d.full.Load() {
		return errFull
	}
	last := batch[len(batch)-1].Sequence
	var all []*found
	var closed []string
	for _, m := range batch {
		more, lane, err := s.deliveries(m)
		if err != nil {
			return err
		}
		if all = append(all, more...); lane != "" {
			closed = append(closed, lane)
		}
	}
	all, err := s.fitting(all)
	if err == nil {
		err = s.write(all, last)
	}
	if err != nil {
		return err
	}
	clear(s.noted)
	s.mu.Lock()
	for _, lane := range closed {
		s.plan.Release(lane, time.Now())
	}
	s.mu.Unlock()
	s.nudge()
	return nil
}

// deliveries returns who is to hear of one event. closes names a lane in which
// nothing is missing any more.
func (s *shard) deliveries(m tail.Message) (all []*found, closes string, err error) {
	ev, err := bodies.Parse(m.Data)
	if err != nil {
		s.d.log.Warn("event not understood", "subject", m.Subject, "err", err)
		return nil, "", nil
	}
	if len(m.Data) > maxEvent {
		s.d.log.Error("event too large for webhooks", "event", ev.ID, "tenant", ev.Tenant, "bytes", len(m.Data))
		s.ended(EndDropped)
		return nil, "", nil
	}
	at := s.note(m.Sequence, &ev)
	if at.closes {
		closes = laneOf(ev.Call, ev.ID)
	}
	switch ev.Type {
	case bodies.EventTest:
		return s.one(&ev, named(ev.Data, "webhook"), ev.Raw), closes, nil
	case eventAgain:
		return s.repeated(&ev), closes, nil
	}
	targets, err := s.targets(&ev)
	for _, target := range targets {
		f := s.found(&ev, target, ev.Raw)
		if at.gap {
			f.Held, f.Next = true, time.Now().Add(s.d.cfg.GapWait)
		}
		all = append(all, f)
	}
	return all, closes, err
}

func (s *shard) found(ev *bodies.Event, target string, raw []byte) *found {
	order := ev.Seq
	if ev.Type == bodies.EventRecord {
		order = lastOrder
	}
	return &found{item: item{V: envelope.Version, ID: deliveryID(target, ev.ID), Tenant: ev.Tenant, Target: target, Lane: laneOf(ev.Call, ev.ID),
		Order: order, Born: ev.At, Next: time.Now(), Event: raw}}
}

func named(data map[string]any, key string) string {
	text, _ := data[key].(string)
	return text
}

// targets are those who want an event.
func (s *shard) targets(ev *bodies.Event) (names []string, err error) {
	hooks, err := s.d.cfg.Directory.WebhooksOf(s.ctx, ev.Tenant)
	if err != nil {
		return nil, fmt.Errorf("%w: webhooks of %s: %w", errAway, ev.Tenant, err)
	}
	agent := ""
	if ev.Facts != nil {
		agent = ev.Facts.Agent
	}
	for i := range hooks {
		if wants(&hooks[i], ev, agent) {
			names = append(names, hooks[i].ID)
		}
	}
	if agent == "" {
		return names, nil
	}
	a, err := s.d.cfg.Directory.Agent(s.ctx, ev.Tenant, agent)
	switch {
	case errors.Is(err, endpoint.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("%w: agent %s: %w", errAway, agent, err)
	default:
		if w, ok := a.Webhook(); ok && wants(&w, ev, agent) {
			names = append(names, agentPrefix+a.ID)
		}
	}
	return names, nil
}

// wants reports whether an event of an agent's call, or of none, is for a
// webhook. None hears of its own silence, or of what was before it.
func wants(w *endpoint.Webhook, ev *bodies.Event, agent string) bool {
	name := bodies.Name(w.Kind, ev)
	switch {
	case name == "" || !w.Wants(name):
		return false
	case w.AgentID != nil && *w.AgentID != agent:
		return false
	case ev.Type == bodies.EventDead && named(ev.Data, "webhook_id") == w.ID:
		return false
	}
	return ev.At.Add(skew).After(w.CreatedAt)
}

// fitting leaves out what waits already, and gives up what there is no room for.
func (s *shard) fitting(all []*found) (rest []*found, err error) {
	s.mu.Lock()
	seen, more := map[string]bool{}, map[string]int{}
	for _, f := range all {
		if f.expect == anyVersion && s.ending[f.ID] { // wished for again by who knows how it ended
			s.mu.Unlock()
			return nil, errEnding
		}
		if s.plan.Has(f.ID) || seen[f.ID] {
			continue
		}
		seen[f.ID] = true
		more[f.Target]++
		f.over = !s.plan.Room(f.Tenant, f.Target, more[f.Target])
		rest = append(rest, f)
	}
	s.mu.Unlock()
	kept := rest[:0]
	for _, f := range rest {
		if !f.over {
			kept = append(kept, f)
			continue
		}
		f.Failure = plan.WhyTooMany
		if err := s.bury(s.ctx, &f.item); err != nil {
			return nil, err
		}
		s.ended(EndDead)
	}
	return kept, nil
}

// write writes deliveries and the mark, all or nothing, and puts them into the
// plan. More than one write holds go before it, without the mark: taken up twice
// they are found.
func (s *shard) write(all []*found, last uint64) error {
	for len(all) > maxItems {
		if err := s.writeSome(all[:maxItems], 0); err != nil {
			return err
		}
		all = all[maxItems:]
	}
	if len(all) > 0 || time.Since(s.marked) >= markEvery {
		if err := s.writeSome(all, last); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.at = max(s.at, last)
	s.mu.Unlock()
	return nil
}

// writeSome is one write; last 0: without the mark.
func (s *shard) writeSome(all []*found, last uint64) error {
	if err := s.expectations(all, func(f *found) bool { return f.expect == anyVersion }); err != nil {
		return err
	}
	for try := 0; ; try++ {
		all = fresh(all)
		writes, err := s.writes(all, last)
		if err != nil || len(writes) == 0 {
			return err
		}
		rev, err := put(s.ctx, s.d.js, writes...)
		if err == nil {
			s.written(all, rev, last)
			return nil
		}
		if !isRevision(err) {
			return err
		}
		if err := s.still(last); err != nil || try > 2 {
			return errors.Join(errLost, err)
		}
		// The mark is as we know it, so one of the deliveries is there.
		if err := s.expectations(all, func(*found) bool { return true }); err != nil {
			return err
		}
	}
}

func (s *shard) writes(all []*found, last uint64) ([]write, error) {
	writes := make([]write, 0, len(all)+1)
	for _, f := range all {
		data, err := json.Marshal(&f.item)
		if err != nil {
			return nil, fmt.Errorf("write a delivery: %w", err)
		}
		writes = append(writes, write{to: subject.HookDue(s.n, f.Target, f.ID), expect: f.expect, data: data})
	}
	if last == 0 {
		return writes, nil
	}
	node, boot := s.d.lease.me()
	data, err := json.Marshal(mark{V: envelope.Version, Node: node, Boot: boot, Seq: last})
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(writes, write{to: subject.HookMark(s.n), expect: s.markRev, data: data}), err
}

func (s *shard) written(all []*found, rev, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := rev - uint64(len(all)) + 1
	if last > 0 {
		first--
		s.markRev, s.marked = rev, time.Now()
	}
	for i, f := range all {
		s.plan.Add(planned(&f.item, first+uint64(i)))
	}
}

// still returns an error unless the mark is as this node wrote it.
func (s *shard) still(last uint64) error {
	m, _, err := get(s.ctx, s.d.js.Conn(), subject.StreamHooks, subject.HookMark(s.n))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Sequence != s.markRev {
		return fmt.Errorf("the mark is at %d, not %d, for %d", m.Sequence, s.markRev, last)
	}
	return nil
}

// expectations reads at which version deliveries are that are to be written. One
// that waits is marked as over: it is written already.
func (s *shard) expectations(all []*found, which func(*found) bool) error {
	for _, f := range all {
		if !which(f) {
			continue
		}
		again := f.expect == anyVersion
		m, there, err := get(s.ctx, s.d.js.Conn(), subject.StreamHooks, subject.HookDue(s.n, f.Target, f.ID))
		switch {
		case err != nil:
			return err
		case there, m.Sequence > 0 && !again && f.expect != m.Sequence: // it waits, or has ended a moment ago: a copy of the event
			f.over = true
		}
		f.expect = m.Sequence
	}
	return nil
}

// fresh are those that are not there yet.
func fresh(all []*found) (rest []*found) {
	for _, f := range all {
		if !f.over {
			rest = append(rest, f)
		}
	}
	return rest
}
