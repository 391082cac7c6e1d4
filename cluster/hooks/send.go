package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/hooks/plan"
	"patchbay/cluster/subject"
	"patchbay/internal/bodies"
	"patchbay/internal/pause"
	"patchbay/internal/webhook"
)

// idleWait is how long nothing may be looked at while nothing is due: only
// clocks that jump make it matter.
const idleWait = time.Minute

// send sends what is due until the shard ends.
func (s *shard) send() {
	var all sync.WaitGroup
	defer all.Wait()
	for !s.leaving() {
		s.mu.Lock()
		now := time.Now()
		due, given, next := s.plan.Start(now), s.plan.Given(), s.plan.Next()
		s.mu.Unlock()
		for _, d := range due {
			all.Go(func() { s.d.guard(func() { s.deliver(d) }) })
		}
		if len(given) > 0 {
			all.Go(func() { s.giveUpAll(given) })
		}
		wait := idleWait
		if !next.IsZero() {
			wait = min(wait, next.Sub(now))
		}
		timer := time.NewTimer(max(wait, time.Millisecond))
		select {
		case <-timer.C:
		case <-s.kick:
		case <-s.quiet:
		case <-s.ctx.Done():
		}
		timer.Stop()
	}
}

// deliver tries one delivery, and writes down how that ended.
func (s *shard) deliver(d *plan.Delivery) {
	defer s.nudge()
	settled := false
	defer func() {
		if !settled { // not tried, or by a panic: it is due again
			pause.For(s.ctx, again)
			s.mu.Lock()
			s.plan.Return(d, time.Now())
			s.mu.Unlock()
		}
	}()
	it, err := s.read(d)
	if err != nil {
		return
	}
	occasion, gone, err := s.occasion(it)
	if err != nil {
		s.d.told(err, "prepare a delivery")
		return
	}
	result, receipt := plan.Gone, webhook.Receipt{}
	if !gone {
		if result, receipt = s.tell(occasion); s.ctx.Err() != nil && result != plan.Delivered {
			return // the node stops, or has lost the shard: the target has done nothing wrong
		}
	}
	verdict := s.judged(d, result, receipt)
	it.Tries, it.Status, it.Failure = it.Tries+1, receipt.Status, receipt.Failure
	settled = s.settle(d, it, verdict, endOf(verdict, gone))
}

func endOf(v plan.Verdict, gone bool) string {
	switch {
	case gone:
		return EndDropped
	case v.Done:
		return EndDelivered
	case v.Dead:
		return EndDead
	}
	return ""
}

// tell asks the target to take it, within its time.
func (s *shard) tell(o webhook.Occasion) (plan.Result, webhook.Receipt) {
	select {
	case s.d.slots <- struct{}{}:
		defer func() { <-s.d.slots }()
	case <-s.ctx.Done():
		return plan.Failed, webhook.Receipt{}
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.d.cfg.Timeout)
	defer cancel()
	begun := time.Now()
	receipt := s.d.cfg.Tell(ctx, o)
	taken := receipt.Failure == ""
	if s.d.obs.Tried != nil {
		s.d.obs.Tried(time.Since(begun), taken)
	}
	if taken {
		return plan.Delivered, receipt
	}
	return plan.Failed, receipt
}

// read reads what is stored of a delivery. Where that is not as the plan has it,
// the shard is read anew.
func (s *shard) read(d *plan.Delivery) (*item, error) {
	m, there, err := get(s.ctx, s.d.js.Conn(), subject.StreamHooks, subject.HookDue(s.n, d.Target, d.ID))
	if err != nil {
		return nil, err
	}
	if !there || m.Sequence != d.Version {
		err = fmt.Errorf("%w: delivery %s is at %d, not %d", errLost, d.ID, m.Sequence, d.Version)
		s.lost(err)
		return nil, err
	}
	it, err := decode[item](m.Subject, m.Data)
	return &it, err
}

