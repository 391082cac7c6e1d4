package actors

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// An actor carries one call. Its fields belong to its loop, except those of
// its identity, which never change, and its inbox.
type actor struct {
	calls *Calls
	loop  *Loop
	id    call.ID
	job   Job

	invitation call.Invitation
	machine    Machine
	stopAsking func()         // while a ruling is waited for
	ruling     Ruling         // context and metadata that the owner's webhook gave
	facing     netip.AddrPort // of a call that we place: where its INVITE goes first; zero: nobody has looked
	seeking    call.ID        // target, or other call, that is asked about; 0: none
	partner    Bridge         // of the call that is ready to be joined with this one
	loose      bool           // it could not be
	begun      bool           // the call has had its Invited
	early      *call.Event    // a hangup that came before
	bridge     Bridge         // while open
	quality    call.Quality   // measured when the bridge was closed
	seq        uint64         // of events
	over       bool           // finished: no longer live
	gone       bool           // dropped

	lost     bool   // another node carried it until that died
	second   bool   // and a copy of its INVITE has begun another call here
	released bool   // another node has it now
	copy     *Copy  // what others are told of it while it is young; nil: nothing
	settled  bool   // the carrier has acknowledged it
	yielded  bool   // another node has a copy that comes before this one
	kept     uint64 // revision of the dialog in the last snapshot

	targets int      // dialogs begun for REFERs of the carrier's
	refused *decline // of the last INVITE that might not take the call over; nil: none
	arrival *arrival // an INVITE that asks to take the call over, while that is decided; nil: none

	dialogTimer *Timer
	keepTimer   *Timer
	agentTimer  *Timer
	limitTimer  *Timer
	rulingTimer *Timer
	ringTimer   *Timer
	targetTimer *Timer // of whom a carrier's REFER has us call
	leaveTimer  *Timer // of a carrier that was transferred

	inbox     inbox
	lingering *list.Element // owned by Calls.linger
}

// prepare gives the actor its call, before its loop knows it.
func (a *actor) prepare(dialog Dialog, inv call.Invitation) {
	c := a.calls
	params := call.Params{ID: a.id, Tenant: a.job.Tenant, Endpoint: string(a.job.Endpoint), Node: c.node, DecisionID: a.job.DecisionID, Refers: a.job.Refers}
	if agent := a.job.Agent; agent != nil {
		inv.From.Trusted = agent.TrustCallerID
		params.Agents = candidates(a.job.agents())
		params.AgentTimeout, params.MaxDuration = a.patience(agent)
	}
	switch wait := a.rulingWait(); {
	case a.job.Agent == nil:
		params.Consult = wait
	default:
		params.Fallback = wait
	}
	if a.job.Dial != nil {
		a.outbound(&params)
	}
	params.Early = a.earliness()
	params.Invitation, a.invitation = inv, inv
	a.machine = Machine{Dialog: dialog, Call: call.New(params)}
	a.arm()
}

// arm makes the actor's timers, none of them set.
func (a *actor) arm() {
	a.dialogTimer = a.loop.Timer(a.wake)
	a.keepTimer = a.loop.Timer(a.keep)
	a.agentTimer = a.loop.Timer(a.due(call.TimerAgent))
	a.limitTimer = a.loop.Timer(a.due(call.TimerDuration))
	a.rulingTimer = a.loop.Timer(a.due(call.TimerRuling))
	a.ringTimer = a.loop.Timer(a.due(call.TimerRing))
	a.targetTimer = a.loop.Timer(a.due(call.TimerTarget))
	a.leaveTimer = a.loop.Timer(a.due(call.TimerTransfer))
}

// rulingWait is how long the call may wait for the owner's webhook; 0: it is
// not asked.
func (a *actor) rulingWait() time.Duration {
	if a.job.Consult == nil || a.calls.ports.Rulings == nil {
		return 0
	}
	return max(time.Duration(a.job.Consult.WithinMs)*time.Millisecond, rulingSlack)
}

// patience is how long an agent may take to join, and how long its calls last.
func (a *actor) patience(agent *endpoint.Agent) (join, longest time.Duration) {
	return orDefault(agent.JoinTimeoutMs, a.calls.limits.AgentTimeout), orDefault(agent.MaxDurationMs, a.calls.limits.MaxDuration)
}

