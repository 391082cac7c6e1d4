package undertaker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/journal"
	"patchbay/cluster/ledger"
	"patchbay/cluster/stream"
	"patchbay/cluster/subject"
	"patchbay/cluster/undertaker"
	"patchbay/internal/keys"
	"patchbay/internal/testkit"
	"patchbay/sip/dialog"
	"patchbay/sip/token"
	"patchbay/sip/txn"
)

// patience is the longest wait of a test for something that should happen.
const patience = 30 * time.Second

// A site is a NATS server and the media nodes on it: all of a real one but
// sockets, edges and agents.
type site struct {
	t      *testing.T
	server nats.InProcessConnProvider
	key    *keys.Cluster
	nodes  []*mediaNode

	mu   sync.Mutex
	byes map[string][]string // SIP Call-ID: nodes that sent one
}

type mediaNode struct {
	*actors.Calls
	name     string
	conn     *cluster.Conn
	ledger   *ledger.Ledger
	presence *cluster.Presence
	deafTo   atomic.Pointer[string] // the node whose beats it does not hear
	stop     func()
}

func newSite(t *testing.T, names ...string) *site {
	t.Helper()
	key, err := keys.ParseCluster([]byte(strings.Repeat("a5", 32)))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, server: testkit.NATSServer(t), key: key, byes: map[string][]string{}}
	for i, name := range names {
		s.nodes = append(s.nodes, s.start(name, call.Slot(i+1), uint64(i+1)))
	}
	s.eventually("every node hears every other", func() bool {
		for _, n := range s.nodes {
			if len(n.presence.Surviving()) != len(names) {
				return false
			}
		}
		return true
	})
	return s
}

func (s *site) eventually(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("never: %s", what)
		}
	}
}

func (s *site) start(name string, slot call.Slot, boot uint64) *mediaNode {
	s.t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	n := &mediaNode{name: name}
	var err error
	n.conn, err = cluster.Connect(cluster.Options{Name: name, Server: s.server, Wait: patience}, quiet)
	must(err)
	n.presence = cluster.NewPresence(time.Minute, time.Now, cluster.PresenceObserver{})
	beats, err := n.conn.Hot().Subscribe(subject.BeatAll, func(m *nats.Msg) {
		if deaf := n.deafTo.Load(); deaf == nil || !bytes.Contains(m.Data, []byte(`"node":"`+*deaf+`"`)) {
			n.presence.Hear(m.Data)
		}
	})
	must(err)
	var left atomic.Pointer[undertaker.Undertaker]
	n.ledger, err = ledger.Open(s.t.Context(), ledger.Bus{JetStream: n.conn.JetStream()}, ledger.Config{
		Journal:  journal.Config{Node: name, Boot: boot, Slot: slot, Streams: stream.Terms{Wait: patience}},
		SpoolDir: s.t.TempDir(), Sweep: true, Release: func(id call.ID) { n.Release(id) },
		Gone: func(h journal.Head) bool { runs, known := n.presence.Runs(h.Node, h.Boot); return known && !runs },
		Left: func(found []journal.Left) { left.Load().Left(found) },
	}, s.key, quiet, ledger.Observer{})
	must(err)
	tokens, err := token.NewKeys(token.Key{ID: 1}, nil)
	must(err)
	dialogs, err := dialog.NewFactory(dialog.Options{Keys: tokens, Slot: slot, BaseDomain: "sip.example",
		Timers: txn.Timers{T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second}})
	must(err)
	var ids atomic.Uint64
	n.Calls = actors.NewCalls(name, actors.CallLimits{Loops: 2, Mailbox: 4096, MaxCalls: 100, AgentTimeout: time.Minute, MaxDuration: time.Hour, T1: 500 * time.Millisecond},
		actors.CallPorts{Dialogs: dialogs, Wire: wire{s, name}, Switchboard: board{}, Ledger: n.ledger},
		func() call.ID { return call.ID(boot<<32 + ids.Add(1)) }, actors.CallObserver{})
	op, alive := cluster.AliveOperation(name, boot)
	door, err := cluster.OpenCallDoor(n.conn, slot, n.Calls, map[string]cluster.Operation{op: alive}, cluster.DoorObserver{})
	must(err)
	u := undertaker.New(name, boot, undertaker.Ports{Silent: n.presence.Silent, Surviving: n.presence.Surviving,
		Heard: func(node string, boot uint64) bool { runs, _ := n.presence.Runs(node, boot); return runs },
		Knock: func(ctx context.Context, s cluster.Silent) cluster.Sign { return cluster.Knock(ctx, n.conn, s) },
		Sweep: n.ledger.Sweep, Journal: n.ledger.Journal(), Ledger: n.ledger, Calls: n.Calls}, quiet, undertaker.Observer{})
	left.Store(u)
	beat := cluster.NewBeats(n.conn, cluster.BeatConfig{Role: cluster.RoleMedia, Node: name, Boot: boot, Slot: slot, Capacity: 100, Live: n.Live, Changed: n.Changed()})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{n.ledger.Run, u.Run, beat.Run} {
		running.Go(func() { _ = run(ctx) })
	}
	n.stop = sync.OnceFunc(func() { // as kill -9: without a word
		n.conn.Close()
		cancel()
		running.Wait()
		_ = beats.Unsubscribe()
		door.Close()
		n.Calls.Stop()
	})
	s.t.Cleanup(n.stop)
	return n
}

