package main_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/broker"
	"patchbay/cluster/placement"
	"patchbay/sip/dialog"
	"patchbay/sip/edge"
	"patchbay/sip/token"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// patience is for what happens soon, on a busy machine.
const patience = 30 * time.Second

// An exchange is a cluster of deciders and media nodes in one process, each with
// connections of its own to one broker. NATS, beats, owners, mailboxes, intakes,
// calls and dialogs are real; the store, the wire to carriers and agents are not.
type exchange struct {
	t      testing.TB
	server *broker.Server
	keys   *token.Keys
	shelf  *shelf
	air    *air

	mu     sync.Mutex
	medias []placement.Node
}

// carriers are the media nodes. None of them dies here: one whose beats are late
// on a busy machine is still there.
func (x *exchange) carriers() []placement.Node {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.medias)
}

func newExchange(t testing.TB) *exchange {
	t.Helper()
	srv, err := broker.New(broker.Config{Name: "test", StoreDir: t.TempDir(), MaxStore: 1 << 30, StartWait: patience}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange{t: t, server: srv, shelf: &shelf{endpoints: map[endpoint.Key]endpoint.Endpoint{}}, air: &air{sent: map[string][]answer{}}}
	x.run(srv)
	if x.keys, err = token.NewKeys(token.Key{ID: 1, Secret: [32]byte{1}}, nil); err != nil {
		t.Fatal(err)
	}
	return x
}

// run keeps a part of a node running until the test ends, or until stop.
func (x *exchange) run(part interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}) (stop func()) {
	x.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- part.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	x.t.Cleanup(stop)
	select {
	case <-part.Ready():
	case err := <-done:
		x.t.Fatalf("run %T: %v", part, err)
	case <-time.After(patience):
		x.t.Fatalf("%T is not ready", part)
	}
	return stop
}

func (x *exchange) connect() *cluster.Conn {
	x.t.Helper()
	c, err := cluster.Connect(cluster.Options{Name: "test", Server: x.server, Wait: patience}, slog.New(slog.DiscardHandler))
	if err != nil {
		x.t.Fatal(err)
	}
	x.run(c)
	return c
}

func (x *exchange) presence(c *cluster.Conn) *cluster.Presence {
	x.t.Helper()
	p := cluster.NewPresence(time.Minute, time.Now, cluster.PresenceObserver{})
	if err := p.Listen(c); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(p.Close)
	return p
}

func (x *exchange) eventually(what string, ok func() bool) {
	x.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			x.t.Fatalf("never: %s", what)
		}
	}
}

// A decider is an actor node.
type decider struct {
	*actors.Endpoints
	name      string
	presence  *cluster.Presence
	ownership *cluster.Ownership
	intake    *cluster.Intake
	kill      func() // as kill -9 does: without a goodbye
	drain     func(yes bool)
}

func (x *exchange) decider(name string) *decider {
	x.t.Helper()
	var draining struct {
		sync.Mutex
		yes bool
	}
	c := x.connect()
	p := x.presence(c)
	d := &decider{name: name, presence: p, drain: func(yes bool) { draining.Lock(); draining.yes = yes; draining.Unlock() }}
	d.ownership = cluster.NewOwnership(p, cluster.OwnershipConfig{Node: name, Boot: uint64(time.Now().UnixNano()), Weight: 1,
		Draining: func() bool { draining.Lock(); defer draining.Unlock(); return draining.yes }}, time.Now, cluster.OwnershipObserver{})
	d.intake = x.intake(c, x.carriers)
	d.Endpoints = actors.NewEndpoints(actors.EndpointLimits{Mailbox: 1024, Remembered: 4096, StoreTimeout: patience},
		actors.EndpointPorts{Store: x.shelf, Intake: d.intake, Load: p, Tenure: d.ownership, Elsewhere: x.leads(c)}, actors.EndpointObserver{})
	door := cluster.NewEndpointDoor(c, d.Endpoints, cluster.DoorObserver{})
	d.ownership.Serve(d.Offering, door)
	x.t.Cleanup(func() { door.Close(); d.Endpoints.Stop() })
	silence := x.run(cluster.NewBeats(c, d.ownership.Beats()))
	rest := x.run(d.ownership)
	d.kill = func() { c.Close(); silence(); rest() }
	return d
}