func orDefault(ms int64, otherwise time.Duration) time.Duration {
	if ms > 0 {
		return time.Duration(ms) * time.Millisecond
	}
	return otherwise
}

// begin is the actor's first message.
func (a *actor) begin(now time.Time) {
	a.begun = true
	first := call.Event{Kind: call.Invited}
	if a.job.Dial != nil {
		first.Kind = call.Placed
	}
	a.happen(now, first)
	if a.calls.observer.Started != nil {
		a.calls.observer.Started(a.status())
	}
	if a.early != nil {
		a.happen(now, *a.early)
	}
}

func (a *actor) happen(now time.Time, ev call.Event) {
	if !a.begun {
		a.early = &ev
		return
	}
	if ev.Kind == call.TransferAsked && ev.Transfer != nil {
		a.bar(ev.Transfer)
	}
	if !a.gone {
		a.perform(now, a.machine.HandleEvent(now, ev))
	}
}

func (a *actor) receive(now time.Time, p call.Packet) {
	if a.begun && !a.gone && !a.arrives(now, p) {
		a.perform(now, a.machine.HandlePacket(now, p))
	}
}

func (a *actor) wake(now time.Time) {
	if !a.gone {
		a.perform(now, a.machine.HandleWake(now))
	}
}

func (a *actor) due(timer call.Timer) Message {
	return func(now time.Time) { a.happen(now, call.Event{Kind: call.TimerDue, Timer: timer}) }
}

// perform carries out what the machine asks for, in order, and lets the call
// go once nothing of it need be kept.
func (a *actor) perform(now time.Time, actions []Action) {
	for i := range actions {
		a.act(now, &actions[i])
	}
	if a.machine.Done() {
		a.drop(now)
		return
	}
	a.dialogTimer.Set(a.machine.Deadline())
	a.acknowledged()
	a.noticed(now)
}

// act carries out one action. A panic costs that action only: the ones after
// it may be the end of the call.
func (a *actor) act(now time.Time, action *Action) {
	defer func() {
		if v := recover(); v != nil {
			a.calls.host.panicked(a.loop.index, v)
		}
	}()
	if action.Send != nil {
		a.send(*action.Send)
		return
	}
	switch effect := &action.Effect; effect.Do {
	case call.AskRuling:
		a.askRuling()
	case call.SendInvite:
		a.keep(now)
	case call.AskReferral:
		a.askReferral(now, effect.Referral)
	case call.Arm:
		a.timer(effect.Timer).Set(now.Add(effect.After))
	case call.Disarm:
		a.timer(effect.Timer).Stop()
	case call.Emit:
		a.emit(now, effect.Name, effect.Event)
	case call.Finish:
		a.finish(*effect.Record)
	default:
		a.actOnMedia(now, effect)
	}
}

// actOnMedia carries out what concerns the bridge.
func (a *actor) actOnMedia(now time.Time, effect *call.Effect) {
	switch {
	case effect.Do == call.OpenBridge:
		a.open(a.asked(now, effect.Dispatch))
	case effect.Do == call.OpenCarrier:
		a.seek()
	case effect.Do == call.CloseBridge:
		a.close(effect.Cause)
	case a.actOnOther(effect):
	case a.bridge == nil:
	case effect.Do == call.AskAgent:
		a.bridge.Ask(a.asked(now, effect.Dispatch))
	case effect.Do == call.TakeAnswer:
		a.bridge.Join(*effect.Answer)
	case effect.Do == call.PlayKeys:
		a.bridge.Press(effect.Keys)
	case effect.Do == call.UpdateMedia:
		a.bridge.Update(*effect.Agreement)
	}
}

func (a *actor) timer(name call.Timer) *Timer {
	switch name {
	case call.TimerAgent:
		return a.agentTimer
	case call.TimerRuling:
		return a.rulingTimer
	case call.TimerRing:
		return a.ringTimer
	case call.TimerTarget:
		return a.targetTimer
	case call.TimerTransfer:
		return a.leaveTimer
	}
	return a.limitTimer
}

func (a *actor) open(first Asked) {
	a.bridge = a.calls.ports.Switchboard.Open(BridgeRequest{
		ID: a.id, Tenant: a.job.Tenant, Endpoint: a.job.Endpoint, Asked: first, Invitation: a.invitation, Codecs: a.job.Codecs, DTMF: a.job.DTMF,
		Ringback: a.job.Early.Tone(),
	}, a.post)
}

