package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/journal"
	"patchbay/cluster/ledger"
	"patchbay/cluster/stream"
	"patchbay/cluster/subject"
	"patchbay/internal/keys"
	"patchbay/internal/testkit"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(testkit.LeakedReplica), goleak.IgnoreAnyFunction(testkit.LeakedClock))
}

// patience is the longest wait of a test for something that should happen.
const patience = 2 * time.Minute

// A site is a NATS server that can be stopped and started again, on the same
// disk, under connections that stay.
type site struct {
	t   testing.TB
	dir string
	mu  sync.Mutex
	srv *server.Server // nil: down

	conns []*cluster.Conn
}

func newSite(t testing.TB) *site {
	s := &site{t: t, dir: t.TempDir()}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *site) start() {
	s.t.Helper()
	srv, err := server.NewServer(&server.Options{ServerName: "site", DontListen: true, JetStream: true, StoreDir: s.dir, NoLog: true, NoSigs: true})
	if err != nil {
		s.t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(patience) {
		s.t.Fatal("NATS is not ready")
	}
	s.mu.Lock()
	s.srv = srv
	s.mu.Unlock()
	for _, c := range s.conns {
		s.connected(c)
	}
}

func (s *site) connected(c *cluster.Conn) {
	s.t.Helper()
	eventually(s.t, "connected", func() bool { return c.Hot().IsConnected() && c.JetStream().Conn().IsConnected() })
}

func (s *site) stop() {
	s.mu.Lock()
	srv := s.srv
	s.srv = nil
	s.mu.Unlock()
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// stopJetStream and startJetStream leave NATS itself running.
func (s *site) stopJetStream() {
	if err := s.srv.DisableJetStream(); err != nil {
		s.t.Error(err)
	}
}

func (s *site) startJetStream() {
	if err := s.srv.EnableJetStream(&server.JetStreamConfig{StoreDir: s.dir}); err != nil {
		s.t.Error(err)
	}
}

// InProcessConn implements nats.InProcessConnProvider.
func (s *site) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	srv := s.srv
	s.mu.Unlock()
	if srv == nil {
		return nil, errors.New("NATS is down")
	}
	return srv.InProcessConn()
}

// connect joins a node to the site.
func (s *site) connect() *cluster.Conn {
	s.t.Helper()
	c, err := cluster.Connect(cluster.Options{Name: "n", Server: s, Wait: patience}, quiet)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	s.connected(c)
	s.conns = append(s.conns, c)
	return c
}

// A count is what a ledger told of the fates of events and records.
type count struct {
	mu              sync.Mutex
	events, records map[ledger.Fate]int
}

func (c *count) observer() ledger.Observer {
	c.events, c.records = map[ledger.Fate]int{}, map[ledger.Fate]int{}
	add := func(to map[ledger.Fate]int) func(ledger.Fate, int) {
		return func(f ledger.Fate, n int) { c.mu.Lock(); defer c.mu.Unlock(); to[f] += n }
	}
	return ledger.Observer{Event: add(c.events), Record: add(c.records), Panic: func(v any) { panic(v) }}
}

func (c *count) of(f ledger.Fate) (events, records int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events[f], c.records[f]
}

// A book is one run of a node's ledger.
type book struct {
	*ledger.Ledger
	count
	stop func()
}

type setting func(*ledger.Config)

// start opens a ledger and runs it until stop, or until the test ends.
func start(t testing.TB, c *cluster.Conn, dir string, boot uint64, settings ...setting) *book {
	t.Helper()
	b := open(t, c, dir, boot, settings...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	<-b.Ready()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(b.stop)
	return b
}

func open(t testing.TB, c *cluster.Conn, dir string, boot uint64, settings ...setting) *book {
	t.Helper()
	cfg := ledger.Config{Journal: journal.Config{Node: "m1", Boot: boot, Streams: stream.Terms{Wait: patience}}, SpoolDir: dir, SpoolBytes: 16 << 20, Sweep: true}
	for _, s := range settings {
		s(&cfg)
	}
	b := &book{}
	var err error
	b.Ledger, err = ledger.Open(t.Context(), ledger.Bus{JetStream: c.JetStream()}, cfg, clusterKey(t), quiet, b.observer())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

var quiet = slog.New(slog.DiscardHandler)

func clusterKey(t testing.TB) *keys.Cluster {
	t.Helper()
	key, err := keys.ParseCluster([]byte("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// eventually waits until ok, at most patience.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

var began = time.Date(2025, 11, 21, 12, 0, 0, 0, time.UTC)

// snapshot is one of a call that goes on, as far as the ledger looks at it.
func snapshot(rec call.Record) *actors.Snapshot {
	return &actors.Snapshot{V: 1, At: began, Record: rec, Dialog: json.RawMessage(`{"v":1}`), Raw: []byte("INVITE")}
}

func record(id call.ID) call.Record {
	return call.Record{ID: id, Tenant: "acme", Endpoint: "k1", Status: 200, Cause: call.CauseNormal, EndedBy: call.ByCarrier,
		Stages: call.Stages{Invited: began, Answered: began.Add(time.Second), Ended: began.Add(time.Minute)}}
}

func event(id call.ID, seq uint64, kind string) actors.CallEvent {
	return actors.CallEvent{ID: fmt.Sprint(id, ".", seq), Call: id, Seq: seq, Type: kind, Tenant: "acme", Endpoint: "k1", At: began}
}

// live begins a call; over ends it. Between them they tell what a call tells.
func (b *book) live(id call.ID) {
	b.Keep(snapshot(call.Record{ID: id, Tenant: "acme", Endpoint: "k1", Stages: call.Stages{Invited: began}}))
	b.Event("acme", event(id, 1, call.EventStarted))
	b.Event("acme", event(id, 2, call.EventAnswered))
}

func (b *book) over(id call.ID) {
	b.Event("acme", event(id, 3, call.EventEnded))
	b.Record(record(id))
}

// kept is what JetStream has in the end.
type kept struct {
	records map[string]int   // by call id
	seqs    map[string][]int // of each call's events, in the stream's order, call.record left out
	twice   int              // events that are there more than once
	entries int              // live calls and tombstones
}

func look(t testing.TB, c *cluster.Conn) kept {
	t.Helper()
	k := kept{records: map[string]int{}, seqs: map[string][]int{}}
	each(t, c, subject.StreamRecords, func(m *jetstream.RawStreamMsg) {
		var rec call.Record
		if err := json.Unmarshal(m.Data, &rec); err != nil {
			t.Fatal(err)
		}
		k.records[rec.ID.String()]++
	})
	ids := map[string]bool{}
	each(t, c, subject.StreamEvents, func(m *jetstream.RawStreamMsg) {
		var ev actors.CallEvent
		if err := json.Unmarshal(m.Data, &ev); err != nil {
			t.Fatal(err)
		}
		if ids[ev.ID] {
			k.twice++
		}
		ids[ev.ID] = true
		if ev.Type != journal.EventRecord {
			k.seqs[ev.Call.String()] = append(k.seqs[ev.Call.String()], int(ev.Seq))
		}
	})
	k.entries = entries(t, c)
	return k
}

// entries counts the live calls and tombstones.
func entries(t testing.TB, c *cluster.Conn) (n int) {
	t.Helper()
	each(t, c, "KV_calls", func(m *jetstream.RawStreamMsg) {
		if m.Header.Get("KV-Operation") == "" && m.Header.Get("Nats-Marker-Reason") == "" {
			n++
		}
	})
	return n
}

// each shows what a stream holds. Brokers that have just come back may not say
// at once.
func each(t testing.TB, c *cluster.Conn, stream string, do func(*jetstream.RawStreamMsg)) {
	t.Helper()
	var s jetstream.Stream
	var info *jetstream.StreamInfo
	patiently(t, func() (err error) {
		if s, err = c.JetStream().Stream(t.Context(), stream); err == nil {
			info, err = s.Info(t.Context())
		}
		return err
	})
	for seq := max(info.State.FirstSeq, 1); seq <= info.State.LastSeq; seq++ {
		var m *jetstream.RawStreamMsg
		patiently(t, func() (err error) {
			if m, err = s.GetMsg(t.Context(), seq); errors.Is(err, jetstream.ErrMsgNotFound) {
				m, err = nil, nil
			}
			return err
		})
		if m != nil {
			do(m)
		}
	}
}

// patiently asks until there is an answer.
func patiently(t testing.TB, ask func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// drained waits until nothing waits, and stops the ledger.
func (b *book) drained(t testing.TB) {
	t.Helper()
	eventually(t, "nothing waits", func() bool { w := b.Waiting(); return w.Records+w.Events+w.SpooledRecords+w.SpooledEvents == 0 })
	b.stop()
}

// copyDir copies the segments of a spool, as a disk that was not cleared.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	files, err := filepath.Glob(filepath.Join(from, "*.spool"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(name)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}