func (x *exchange) intake(c *cluster.Conn, nodes func() []placement.Node) *cluster.Intake {
	x.t.Helper()
	in, err := cluster.NewIntake(c, nodes, patience, 8192, cluster.IntakeObserver{})
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(in.Close)
	return in
}

func (x *exchange) leads(c *cluster.Conn) *cluster.Leads {
	x.t.Helper()
	l, err := cluster.NewLeads(c, patience, 8192, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(l.Close)
	return l
}

// owner waits until one of the deciders keeps the caps of a partition, and
// returns it. Where deciders have come of late it may be another's next.
func (x *exchange) owner(k uint8, of ...*decider) (owner *decider) {
	x.t.Helper()
	x.eventually(fmt.Sprintf("partition %d has an owner", k), func() bool {
		owner = nil
		for _, d := range of {
			if s, _ := d.ownership.Standing(k, time.Now()); s.Owner() {
				owner = d
			}
		}
		return owner != nil
	})
	return owner
}

// settled waits until the partition's caps are kept by the decider that is to
// keep them for as long as these deciders are there, and returns it.
func (x *exchange) settled(k uint8, of ...*decider) *decider {
	x.t.Helper()
	nodes := make([]placement.Node, len(of))
	for i, d := range of {
		nodes[i] = placement.Node{Name: d.name, Capacity: 1}
	}
	slices.SortFunc(nodes, func(a, b placement.Node) int { return strings.Compare(a.Name, b.Name) })
	name := placement.Owners(nodes)[k]
	return x.owner(k, of[slices.IndexFunc(of, func(d *decider) bool { return d.name == name })])
}

// A mediaNode carries calls.
type mediaNode struct {
	*actors.Calls
	placement.Node

	gaveWay atomic.Int64 // copies
	mu      sync.Mutex
	records []call.Record
}

func (n *mediaNode) Event(string, actors.CallEvent) {}
func (n *mediaNode) Keep(*actors.Snapshot)          {}
func (n *mediaNode) Record(r call.Record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records = append(n.records, r)
}

// written are the records of calls that ended here.
func (n *mediaNode) written() []call.Record {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.records)
}

// media runs one that takes as many calls; change changes what it beats.
func (x *exchange) media(name string, slot call.Slot, most int, change ...func(*cluster.BeatConfig)) *mediaNode {
	x.t.Helper()
	c := x.connect()
	p := x.presence(c)
	timers := txn.Timers{T1: 10 * time.Second, T2: 10 * time.Second, T4: 5 * time.Second} // nobody acknowledges here: a call is given up after 64 times T1
	dialogs, err := dialog.NewFactory(dialog.Options{Keys: x.keys, Slot: slot, Timers: timers, BaseDomain: "sip.localhost"})
	if err != nil {
		x.t.Fatal(err)
	}
	n := &mediaNode{Node: placement.Node{Name: name, Slot: slot, Capacity: 100}}
	x.mu.Lock()
	x.medias = append(x.medias, n.Node)
	x.mu.Unlock()
	newID := func() call.ID {
		var b [8]byte
		_, _ = rand.Read(b[:])
		return call.ID(binary.BigEndian.Uint64(b[:]))
	}
	n.Calls = actors.NewCalls(name, actors.CallLimits{Loops: 4, Mailbox: 1024, MaxCalls: most, AgentTimeout: time.Minute, MaxDuration: time.Hour, T1: timers.T1},
		actors.CallPorts{Dialogs: dialogs, Wire: x.air, Switchboard: robots{}, Ledger: n}, newID,
		actors.CallObserver{Yielded: func(call.ID) { n.gaveWay.Add(1) }})
	door, err := cluster.OpenCallDoor(c, slot, n.Calls, nil, cluster.DoorObserver{})
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { door.Close(); n.Calls.Stop() })
	p.Contest(n.Node, n.Calls)
	beats := cluster.BeatConfig{Role: cluster.RoleMedia, Node: name, Boot: 1, Greet: p.Greetings(), Slot: slot,
		Capacity: n.Capacity, Live: n.Live, Young: n.Young, Again: n.Again, Changed: n.Changed()}
	for _, c := range change {
		c(&beats)
	}
	x.run(cluster.NewBeats(c, beats))
	return n
}