func (a *actor) close(cause call.Cause) {
	if bridge := a.bridge; bridge != nil {
		a.bridge = nil
		defer bridge.Close(cause) // also when measuring fails: it holds ports
		a.quality = bridge.Quality()
	}
}

// finish ends the call as far as caps, counts and records are concerned. Its
// dialog may linger.
func (a *actor) finish(rec call.Record) {
	a.leave()
	rec.Quality, rec.Metadata = a.quality, call.Document(a.ruling.Metadata)
	if a.job.Dial == nil {
		rec.Headers = a.invitation.Told()
	}
	if !a.yielded || a.job.Dial == nil { // the other copy of a call of ours has its id
		a.calls.ports.Ledger.Record(rec)
	}
	if a.calls.observer.Ended != nil {
		a.calls.observer.Ended(rec)
	}
	a.job.Failover = nil
	a.invitation, a.job.Agent, a.ruling = call.Invitation{}, nil, Ruling{} // a lingering call needs none of it
	a.job.Transfer, a.partner = nil, nil
	if d := a.job.Dial; d != nil {
		a.job.Dial = &Dial{ID: d.ID, For: d.For}
	}
	a.job.Packet = call.Packet{}
}

// leave takes the call out of what counts, once.
func (a *actor) leave() {
	if a.over {
		return
	}
	a.over = true
	a.outlived()
	a.keepTimer.Stop()
	if stop := a.stopAsking; stop != nil {
		a.stopAsking = nil
		stop()
	}
	a.forgetArrival()
	c := a.calls
	c.census.leave(a.id, a.job.Endpoint, a.job.Project)
	c.live.Add(-1)
	if oldest := c.linger.add(a); oldest != nil {
		// ErrStopped: the host drops it with everything else.
		_ = oldest.loop.Post(oldest.drop)
	}
}

// drop forgets the call. Its transaction key is kept for a while, so that a
// late copy of the INVITE begins no other call.
func (a *actor) drop(now time.Time) {
	if a.gone {
		return
	}
	a.gone = true
	a.leave() // unless a panic has kept Finish from it
	cause := call.CauseInternal
	if a.released {
		cause = call.CauseNodeLost
	}
	a.close(cause)
	c := a.calls
	for _, t := range []*Timer{a.dialogTimer, a.agentTimer, a.limitTimer, a.rulingTimer, a.ringTimer, a.targetTimer, a.leaveTimer, a.keepTimer} {
		t.Stop()
	}
	c.linger.remove(a)
	c.index.remove(a.id)
	shard := c.keys.shard(a.job.Key)
	shard.Lock()
	defer shard.Unlock()
	if a.second { // the key stands for another call
		return
	}
	entry := &keyEntry{branch: a.job.Branch, id: a.id, passed: a.yielded, until: now.Add(c.keys.ttl)}
	shard.remember(a.job.Key, entry, now)
}

// Bounds of an inbox. Digits give way to news that a call cannot miss.
const (
	maxEvents = 64
	maxDigits = 48
)

// An inbox holds a call's news from media until its loop takes them, with one
// message for all, so that no call can fill the mailbox it shares.
type inbox struct {
	mu        sync.Mutex
	events    []call.Event
	announced bool // the loop has a message to look
}

// post is where the bridge tells its news. It never blocks; beyond maxEvents
// that wait, news are lost.
func (a *actor) post(ev call.Event) {
	limit := maxEvents
	if ev.Kind == call.Digit {
		limit = maxDigits
	}
	a.inbox.mu.Lock()
	full := len(a.inbox.events) >= limit
	if !full {
		a.inbox.events = append(a.inbox.events, ev)
	}
	announce := !full && !a.inbox.announced
	a.inbox.announced = a.inbox.announced || announce
	a.inbox.mu.Unlock()
	if announce {
		// ErrStopped: the call has ended with its host.
		_ = a.loop.Post(a.look)
	}
}

// look takes the inbox, one event per turn.
func (a *actor) look(now time.Time) {
	a.inbox.mu.Lock()
	events := a.inbox.events
	a.inbox.events, a.inbox.announced = nil, false
	a.inbox.mu.Unlock()
	for _, ev := range events {
		a.loop.turn(func(now time.Time) { a.happen(now, ev) }, now)
	}
}