// occasion is what is posted. gone: nobody is there any more who wants it.
func (s *shard) occasion(it *item) (o webhook.Occasion, gone bool, err error) {
	w, err := s.webhook(it)
	if errors.Is(err, endpoint.ErrNotFound) {
		return o, true, nil
	}
	if err != nil {
		return o, false, err
	}
	ev, err := bodies.Parse(it.Event)
	if err != nil {
		return o, false, err
	}
	s.introduce(&ev)
	o = webhook.Occasion{Kind: w.Kind, URL: w.URL, ID: it.ID}
	if bodies.Name(w.Kind, &ev) == "" { // it had another kind then
		return o, true, nil
	}
	if o.Body, err = bodies.Render(w.Kind, &ev); err != nil {
		return o, false, err
	}
	for _, secret := range w.Secrets {
		open, err := s.d.cfg.Unseal(secret.Secret)
		if err != nil {
			return o, false, fmt.Errorf("webhook %s: a secret of it cannot be opened", w.ID)
		}
		o.Secrets = append(o.Secrets, open)
	}
	return o, false, nil
}

// introduce adds the names that are not in an event. Those that cannot be found
// now are left out.
func (s *shard) introduce(ev *bodies.Event) {
	if acct, err := s.d.cfg.Directory.Account(s.ctx, ev.Tenant); err == nil {
		ev.Company = acct.ID
	}
	if ev.Facts == nil || ev.Facts.Agent == "" {
		return
	}
	if a, err := s.d.cfg.Directory.Agent(s.ctx, ev.Tenant, ev.Facts.Agent); err == nil {
		ev.AgentName = a.Name
	}
}

// webhook is the target as it is now.
func (s *shard) webhook(it *item) (endpoint.Webhook, error) {
	id, ofAgent := strings.CutPrefix(it.Target, agentPrefix)
	if !ofAgent {
		return s.d.cfg.Directory.Webhook(s.ctx, it.Tenant, it.Target)
	}
	a, err := s.d.cfg.Directory.Agent(s.ctx, it.Tenant, id)
	if err != nil {
		return endpoint.Webhook{}, err
	}
	w, ok := a.Webhook()
	if !ok {
		return w, endpoint.ErrNotFound
	}
	return w, nil
}

// maxGivingUp is how many deliveries that are given up without a try are written
// down at once: a webhook that is deleted may have ten thousand.
const maxGivingUp = 16

// giveUpAll writes down that deliveries are given up without a try. What is left
// of them when the shard is given away, its next owner finds.
func (s *shard) giveUpAll(given []plan.Given) {
	var all sync.WaitGroup
	defer all.Wait()
	gate := make(chan struct{}, maxGivingUp)
	for _, g := range given {
		if gate <- struct{}{}; s.leaving() {
			return
		}
		all.Go(func() {
			defer func() { <-gate }()
			s.d.guard(func() { s.giveUp(g) })
		})
	}
}

// giveUp writes down that a delivery is given up without a try.
func (s *shard) giveUp(g plan.Given) {
	defer s.nudge()
	it, err := s.read(g.Delivery)
	for errors.Is(err, errAway) && pause.For(s.ctx, again) {
		it, err = s.read(g.Delivery)
	}
	if err != nil {
		return
	}
	v, end := plan.Verdict{Dead: true}, EndDead
	if g.Why == plan.WhyGone {
		v, end = plan.Verdict{Done: true}, EndDropped
	} else if it.Failure == "" {
		it.Failure = g.Why
	}
	s.settle(g.Delivery, it, v, end)
}

// settle writes down what became of a try, until that is done or the shard is
// lost.
func (s *shard) settle(d *plan.Delivery, it *item, v plan.Verdict, end string) bool {
	if v.Done || v.Dead {
		s.mu.Lock()
		s.ending[d.ID] = true
		s.mu.Unlock()
	}
	for {
		version, err := s.store(d, it, v, end)
		switch {
		case err == nil:
			s.mu.Lock()
			d.Version = version
			s.plan.Settle(d, v, time.Now())
			delete(s.ending, d.ID)
			s.mu.Unlock()
			s.ended(end)
			return true
		case isRevision(err):
			s.lost(err)
			return true // it is another's, or read anew
		}
		s.d.told(err, "write a delivery down")
		if !pause.For(s.ctx, again) {
			return true
		}
	}
}

