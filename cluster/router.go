package cluster

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// An Outcome is what became of an INVITE or CANCEL: taken by a call actor, or
// to be answered statelessly.
type Outcome = actors.Outcome

// Why a Router itself answers 503.
const (
	whyNobody = "no_decider" // nobody answered
	whyFull   = "full"       // too many wait for an outcome
)

// ErrUnavailable says that nobody could be asked: NATS is away.
var ErrUnavailable = errors.New("cluster: nobody can be asked")

// RouterConfig is what an operator may set of a Router.
type RouterConfig struct {
	MaxPending   int           // messages that may wait for an answer at once; beyond it 503
	OwnerTimeout time.Duration // wait for a partition's owner
}

// A RouterObserver hears how asks went. Nil hooks are skipped.
type RouterObserver struct {
	Asked    func(step string, took time.Duration, err error) // step: owner, any, any_again, call, find
	Fallback func(from string)                                // step that gave no answer
	Outcome  func(o Outcome, took time.Duration)
	Refused  func(why string) // 503 of the Router itself: no_decider, full
	Panic    func(any)
}

// A Router takes an edge's messages to whoever decides about them.
type Router struct {
	asker  *asker
	cfg    RouterConfig
	obs    RouterObserver
	found  *ring[call.ID, call.Slot]
	doubts *doubts
	held   held

	// anyTimeout, callTimeout, findTimeout, echoTimeout and maxHold, but in tests.
	anyWait, callWait, findWait, echoWait, holdTime time.Duration

	unheard silence // of deciders

	mu      sync.Mutex
	invites map[call.TransactionKey]*inviteAsk // INVITEs without an outcome, at most MaxPending
}

// NewRouter returns a Router over c's hot connection.
func NewRouter(c *Conn, cfg RouterConfig, obs RouterObserver) (*Router, error) {
	a, err := newAsker(c.Hot(), cfg.MaxPending, obs.Panic)
	if err != nil {
		return nil, fmt.Errorf("start router: %w", err)
	}
	return &Router{asker: a, cfg: cfg, obs: obs, found: newRing[call.ID, call.Slot](maxFound), doubts: newDoubts(maxDoubts),
		anyWait: anyTimeout, callWait: callTimeout, findWait: findTimeout, echoWait: echoTimeout, holdTime: maxHold, invites: make(map[call.TransactionKey]*inviteAsk)}, nil
}

// Pending is how many messages wait for an answer.
func (r *Router) Pending() int { return r.asker.waiting() }

// Close ends all asks; their done functions hear a 503 or an error.
func (r *Router) Close() { r.asker.close() }

// maxCancelsBehind is how many CANCELs may wait for their INVITE's outcome.
const maxCancelsBehind = 4

// An inviteAsk is one INVITE or CANCEL on its way through the steps.
type inviteAsk struct {
	r       *Router
	key     call.TransactionKey
	data    []byte
	owner   string // subject of the partition's owner
	step    int
	started time.Time
	asked   time.Time
	done    func(Outcome)
	cancels []*inviteAsk // CANCELs that wait for this INVITE; guarded by r.mu
}

var stepNames = [...]string{"owner", "any", "any_again"}

// name is the step's name in metrics.
func (a *inviteAsk) name() string { return stepNames[min(a.step, len(stepNames)-1)] }

// Invite asks for the outcome of an initial INVITE, or of a CANCEL of one: the
// partition's owner first, then any decider, again while they are silent. done is
// called exactly once and must not block; it may run before Invite returns.
//
// A CANCEL never overtakes its INVITE: while the INVITE has no outcome, the
// CANCEL waits behind it.
func (r *Router) Invite(inv endpoint.Invite, cancel bool, p call.Packet, done func(Outcome)) {
	a := &inviteAsk{
		r: r, done: done, started: time.Now(),
		key:   call.TransactionKey{CallID: inv.CallID, FromTag: inv.FromTag, CSeq: inv.CSeq},
		owner: subject.Invite(inv.Address.Partition()),
	}
	a.data = envelope.EncodeInvite(inv, cancel, p)
	if r.hold(a, cancel) {
		return
	}
	a.ask()
}