// A wire notes who sends BYE for which call.
type wire struct {
	*site
	node string
}

func (w wire) Transmit(tx call.Transmission) {
	if !bytes.HasPrefix(tx.Raw, []byte("BYE ")) {
		return
	}
	_, rest, _ := strings.Cut(string(tx.Raw), "\r\nCall-ID: ")
	id, _, _ := strings.Cut(rest, "\r\n")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byes[id] = append(w.byes[id], w.node)
}

// A board finds an agent for every call at once.
type board struct{}

func (board) Open(req actors.BridgeRequest, post func(call.Event)) actors.Bridge {
	post(call.Event{Kind: call.AgentJoined, Dispatch: req.Asked.Number, Answer: &call.Answer{Addr: netip.MustParseAddrPort("198.51.100.1:20000"),
		Codec: req.Invitation.Offer.Codecs[0], Direction: call.SendRecv}})
	return bridge{}
}

// Reserve has no port for calls that we place.
func (board) Reserve(_ actors.BridgeRequest, post func(call.Event)) actors.Bridge {
	post(call.Event{Kind: call.AgentFailed, Status: 503, Cause: call.CauseNoPorts})
	return bridge{}
}

func (board) Farewell(actors.Farewell) {}

type bridge struct{}

func (bridge) Notify(string, call.Event) {}
func (bridge) Ask(actors.Asked)          {}
func (bridge) Join(call.Answer)          {}
func (bridge) Update(call.Agreement)     {}
func (bridge) Press(string)              {}
func (bridge) Answered()                 {}
func (bridge) Early()                    {}
func (bridge) Quality() call.Quality     { return call.Quality{} }
func (bridge) Snapshot() json.RawMessage { return json.RawMessage(`{"v":1}`) }
func (bridge) Close(call.Cause)          {}

// place brings calls up on a node and waits until JetStream knows them.
func (s *site) place(n *mediaNode, count int) {
	s.t.Helper()
	const sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
	for i := range count {
		id := fmt.Sprintf("%s-%d", n.name, i)
		raw := fmt.Sprintf("INVITE sip:x@sip.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=f\r\n"+
			"To: <sip:x@sip.example>\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.10>\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", id, id, len(sdp), sdp)
		flow := call.Flow{Edge: "e1", Transport: call.UDP, Local: netip.MustParseAddrPort("198.51.100.1:5060"),
			Remote: netip.MustParseAddrPort("192.0.2.10:5060"), Reply: netip.MustParseAddrPort("192.0.2.10:5060")}
		taken := n.Offer(actors.Job{V: 1, Key: call.TransactionKey{CallID: id, FromTag: "f", CSeq: 1}, Branch: "z9hG4bK" + id, Tenant: "acme",
			Endpoint: "k1", Agent: &endpoint.Agent{ID: "bot", IsActive: true}, Packet: call.Packet{Flow: flow, Raw: []byte(raw)}})
		if taken.Status != 0 {
			s.t.Fatalf("%+v", taken)
		}
	}
	s.eventually("their snapshots", func() bool {
		found, err := n.ledger.Journal().Sweep(s.t.Context(), time.Now().Add(time.Minute), func(h journal.Head) bool { return h.Node == n.name })
		if err != nil {
			return false
		}
		up := 0
		for _, l := range found.Left {
			if l.Snapshot.Answered {
				up++
			}
		}
		return up == count
	})
	s.eventually("every node knows of them", func() bool {
		for _, other := range s.nodes {
			if known := len(other.presence.Active("k1")); known < count {
				return false
			}
		}
		return true
	})
}

