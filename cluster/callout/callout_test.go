package callout_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"patchbay/actors/endpoint"
	"patchbay/cluster/broker"
	"patchbay/cluster/callout"
	"patchbay/cluster/permit"
	"patchbay/internal/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// A site is a broker that asks who comes, and a control node that answers.
type site struct {
	t     *testing.T
	srv   *broker.Server
	keys  *keys.Cluster
	node  *nats.Conn // of the control node
	log   *buffer
	judge *judge
	stop  func() // the control node's answers
}

// A buffer is a log that several write to.
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

// A judge knows what secrets open.
type judge struct {
	mu     sync.Mutex
	passes map[string]callout.Pass // by name shown and secret
	looked int
	broken bool
}

func (j *judge) Admit(_ context.Context, user, secret string) (callout.Pass, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.looked++
	p, ok := j.passes[user+" "+secret]
	switch {
	case j.broken:
		return callout.Pass{}, errors.New("nobody answers")
	case !ok:
		return callout.Pass{}, callout.ErrRefused
	}
	return p, nil
}

func (j *judge) Good(_ context.Context, key endpoint.Key) (bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return false, errors.New("nobody answers")
	}
	for shown := range j.passes {
		if _, secret, _ := strings.Cut(shown, " "); endpoint.SecretDigest(secret) == key {
			return true, nil
		}
	}
	return false, nil
}

// let gives a secret something to open.
func (j *judge) let(user, secret string, p callout.Pass) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.passes[user+" "+secret] = p
}

// revoke has a secret open nothing.
func (j *judge) revoke(secret string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for shown := range j.passes {
		if strings.HasSuffix(shown, " "+secret) {
			delete(j.passes, shown)
		}
	}
}

func (j *judge) looks() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.looked
}

func newSite(t *testing.T) *site {
	t.Helper()
	c, err := keys.ParseCluster([]byte(strings.Repeat("5c", 32)))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, keys: c, log: &buffer{}, judge: &judge{passes: map[string]callout.Pass{}}}
	s.srv, err = broker.New(broker.Config{Name: "b1", Listen: "127.0.0.1:0", StoreDir: t.TempDir(), MaxStore: 1 << 30, StartWait: patience,
		Keys: c, Tenants: true}, s.logger())
	if err != nil {
		t.Fatal(err)
	}
	s.runs(s.srv)
	s.node = s.process("control")
	s.answer()
	return s
}

func (s *site) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// runs runs a component until the test or stop ends it.
func (s *site) runs(c interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}) (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	select {
	case <-c.Ready():
	case err := <-done:
		s.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(stop)
	return stop
}

// answer starts the control node's answers.
func (s *site) answer() {
	s.t.Helper()
	r, err := callout.NewResponder(s.node, s.keys, callout.Judge{Admit: s.judge.Admit, Good: s.judge.Good}, time.Now, s.logger())
	if err != nil {
		s.t.Fatal(err)
	}
	s.stop = s.runs(r)
}

// process connects as a node.
func (s *site) process(role string) *nats.Conn {
	s.t.Helper()
	who := permit.Process(role)
	l, err := permit.LoginOf(s.keys, who)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.enter(nats.Nkey(l.Nkey, l.Sign), nats.CustomInboxPrefix(permit.Inbox(who)))
}

// enter connects who has a credential of the cluster key.
func (s *site) enter(who ...nats.Option) *nats.Conn {
	s.t.Helper()
	for end := time.Now().Add(patience); ; { // a busy machine may answer too late
		nc, err := nats.Connect(s.srv.ClientURL(), append(who, nats.Timeout(patience))...)
		if err == nil {
			s.t.Cleanup(nc.Close)
			return nc
		}
		if time.Now().After(end) {
			s.t.Fatalf("not let in: %v", err)
		}
	}
}

// A client is a program, and what the broker forbade it.
type client struct {
	*nats.Conn
	closed chan struct{}
	mu     sync.Mutex
	no     map[string]bool // "publish" or "subscribe", and the subject
}

var violation = regexp.MustCompile(`(?i)permissions violation for (publish|subscription) to "([^"]+)"`)

// connect comes as a program with a secret would. It does not come back when it
// is thrown out.
func (s *site) connect(user, secret, key string) (*client, error) {
	c := &client{closed: make(chan struct{}), no: map[string]bool{}}
	who := nats.Token(secret)
	if user != "" {
		who = nats.UserInfo(user, secret)
	}
	nc, err := nats.Connect(s.srv.ClientURL(), who, nats.CustomInboxPrefix(permit.InboxOfKey(key)), nats.NoReconnect(), nats.Timeout(patience),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if m := violation.FindStringSubmatch(err.Error()); m != nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.no[map[bool]string{true: "subscribe", false: "publish"}[strings.EqualFold(m[1], "subscription")]+" "+m[2]] = true
			}
		}))
	if err != nil {
		return nil, err
	}
	c.Conn = nc
	s.t.Cleanup(nc.Close)
	return c, nil
}

func (s *site) mustConnect(user, secret, key string) *client {
	s.t.Helper()
	for end := time.Now().Add(patience); ; { // a busy machine may answer too late
		c, err := s.connect(user, secret, key)
		if err == nil {
			return c
		}
		if time.Now().After(end) {
			s.t.Fatalf("not let in: %v", err)
		}
	}
}

// thrownOut waits until the broker has closed a connection.
func (c *client) thrownOut(t *testing.T) {
	t.Helper()
	select {
	case <-c.closed:
	case <-time.After(patience):
		t.Fatal("the connection is still there")
	}
}

// forbidden tries an act on each subject and returns what the broker forbade.
func (c *client) forbidden(t *testing.T, act string, subjects []string) map[string]bool {
	t.Helper()
	const canary = "nobody.may.this"
	for _, at := range append([]string{canary}, subjects...) {
		var err error
		if act == "publish" {
			err = c.Publish(at, nil)
		} else {
			_, err = c.SubscribeSync(at)
		}
		if err != nil {
			t.Fatalf("%s %s: %v", act, at, err)
		}
	}
	last := act + " " + canary + ".2"
	if act == "publish" {
		_ = c.Publish(canary+".2", nil)
	} else {
		_, _ = c.SubscribeSync(canary + ".2")
	}
	if err := c.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); !c.knows(last); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("may %s what nobody may", act)
		}
	}
	no := map[string]bool{}
	for _, at := range subjects {
		no[at] = c.knows(act + " " + at)
	}
	return no
}

func (c *client) knows(act string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.no[act]
}
