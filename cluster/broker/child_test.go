package broker_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"patchbay/cluster"
	"patchbay/cluster/broker"
	"patchbay/cluster/permit"
	"patchbay/internal/keys"
	"patchbay/internal/pki"
	"patchbay/internal/testkit"
)

// childVar holds the settings of a broker that runs as a process of its own: it
// can be killed and stopped as a machine would be.
const childVar = "PATCHBAY_TEST_BROKER"

// slack is what a machine that is busy with other tests may add to a promise.
const slack = 5 * time.Second

const clusterKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

// A child's settings.
type settings struct {
	Name, Host, Store, PKI string
	Key                    string // empty: clusterKey
	Tenants                bool
	Routes                 []string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childVar); text != "" {
		if err := runChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func runChild(text string) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	if s.Key == "" {
		s.Key = clusterKey
	}
	key, err := keys.ParseCluster([]byte(s.Key))
	if err != nil {
		return err
	}
	cfg := broker.Config{Name: s.Name, Listen: s.Host + ":4222", StoreDir: s.Store, MaxStore: 1 << 30, SyncAlways: true,
		StartWait: time.Minute, Keys: key, Tenants: s.Tenants,
		Cluster: broker.Cluster{Name: "test", Listen: s.Host + ":6222", Routes: s.Routes, Size: len(s.Routes)}}
	if s.PKI != "" {
		pair, err := pki.OpenPair(filepath.Join(s.PKI, s.Host+".pem"), filepath.Join(s.PKI, s.Host+".key"))
		if err != nil {
			return err
		}
		authorities, err := pki.Pool(filepath.Join(s.PKI, pki.AuthorityFile))
		if err != nil {
			return err
		}
		cfg.ClientTLS, cfg.RouteTLS = pair.Server(), pair.Peer(authorities)
	}
	srv, err := broker.New(cfg, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return srv.Run(ctx)
}

// A trio is three brokers, each a process.
type trio struct {
	t        testing.TB
	settings [3]settings
	logs     [3]*buffer
	procs    [3]*exec.Cmd // nil: not running
}

// newTrio prepares three brokers; none runs yet. dir holds their certificates;
// empty: no TLS.
func newTrio(t testing.TB, hosts []string, dir string) *trio {
	c := &trio{t: t}
	var routes []string
	for _, h := range hosts {
		routes = append(routes, "nats://"+h+":6222")
	}
	for i, h := range hosts {
		c.settings[i] = settings{Name: fmt.Sprintf("b%d", i), Host: h, Store: t.TempDir() + "/jetstream", PKI: dir, Routes: routes}
		c.logs[i] = &buffer{}
	}
	t.Cleanup(func() {
		for i := range c.procs {
			c.signal(i, syscall.SIGCONT)
			c.end(i, syscall.SIGKILL)
			if t.Failed() {
				t.Logf("broker %d:\n%s", i, tailOf(c.logs[i].String()))
			}
		}
	})
	return c
}

func tailOf(log string) string {
	lines := strings.Split(log, "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// startTrio starts three brokers and waits until they are ready.
func startTrio(t testing.TB, dir string, hosts ...string) *trio {
	t.Helper()
	if hosts == nil {
		hosts = testkit.Loopbacks(3)
	}
	c := newTrio(t, hosts, dir)
	for i := range c.procs {
		c.start(i)
	}
	for i := range c.procs {
		c.ready(i)
	}
	return c
}

func (c *trio) start(i int) {
	c.t.Helper()
	text, err := json.Marshal(c.settings[i])
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+string(text))
	cmd.Stderr = c.logs[i]
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.procs[i] = cmd
}

// ready waits until a broker serves, counting the starts in its log.
func (c *trio) ready(i int) {
	c.t.Helper()
	c.says(i, "nats server ready")
}

// says waits until a broker's log holds words, since it was started last.
func (c *trio) says(i int, words string) {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(c.logs[i].String(), words); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("broker %d never says %q", i, words)
		}
	}
}

func (c *trio) signal(i int, s os.Signal) {
	if c.procs[i] != nil {
		_ = c.procs[i].Process.Signal(s) // it may have ended
	}
}

// end ends a broker and forgets its log.
func (c *trio) end(i int, s os.Signal) {
	if c.procs[i] == nil {
		return
	}
	c.signal(i, s)
	_ = c.procs[i].Wait() // a killed process is no success
	c.procs[i] = nil
}

func (c *trio) restart(i int) {
	c.t.Helper()
	c.logs[i].reset()
	c.start(i)
	c.ready(i)
}

func (b *buffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b = bytes.Buffer{}
}

// url lists brokers by index.
func (c *trio) url(of ...int) string {
	var all []string
	for _, i := range of {
		all = append(all, "nats://"+c.settings[i].Host+":4222")
	}
	return strings.Join(all, ",")
}

// join connects a process with these roles to brokers.
func (c *trio) join(url string, roles ...string) *cluster.Conn {
	c.t.Helper()
	key, err := keys.ParseCluster([]byte(clusterKey))
	if err != nil {
		c.t.Fatal(err)
	}
	who := permit.Process(roles...)
	login, err := permit.LoginOf(key, who)
	if err != nil {
		c.t.Fatal(err)
	}
	o := cluster.Options{Name: "test", URL: url, Login: login, Inbox: permit.Inbox(who), Blind: who.String() == "edge", Wait: time.Minute}
	if dir := c.settings[0].PKI; dir != "" {
		o.TLS = pki.Client(authorities(c.t, dir))
	}
	conn, err := cluster.Connect(o, silent())
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- conn.Run(ctx) }()
	c.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Error(err)
		}
	})
	select {
	case <-conn.Ready():
	case err := <-done:
		done <- err
		c.t.Fatal(err)
	}
	return conn
}

func authorities(t testing.TB, dir string) *x509.CertPool {
	t.Helper()
	pool, err := pki.Pool(filepath.Join(dir, pki.AuthorityFile))
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// named is the index of a broker by its server's name.
func named(server string) int { return int(server[1] - '0') }

// bucket makes a replicated bucket that a process of every role may use.
func bucket(t testing.TB, conn *cluster.Conn) jetstream.Stream {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		s, err := conn.JetStream().CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "KV_endpoints", Subjects: []string{"$KV.endpoints.>"},
			Replicas: 3, MaxMsgsPerSubject: 1, AllowDirect: true})
		if err == nil {
			return s
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