func (s *shard) ended(end string) {
	if end != "" && s.d.obs.Ended != nil {
		s.d.obs.Ended(end)
	}
}

// store writes what became of a try: first where owners find it, then over what
// waits.
func (s *shard) store(d *plan.Delivery, it *item, v plan.Verdict, end string) (uint64, error) {
	w := write{to: subject.HookDue(s.n, d.Target, d.ID), expect: d.Version}
	switch {
	case v.Dead:
		if err := s.bury(s.ctx, it); err != nil {
			return 0, err
		}
	case v.Done && end == EndDelivered:
		s.logged(it, EndDelivered)
	case !v.Done:
		next := *it
		next.Next, next.Held = v.Next, false
		var err error
		if w.data, err = json.Marshal(&next); err != nil {
			return 0, err
		}
	}
	version, err := put(s.ctx, s.d.js, w)
	if isRevision(err) {
		return s.landed(w, err)
	}
	return version, err
}

// landed looks whether a write that was refused had landed before, unheard;
// else it was refused for the reason given.
func (s *shard) landed(w write, refused error) (uint64, error) {
	m, there, err := get(s.ctx, s.d.js.Conn(), subject.StreamHooks, w.to)
	switch {
	case err != nil:
		return 0, err
	case there != (w.data != nil), there && string(m.Data) != string(w.data):
		return 0, refused
	}
	return m.Sequence, nil
}

// logged tells owners of a delivery that was taken. Nothing waits for it: that
// it is lost costs no event.
func (s *shard) logged(it *item, how string) {
	data, err := s.entry(it)
	if err == nil {
		_, _ = s.d.js.PublishMsgAsync(&nats.Msg{Subject: subject.HookLog(it.Tenant, it.Target, how), Data: data})
	}
}

func (s *shard) entry(it *item) ([]byte, error) {
	return json.Marshal(&entry{V: envelope.Version, ID: it.ID, Tries: it.Tries, At: time.Now().UTC(), Status: it.Status, Failure: it.Failure, Event: it.Event})
}

// bury writes a delivery to the dead letters, and says so with an event.
func (s *shard) bury(ctx context.Context, it *item) error {
	data, err := s.entry(it)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	if _, err := s.d.js.PublishMsg(ctx, &nats.Msg{Subject: subject.HookLog(it.Tenant, it.Target, EndDead), Data: data}, jetstream.WithMsgID(it.ID+".dead."+it.Born.String())); err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	dead, err := bodies.Parse(it.Event)
	if err != nil || dead.Type == bodies.EventDead || dead.Type == bodies.EventTest { // of these nobody is told again
		return nil
	}
	ev := actors.CallEvent{V: envelope.Version, ID: it.ID + ".dead", Call: dead.Call, Type: bodies.EventDead, At: time.Now().UTC(),
		Tenant: it.Tenant, Endpoint: dead.Endpoint, Data: map[string]any{"webhook_id": it.Target, "delivery_id": it.ID, "event_id": dead.ID,
			"event": dead.Type, "failure": it.Failure, "attempts": it.Tries}}
	return publish(ctx, s.d.js, ev)
}

// publish puts an event of ours on the event stream.
func publish(ctx context.Context, js jetstream.JetStream, ev actors.CallEvent) error {
	data, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	to := subject.Event(subject.EventShard(ev.Tenant), ev.Tenant, ev.Type)
	if _, err = js.PublishMsg(ctx, &nats.Msg{Subject: to, Data: data}, jetstream.WithMsgID(ev.ID)); err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	return nil
}
