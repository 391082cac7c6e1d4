package anyedge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/broker"
	"patchbay/cluster/envelope"
	"patchbay/cluster/placement"
	"patchbay/cluster/subject"
	"patchbay/config"
	"patchbay/sip/dialog"
	"patchbay/sip/edge"
	"patchbay/sip/token"
	"patchbay/sip/txn"
)

// anyPatience is for what happens at once, on a busy machine.
const anyPatience = 30 * time.Second

// An anyEdge is a cluster of several edges, one decider and one media node, each
// with connections of its own to one broker. Sockets, NATS, edges, routers,
// dialogs and call actors are real; the agents are not.
type anyEdge struct {
	t      *testing.T
	server *broker.Server
	keys   *token.Keys
	edges  []*edgeNode
	calls  *actors.Calls
	agents *agents
	ledger *anyLedger
	strays atomic.Int64 // BYEs of ours that took another edge than the last one
}

type edgeNode struct {
	*edge.Edge
	kill  func()        // as kill -9 does: without a goodbye
	conns *atomic.Int64 // open
}

func newAnyEdge(t *testing.T, edges int) *anyEdge {
	t.Helper()
	srv, err := broker.New(broker.Config{Name: "test", StoreDir: t.TempDir(), MaxStore: 1 << 30, StartWait: anyPatience}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	background(t, srv)
	keys, err := token.NewKeys(token.Key{ID: 1, Secret: [32]byte{1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &anyEdge{t: t, server: srv, keys: keys, agents: &agents{ringing: map[string]func(call.Event){}}, ledger: &anyLedger{}}
	media := c.connect()
	c.openMedia(media)
	c.openDecider(c.connect())
	for i := range edges {
		c.edges = append(c.edges, c.openEdge(fmt.Sprintf("edge-%d", i)))
	}
	return c
}

type runner interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}

// background runs a part until the test ends, or until stop.
func background(t *testing.T, r runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	select {
	case <-r.Ready():
	case err := <-done:
		t.Fatalf("run %T: %v", r, err)
	}
	return stop
}

func (c *anyEdge) connect() *cluster.Conn {
	c.t.Helper()
	conn, err := cluster.Connect(cluster.Options{Name: "test", Server: c.server, Wait: anyPatience}, slog.New(slog.DiscardHandler))
	if err != nil {
		c.t.Fatal(err)
	}
	background(c.t, conn)
	return conn
}

func (c *anyEdge) openEdge(name string) *edgeNode {
	conn := c.connect()
	router, err := cluster.NewRouter(conn, cluster.RouterConfig{MaxPending: 8192, OwnerTimeout: 150 * time.Millisecond}, cluster.RouterObserver{})
	if err != nil {
		c.t.Fatal(err)
	}
	cfg := c.settings()
	conns := &atomic.Int64{}
	e := edge.New(cfg, name, 1, c.keys, router, edge.WithObserver(edge.Observer{Connections: func(_ call.Transport, delta int) { conns.Add(int64(delta)) }}))
	door, err := cluster.OpenEdgeDoor(conn, name, []call.Transport{call.UDP, call.TCP, call.TLS}, e.Send, cluster.DoorObserver{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.listens(conn)
	stop := background(c.t, e)
	background(c.t, cluster.NewBeats(conn, cluster.BeatConfig{Role: cluster.RoleEdge, Node: name, Boot: 1}))
	kill := sync.OnceFunc(func() {
		conn.Close() // first: nothing of what follows is heard of
		stop()
		router.Close()
		door.Close()
	})
	c.t.Cleanup(kill)
	return &edgeNode{Edge: e, kill: kill, conns: conns}
}

// settings are an edge's on free ports.
func (c *anyEdge) settings() config.SIP {
	cfg, err := config.Load(config.Sources{Flags: map[string]string{"sip.udp": "127.0.0.1:0", "sip.tcp": "127.0.0.1:0", "sip.ws": "",
		"sip.first_message_timeout": "10m"}}) // a phone may have nothing to say by one of its connections for long
	if err != nil {
		c.t.Fatal(err)
	}
	return cfg.SIP
}

func (c *anyEdge) openMedia(conn *cluster.Conn) {
	presence := cluster.NewPresence(time.Minute, time.Now, cluster.PresenceObserver{})
	if err := presence.Listen(conn); err != nil {
		c.t.Fatal(err)
	}
	wire, err := cluster.NewWire(conn, presence.Gone, cluster.WireObserver{})
	if err != nil {
		c.t.Fatal(err)
	}
	timers := txn.Timers{T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second}
	dialogs, err := dialog.NewFactory(dialog.Options{Keys: c.keys, Slot: 7, Timers: timers, BaseDomain: "sip.localhost"})
	if err != nil {
		c.t.Fatal(err)
	}
	c.calls = actors.NewCalls("m1", actors.CallLimits{Loops: 4, Mailbox: 1024, MaxCalls: 10000, AgentTimeout: time.Minute, MaxDuration: time.Hour, T1: timers.T1},
		actors.CallPorts{Dialogs: dialogs, Wire: wire, Switchboard: c.agents, Ledger: c.ledger}, func() call.ID { return call.ID(rand.Uint64()) }, actors.CallObserver{})
	door, err := cluster.OpenCallDoor(conn, 7, c.calls, nil, cluster.DoorObserver{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { door.Close(); c.calls.Stop(); wire.Close(); presence.Close() })
	c.listens(conn)
}

// listens waits until the broker knows what a connection has subscribed to.
func (c *anyEdge) listens(conn *cluster.Conn) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), anyPatience)
	defer cancel()
	if err := conn.Flush(ctx); err != nil {
		c.t.Fatal(err)
	}
}

// openDecider admits everybody but "nobody".
func (c *anyEdge) openDecider(conn *cluster.Conn) {
	node := func() []placement.Node { return []placement.Node{{Name: "m1", Slot: 7, Capacity: 100}} }
	intake, err := cluster.NewIntake(conn, node, 2*time.Second, 8192, cluster.IntakeObserver{})
	if err != nil {
		c.t.Fatal(err)
	}
	_, err = conn.Hot().Subscribe(subject.InviteAny, func(m *nats.Msg) {
		inv, cancel, p, err := envelope.DecodeInvite(m.Data)
		if err != nil {
			c.t.Error(err)
			return
		}
		reply := func(o cluster.Outcome) {
			b, _ := envelope.EncodeOutcome(o)
			_ = m.Respond(b)
		}
		if strings.HasPrefix(inv.FromUser, "nobody") {
			reply(cluster.Outcome{Status: 404})
			return
		}
		job := actors.Job{V: 1, Cancel: cancel, Key: call.TransactionKey{CallID: inv.CallID, FromTag: inv.FromTag, CSeq: inv.CSeq},
			Branch: inv.Branch, Tenant: "acme", Endpoint: "k", Agent: &endpoint.Agent{V: 1, ID: "a1"}, Packet: p}
		intake.Offer(context.Background(), job, func(taken actors.Taken, err error) {
			if err != nil {
				taken.Status = 503
			}
			reply(cluster.Outcome{Taken: taken.Status == 0, Status: taken.Status})
		})
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(intake.Close)
	c.listens(conn)
}

// agents answer every call at once, but for those that are to ring.
type agents struct {
	mu      sync.Mutex
	ringing map[string]func(call.Event) // by Call-ID
}

func (a *agents) Open(req actors.BridgeRequest, post func(call.Event)) actors.Bridge {
	post(call.Event{Kind: call.AgentChosen, Agent: "worker"})
	if strings.HasPrefix(req.Invitation.From.User, "ring") {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.ringing[req.Invitation.Key.CallID] = post
		return noBridge{}
	}
	joined(post)
	return noBridge{}
}

func joined(post func(call.Event)) {
	post(call.Event{Kind: call.AgentJoined, Agent: "worker", Answer: &call.Answer{Addr: netip.MustParseAddrPort("127.0.0.1:20000"),
		Codec: call.Codec{Name: "PCMU", ClockRate: 8000}, Direction: call.SendRecv}})
}

// answer has a call answered that rings.
func (a *agents) answer(callID string) bool {
	a.mu.Lock()
	post := a.ringing[callID]
	a.mu.Unlock()
	if post != nil {
		joined(post)
	}
	return post != nil
}

// Reserve has no port for calls that we place.
func (a *agents) Reserve(_ actors.BridgeRequest, post func(call.Event)) actors.Bridge {
	post(call.Event{Kind: call.AgentFailed, Status: 503, Cause: call.CauseNoPorts})
	return noBridge{}
}

func (a *agents) Farewell(actors.Farewell) {}

type noBridge struct{}

func (noBridge) Notify(string, call.Event) {}
func (noBridge) Ask(actors.Asked)          {}
func (noBridge) Join(call.Answer)          {}
func (noBridge) Update(call.Agreement)     {}
func (noBridge) Press(string)              {}
func (noBridge) Answered()                 {}
func (noBridge) Snapshot() json.RawMessage { return nil }
func (noBridge) Early()                    {}
func (noBridge) Quality() call.Quality     { return call.Quality{} }
func (noBridge) Close(call.Cause)          {}

// An anyLedger counts records.
type anyLedger struct {
	mu      sync.Mutex
	records map[string][]call.Record // by the caller's name
}

func (l *anyLedger) Event(string, actors.CallEvent) {}
func (l *anyLedger) Keep(*actors.Snapshot)          {}

func (l *anyLedger) Record(rec call.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.records == nil {
		l.records = map[string][]call.Record{}
	}
	l.records[rec.From.User] = append(l.records[rec.From.User], rec)
}

func (l *anyLedger) of(user string) []call.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[user]
}

// eventuallyIn waits for a condition.
func eventuallyIn(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(anyPatience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// status returns how a call stands on the media node.
func (c *anyEdge) status(k *talk) (actors.CallStatus, bool) {
	all, err := c.calls.List(context.Background())
	if err != nil {
		c.t.Error(err)
	}
	for _, s := range all {
		if s.SIPCallID == k.callID {
			return s, true
		}
	}
	return actors.CallStatus{}, false
}

func (c *anyEdge) confirmed(k *talk) bool {
	s, ok := c.status(k)
	return ok && s.State == call.StateEstablished
}

// hangUp ends a call as an operator does.
func (c *anyEdge) hangUp(k *talk) bool {
	s, ok := c.status(k)
	return ok && c.calls.Hangup(s.ID, call.CauseOperator) == nil
}
