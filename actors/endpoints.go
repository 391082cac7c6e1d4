package actors

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// EndpointLimits bound what endpoint actors keep and wait for.
type EndpointLimits struct {
	Mailbox      int           // messages that wait in one partition; beyond it 503
	Remembered   int           // decisions one partition keeps for retransmissions, 32 s each
	StoreTimeout time.Duration // longest read of a cold endpoint
	NotFound     int           // SIP status that is shown instead of 404; 0: 404
	Silent       bool          // no answer instead of 404, nor to a source that no allowlist names
}

// EndpointPorts are what endpoint actors need of the rest of the node.
type EndpointPorts struct {
	Store    Store
	Intake   Intake
	Load     Load
	Fallback Fallback // nil: no webhook can be asked, and calls that need one get 502
	Tenure   Tenure   // nil: this node owns every endpoint

	Elsewhere Elsewhere // of the endpoints that numbers lead to; nil: this node decides about them
}

// A Led is an INVITE to a number, or to an account's domain, and the endpoint
// that it leads to.
type Led struct {
	To        endpoint.Key
	Partition uint8
	Owner     string // tenant whose number it is, and whose the endpoint must be; "": of a domain
	Invite    endpoint.Invite
	Packet    call.Packet
}

// An Elsewhere takes an INVITE to the owner of its endpoint, where that is
// another node. done is called once, from any goroutine; an error says that no
// owner has answered.
type Elsewhere interface {
	Follow(led Led, done func(Outcome, error))
}

// A Tenure says how this node stands to the partitions of endpoints. It does
// not block: it is asked for every INVITE.
type Tenure interface {
	// Standing returns what caps the node may decide about. settled: it has been
	// the owner for so long that no copy of another's INVITE can come.
	Standing(partition uint8, now time.Time) (s endpoint.Standing, settled bool)
}

// Bounds that need no setting.
const (
	maxReads   = 1024            // reads of cold endpoints under way on a node; beyond it 503
	maxPending = 256             // INVITEs that wait for one endpoint's read; beyond it 503
	sweepEvery = 5 * time.Second // how often a partition forgets what is out of date
)

// Endpoints are the endpoint actors of a node: they decide on INVITEs and hand
// the accepted ones to a media node. Each of the 256 partitions is one loop,
// which costs something only while it is in use.
//
// Caps count calls exactly while this node owns the endpoint: those that media
// nodes report, and those admitted since. Otherwise it decides by the
// endpoint's cap policy ([endpoint.Endpoint.Bounds]).
type Endpoints struct {
	limits   EndpointLimits
	store    Store
	warm     source // the store's memory, if it has one; nil: none
	intake   Intake
	load     Load
	fallback Fallback
	tenure   Tenure
	others   Elsewhere
	beats    BeatCounter // the load, if it is one
	observer EndpointObserver

	host       *Host
	partitions [endpoint.Partitions]*partition
	projects   projects
	reads      chan struct{} // a place for each read under way
	consults   chan struct{} // a place for each webhook that is asked
	asking     sync.WaitGroup
	ctx        context.Context
	cancel     context.CancelFunc

	residents  atomic.Int64
	remembered atomic.Int64
}

// NewEndpoints returns the endpoint actors of a node. They cost nothing until
// the first INVITE.
func NewEndpoints(limits EndpointLimits, ports EndpointPorts, observer EndpointObserver) *Endpoints {
	e := &Endpoints{limits: limits, store: ports.Store, intake: ports.Intake, load: ports.Load, fallback: ports.Fallback,
		tenure: ports.Tenure, others: ports.Elsewhere, observer: observer,
		host:  NewHost(endpoint.Partitions, limits.Mailbox, observer.HostObserver),
		reads: make(chan struct{}, maxReads), consults: make(chan struct{}, maxConsults)}
	if cache, ok := ports.Store.(Cache); ok {
		e.warm = memorySource{cache}
	}
	e.beats, _ = ports.Load.(BeatCounter)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	for i := range e.partitions {
		e.partitions[i] = newPartition(e, uint8(i))
	}
	return e
}

// Invite decides on an initial INVITE, or recalls what was decided on an
// earlier copy. reply is called once, from any goroutine, and must not block.
func (e *Endpoints) Invite(inv endpoint.Invite, p call.Packet, reply func(Outcome)) {
	e.send(newInvite(inv, p, func(o Outcome) {
		o.Silent = e.limits.Silent && (o.Status == 404 || o.Reason == string(endpoint.ReasonSourceNotAllowed))
		o.Status = e.status(o.Status)
		reply(o)
	}))
}

// status is what a carrier is shown of a SIP status: what the operator wants to
// be told instead of 404, so that what is hidden behind that looks the same
// still.
func (e *Endpoints) status(status int) int {
	if status == 404 && e.limits.NotFound != 0 {
		return e.limits.NotFound
	}
	return status
}

// shown is what a carrier sees of a rejection.
func (e *Endpoints) shown(v endpoint.Verdict, style endpoint.RefusalStyle) endpoint.Shown {
	s := v.Shown(style)
	s.Status = e.status(s.Status)
	return s
}

// Cancel passes a CANCEL to the media node that its transaction key names,
// whatever was decided on the INVITE and whether or not it has come yet. reply
// is called once, from any goroutine.
func (e *Endpoints) Cancel(inv endpoint.Invite, p call.Packet, reply func(Outcome)) {
	job := Job{V: 1, Cancel: true, Key: transactionOf(&inv), Branch: inv.Branch, Endpoint: inv.Address.Key(), Packet: p}
	e.intake.Offer(e.ctx, job, func(taken Taken, err error) {
		switch {
		case err != nil:
			// No Retry-After: a carrier would stop calling over a lost CANCEL.
			reply(Outcome{Status: endpoint.Unavailable(endpoint.ReasonNoMedia).Status})
		case taken.Status != 0:
			reply(Outcome{Status: taken.Status})
		default:
			reply(Outcome{Taken: true})
		}
	})
}

// Offering reports that a call of the partition has been admitted and no media
// node has answered for it yet: its next owner cannot know of it.
func (e *Endpoints) Offering(partition uint8) bool { return e.partitions[partition].offers.Load() > 0 }

// Depth returns how many messages wait in all mailboxes.
func (e *Endpoints) Depth() int { return e.host.Depth() }

// Resident returns how many endpoints and decisions are in memory; both return
// to 0 when carriers are silent.
func (e *Endpoints) Resident() (endpoints, decisions int) {
	return int(e.residents.Load()) + e.projects.len(), int(e.remembered.Load())
}

// Stop lets the mailboxes finish what they have, refuses what comes later as
// draining, and waits for the loops and for what is being read. An INVITE whose endpoint is being read
// just then gets no answer: its edge asks another decider.
func (e *Endpoints) Stop() {
	e.host.Stop()
	e.cancel()
	e.asking.Wait()
}