// router is an edge's, that asks others where an owner says nothing for so long.
func (x *exchange) router(owner time.Duration) *cluster.Router {
	x.t.Helper()
	r, err := cluster.NewRouter(x.connect(), cluster.RouterConfig{MaxPending: 8192, OwnerTimeout: owner}, cluster.RouterObserver{})
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(r.Close)
	return r
}

// A message is an INVITE or a CANCEL as an edge passes it on.
type message struct {
	endpoint.Invite
	call.Packet
}

// invite is an INVITE to a slug. Callers whose name begins with ring hear nobody
// answer.
func (x *exchange) invite(slug, from, callID string) message {
	return x.request("INVITE", slug, from, callID)
}

func (x *exchange) request(method, slug, from, callID string) message {
	x.t.Helper()
	body := ""
	if method == "INVITE" {
		body = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
	}
	raw := fmt.Sprintf("%s sip:%s@sip.localhost SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK%s\r\nFrom: <sip:%s@carrier.example>;tag=1\r\n"+
		"To: <sip:%s@sip.localhost>\r\nCall-ID: %s\r\nCSeq: 1 %s\r\nContact: <sip:c@192.0.2.1>\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\n"+
		"Content-Length: %d\r\n\r\n%s", method, slug, callID, from, slug, callID, method, len(body), body)
	m, fault := wire.Read([]byte(raw), wire.DatagramLimits())
	if fault != nil {
		x.t.Fatalf("%s: %s", method, fault.Word)
	}
	at := netip.MustParseAddrPort("192.0.2.1:5060")
	flow := call.Flow{Edge: "e", Boot: 1, Transport: call.UDP, Local: netip.MustParseAddrPort("198.51.100.1:5060"), Remote: at, Reply: at}
	return message{edge.Facts(m, flow, "sip.localhost"), call.Packet{Raw: []byte(raw), Flow: flow}}
}

// pass takes a message through an edge and waits for its outcome.
func pass(r *cluster.Router, m message, cancel bool) cluster.Outcome {
	out := make(chan cluster.Outcome, 1)
	r.Invite(m.Invite, cancel, m.Packet, func(o cluster.Outcome) { out <- o })
	return <-out
}

// An answer is a response that reached a carrier.
type answer struct {
	status string // to the INVITE: "200"; to another request: "200 CANCEL"; a request of ours: its method
	tag    string // ours, in To
}

// air is the way to carriers: it remembers what was sent, by Call-ID.
type air struct {
	mu   sync.Mutex
	sent map[string][]answer
}

// Transmit implements actors.Wire.
func (a *air) Transmit(tx call.Transmission) {
	m, fault := wire.Read(tx.Raw, wire.RelayLimits())
	if fault != nil {
		panic(fault.Word)
	}
	status := fmt.Sprint(m.Status)
	switch {
	case m.Status == 0:
		status = m.Method
	case m.CSeqMethod != "INVITE":
		status += " " + m.CSeqMethod
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[m.CallID] = append(a.sent[m.CallID], answer{status, m.ToTag})
}

// finals are the distinct final answers to a call's INVITE, each with its tag,
// and dialogs the tags of all answers but 100.
func (a *air) finals(callID string) (finals, dialogs []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sent[callID] {
		if len(s.status) != 3 || s.status == "100" || s.status == "BYE" {
			continue
		}
		if final := s.status + " " + s.tag; s.status >= "200" && !slices.Contains(finals, final) {
			finals = append(finals, final)
		}
		if !slices.Contains(dialogs, s.tag) {
			dialogs = append(dialogs, s.tag)
		}
	}
	return finals, dialogs
}

// has reports whether a response was sent.
func (a *air) has(callID, status string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.sent[callID], func(s answer) bool { return s.status == status })
}