// records are the causes of the records of each SIP call.
func (s *site) records(n *mediaNode) map[string][]string {
	s.t.Helper()
	js, err := jetstream.New(n.conn.JetStream().Conn())
	if err != nil {
		s.t.Fatal(err)
	}
	all := map[string][]string{}
	for _, data := range testkit.Dump(s.t, js, subject.StreamRecords) {
		var rec call.Record
		if err := json.Unmarshal(data, &rec); err != nil {
			s.t.Fatal(err)
		}
		all[rec.SIPCallID] = append(all[rec.SIPCallID], rec.Cause.Word)
	}
	return all
}

func (s *site) said(prefix string) (calls, byes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, who := range s.byes {
		if strings.HasPrefix(id, prefix) {
			calls, byes = calls+1, byes+len(who)
		}
	}
	return calls, byes
}

func TestADeathIsSeenAndItsCallsAreEndedWithin5s(t *testing.T) {
	t.Parallel()
	const count = 20
	s := newSite(t, "m1", "m2", "m3")
	s.place(s.nodes[0], count)
	s.place(s.nodes[1], 5)
	late := testkit.Late(t)
	killed := time.Now()
	go s.nodes[0].stop() // nothing of it is heard from the first moment on; its disk may take its time
	s.eventually("a BYE for each of its calls", func() bool { calls, _ := s.said("m1-"); return calls == count })
	took, busy := time.Since(killed), late()
	s.eventually("their records", func() bool { return len(s.records(s.nodes[1])) == count })
	t.Logf("the last BYE left %v after the death, of which the machine was late %v", took.Round(time.Millisecond), busy.Round(time.Millisecond))
	if took-busy > 5*time.Second {
		t.Errorf("the last BYE left %v after the death, want 5 s at most", took)
	}
	for id, causes := range s.records(s.nodes[1]) {
		if len(causes) != 1 || causes[0] != call.CauseNodeLost.Word || !strings.HasPrefix(id, "m1-") {
			t.Errorf("records of %s: %v", id, causes)
		}
	}
	if calls, _ := s.said("m2-"); calls != 0 || s.nodes[1].Count() != 5 {
		t.Errorf("of the other node's calls %d heard a BYE, %d are live", calls, s.nodes[1].Count())
	}
}

func TestNoLiveCallHearsAByeWhenOneObserverLosesBeats(t *testing.T) {
	t.Parallel()
	for !leftAlone(t) {
		t.Log("the machine was so late that a live node may not have answered in time")
	}
}

// leftAlone plays it once; false: calls were ended, and the machine was late by
// as much as an answer is waited for.
func leftAlone(t *testing.T) (told bool) {
	s := newSite(t, "m1", "m2", "m3")
	s.place(s.nodes[0], 10)
	late := testkit.Late(t)
	deaf := "m1"
	s.nodes[1].deafTo.Store(&deaf)
	s.eventually("m2 misses m1", func() bool { return len(s.nodes[1].presence.Silent()) == 1 })
	time.Sleep(3 * time.Second) // m2 asks at once, and again each second
	calls, _ := s.said("")
	live, records, busy := s.nodes[0].Count(), s.records(s.nodes[1]), late()
	if calls == 0 && live == 10 && len(records) == 0 {
		return true
	}
	if busy >= time.Second {
		return false
	}
	t.Errorf("%d calls heard a BYE, %d are live, records %v", calls, live, records)
	return true
}
