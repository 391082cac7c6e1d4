package broker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/cluster/broker"
)

const patience = 30 * time.Second

func config(t *testing.T) broker.Config {
	return broker.Config{Name: "n1", Listen: "127.0.0.1:0", StoreDir: t.TempDir() + "/jetstream", MaxStore: 1 << 30,
		SyncAlways: true, StartWait: patience}
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// start runs a server until stop is called.
func start(t *testing.T, cfg broker.Config, log *slog.Logger) (srv *broker.Server, stop func() error) {
	t.Helper()
	srv, err := broker.New(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	select {
	case <-srv.Ready():
	case err := <-done:
		done <- err
		t.Fatal(err)
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	return srv, stop
}

func TestJetStreamServesOnceReadyAndKeepsWhatItTook(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	for round := range 2 {
		srv, stop := start(t, cfg, silent())
		if err := srv.Healthy(); err != nil {
			t.Fatal(err)
		}
		nc, err := nats.Connect(srv.ClientURL(), nats.Timeout(patience))
		if err != nil {
			t.Fatal(err)
		}
		js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
		if err != nil {
			t.Fatal(err)
		}
		kv, err := js.CreateOrUpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "b"})
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			_, err = kv.Put(t.Context(), "k", []byte("v"))
		} else {
			_, err = kv.Get(t.Context(), "k")
		}
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		nc.Close()
		if err := stop(); err != nil {
			t.Fatalf("stop: %v", err)
		}
		if err := srv.Healthy(); err == nil {
			t.Error("a stopped server is healthy")
		}
	}
}

func TestATakenPortNamesItsSettingAndDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	cfg := config(t)
	cfg.Listen = l.Addr().String()
	srv, err := broker.New(cfg, silent())
	if err != nil {
		t.Fatal(err)
	}
	err = srv.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "nats.listen "+cfg.Listen) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
}

func TestAStoreServesOneProcessAtATime(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	_, stop := start(t, cfg, silent())
	_, err := broker.New(cfg, silent())
	if !errors.Is(err, broker.ErrInUse) || !strings.Contains(err.Error(), cfg.StoreDir) || !strings.Contains(err.Error(), "node.data_dir") {
		t.Errorf("got %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	srv, err := broker.New(cfg, silent())
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	srv.Close()
}

func TestSettingsThatCannotBeUsedAreNamed(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"localhost", "localhost:http", "127.0.0.1:70000"} {
		cfg := config(t)
		cfg.Listen = listen
		if _, err := broker.New(cfg, silent()); err == nil || !strings.Contains(err.Error(), "nats.listen") {
			t.Errorf("%s: %v", listen, err)
		}
	}
	cfg := config(t)
	cfg.StoreDir = "/dev/null/x"
	if _, err := broker.New(cfg, silent()); err == nil || !strings.Contains(err.Error(), "node.data_dir") {
		t.Errorf("a directory that cannot be: %v", err)
	}
}

func TestWithoutAnAddressOnlyThisProcessConnects(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Listen = ""
	srv, _ := start(t, cfg, silent())
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.FlushTimeout(patience); err != nil {
		t.Error(err)
	}
	if n := nc.MaxPayload(); n != broker.MaxPayload {
		t.Errorf("messages may have %d bytes, want %d", n, broker.MaxPayload)
	}
}

// buffer is a log that may be written and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestTheServersLinesKeepTheirLevelAndShowNoPayload(t *testing.T) {
	t.Parallel()
	var out buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg := config(t)
	srv, stop := start(t, cfg, log)
	nc, err := nats.Connect(srv.ClientURL(), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Request("s.canary-1", []byte("canary-2"), patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Error(err)
	}
	nc.Close()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if !strings.Contains(text, `"level":"DEBUG","msg":"nats server"`) || !strings.Contains(text, "nats server ready") {
		t.Errorf("log:\n%s", text)
	}
	if strings.Contains(text, "canary") {
		t.Error("the log shows what was published")
	}
}

func TestAServerThatIsStoppedWhileItWaitsForOthersWasNeverReady(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Cluster = broker.Cluster{Name: "test", Listen: "127.0.0.1:0", Routes: []string{"nats://127.0.0.1:1"}, Size: 3}
	var out buffer
	srv, err := broker.New(cfg, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.Timeout(patience))
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // it starts
		nc, err = nats.Connect("", nats.InProcessServer(srv), nats.Timeout(patience))
	}
	if err != nil {
		t.Error(err)
	} else {
		nc.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	select {
	case <-srv.Ready():
		t.Error("it was ready without the others")
	default:
	}
	if strings.Contains(out.String(), "nats server ready") {
		t.Error("it said so")
	}
}