// hold puts a CANCEL behind its INVITE, and notes an INVITE so that its
// CANCELs can find it. It reports whether a is dealt with for now.
func (r *Router) hold(a *inviteAsk, cancel bool) bool {
	r.mu.Lock()
	first := r.invites[a.key]
	if !cancel {
		if first == nil && len(r.invites) < r.cfg.MaxPending {
			r.invites[a.key] = a
		}
		r.mu.Unlock()
		return false
	}
	full := first != nil && len(first.cancels) >= maxCancelsBehind
	if first != nil && !full {
		first.cancels = append(first.cancels, a)
	}
	r.mu.Unlock()
	if full {
		a.refuse(whyFull)
	}
	return first != nil
}

func (a *inviteAsk) ask() {
	to, wait := subject.InviteAny, a.r.anyWait
	switch a.step {
	case 0:
		to, wait = a.owner, a.r.cfg.OwnerTimeout
	case 1:
	default:
		wait = min(anyAgainTimeout<<min(a.step-2, 8), anyLastTimeout)
	}
	a.asked = time.Now()
	a.r.asker.ask(to, a.data, wait, a.answered)
}

func (a *inviteAsk) answered(rep reply) {
	var out Outcome
	if rep.err == nil {
		out, rep.err = envelope.DecodeOutcome(rep.data)
	}
	a.r.observe(a.name(), a.asked, rep.err)
	a.r.unheard.note(time.Now(), rep.err)
	switch {
	case rep.err == nil:
		a.end(out)
	case errors.Is(rep.err, errFull):
		a.refuse(whyFull)
	case errors.Is(rep.err, errClosed):
		a.refuse(whyNobody)
	default:
		a.again(rep.err)
	}
}

// again asks the next time: at once after the steps that have names, and after
// silence, which has taken its time; otherwise after a pause, for whoever could
// answer may be moving off a broker that has died or hangs. Deciders know a
// copy, and one that is slow may yet have the call accepted: a 503 of ours
// would come on top of that call's answer. When nobody has been heard for
// longer than a move takes, the rest is not waited for.
func (a *inviteAsk) again(why error) {
	now := time.Now()
	named := a.step < len(stepNames)-1
	late := now.Sub(a.started) >= inviteTime || a.r.unheard.longer(now, inviteTime) && a.step >= quickAsks-1
	if late && !named {
		a.refuse(whyNobody)
		return
	}
	if a.r.obs.Fallback != nil {
		a.r.obs.Fallback(a.name())
	}
	a.step++
	if named || errors.Is(why, errSilence) {
		a.ask()
		return
	}
	a.r.asker.later(anyPause, func(rep reply) {
		if errors.Is(rep.err, errSilence) { // the pause is over
			a.ask()
			return
		}
		a.answered(rep)
	})
}

func (a *inviteAsk) refuse(why string) {
	if a.r.obs.Refused != nil {
		a.r.obs.Refused(why)
	}
	a.end(Outcome{Status: 503, RetryAfter: RetryAfter})
}

func (a *inviteAsk) end(out Outcome) {
	a.r.mu.Lock()
	if a.r.invites[a.key] == a {
		delete(a.r.invites, a.key)
	}
	cancels := a.cancels
	a.cancels = nil
	a.r.mu.Unlock()
	if a.r.obs.Outcome != nil {
		a.r.obs.Outcome(out, time.Since(a.started))
	}
	func() {
		defer contain(a.r.obs.Panic)
		a.done(out)
	}()
	for _, c := range cancels {
		c.ask()
	}
}

func (r *Router) observe(step string, since time.Time, err error) {
	if r.obs.Asked != nil {
		r.obs.Asked(step, time.Since(since), err)
	}
}
