package broker_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/cluster"
	"patchbay/cluster/tail"
	"patchbay/internal/pki"
	"patchbay/internal/testkit"
)

func TestAClusterStartsInAnyOrderAndSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	c := newTrio(t, testkit.Loopbacks(3), "")
	c.start(2)
	c.says(2, "waiting for JetStream quorum: 1 of 3 brokers")
	c.start(0)
	c.says(2, "2 of 3 brokers (the first start of a cluster needs all)")
	c.start(1)
	for i := range 3 {
		c.ready(i)
	}
	conn := c.join(c.url(0, 1, 2), "control")
	bucket(t, conn)

	for i := range 3 {
		c.end(i, syscall.SIGTERM)
	}
	c.logs[1].reset()
	c.logs[2].reset()
	c.start(1)
	c.start(2)
	c.ready(1) // later two of three are enough
	c.ready(2)
	for end := time.Now().Add(time.Minute); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := conn.JetStream().Publish(ctx, "$KV.endpoints.k", []byte("v"))
		cancel()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("with two of three: %v", err)
		}
	}
}

// questions asks every few milliseconds until stop, and returns how many had
// no answer.
func questions(t testing.TB, asker, answerer *nats.Conn, subject string) (stop func() (asked, failed int64)) {
	t.Helper()
	sub, err := answerer.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond(nil) })
	if err != nil {
		t.Fatal(err)
	}
	if err := answerer.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	// The other broker hears of the subscription by its route.
	for end := time.Now().Add(patience); ; {
		if _, err := asker.Request(subject, nil, time.Second); err == nil || time.Now().After(end) {
			break
		}
	}
	var asked, failed atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil {
			asked.Add(1)
			if _, err := asker.Request(subject, nil, patience); err != nil {
				failed.Add(1)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	return func() (int64, int64) {
		cancel()
		work.Wait()
		_ = sub.Unsubscribe()
		return asked.Load(), failed.Load()
	}
}

func TestTheLeadersDeathIsNoticedByNoRequestAndWritesAndFeedsResumeWithin10Seconds(t *testing.T) {
	t.Parallel()
	c := startTrio(t, "")
	maker := c.join(c.url(0, 1, 2), "control")
	leader := named(bucket(t, maker).CachedInfo().Cluster.Leader)
	one, two := (leader+1)%3, (leader+2)%3
	edge, actor := c.join(c.url(one), "edge"), c.join(c.url(two), "actor", "control")
	heard := make(chan string, 1024)
	follow(t, actor, heard)
	stop := questions(t, edge.Hot(), actor.Hot(), "pb.v1.invite.any")
	time.Sleep(500 * time.Millisecond)

	c.end(leader, syscall.SIGKILL)
	died, late := time.Now(), testkit.Late(t)
	written := 0
	for ; written == 0; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if _, err := actor.JetStream().Publish(ctx, "$KV.endpoints.after", []byte("v")); err == nil {
			written++
		}
		cancel()
		if time.Since(died) > time.Minute {
			t.Fatal("writes never resume")
		}
	}
	writes := time.Since(died)
	for subject := range heard {
		if subject == "$KV.endpoints.after" {
			break
		}
	}
	feed, busy := time.Since(died), late()
	asked, failed := stop()
	t.Logf("writes resumed after %v, the feed after %v, of which the machine was late %v; %d questions asked", writes, feed, busy, asked)
	if failed != 0 {
		t.Errorf("%d of %d questions failed", failed, asked)
	}
	if promised := 10*time.Second + slack + busy; writes > promised || feed > promised {
		t.Errorf("writes resumed after %v, the feed after %v", writes, feed)
	}
}

// follow tells the subjects of the bucket's changes as a node's feed does: when
// it is interrupted it begins again where it stood.
func follow(t testing.TB, conn *cluster.Conn, heard chan<- string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for seen := uint64(0); ctx.Err() == nil; {
			_ = tail.Follow(ctx, conn.JetStream(), tail.Query{Stream: "KV_endpoints", From: seen + 1}, func(uint64) {}, func(m tail.Message) error {
				seen = m.Sequence
				heard <- m.Subject
				return nil
			})
			time.Sleep(tail.Retry)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func TestANodeLeavesAHungBrokerWithin5Seconds(t *testing.T) {
	t.Parallel()
	c := startTrio(t, "")
	node := c.join(c.url(0, 1, 2), "actor")
	apart(t, node)
	hung := named(node.Hot().ConnectedServerName())
	other := c.join(c.url((hung+1)%3), "edge")
	ask := func(wait time.Duration) error {
		_, err := other.Hot().Request("pb.v1.invite.any", nil, wait)
		return err
	}
	if _, err := node.Hot().Subscribe("pb.v1.invite.any", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	// A node hears the others' beats all the time, by its second connection or
	// its first.
	beats := cluster.NewPresence(time.Minute, time.Now, cluster.PresenceObserver{Lost: func(role, name string, _ int) {
		t.Errorf("%s %s seems dead", role, name)
	}})
	if err := beats.Listen(node); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(beats.Close)
	beat(t, other, "e1")
	for end := time.Now().Add(patience); ask(time.Second) != nil || len(beats.Alive("edge")) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not ready")
		}
	}

	c.signal(hung, syscall.SIGSTOP)
	stopped, late := time.Now(), testkit.Late(t)
	for ask(200*time.Millisecond) == nil { // the kernel has yet to stop its threads
		if time.Since(stopped) > time.Minute {
			t.Fatal("the broker does not hang")
		}
	}
	for ask(200*time.Millisecond) != nil {
		if time.Since(stopped) > time.Minute {
			t.Fatal("the node stays with the broker that hangs")
		}
	}
	took, busy := time.Since(stopped), late()
	t.Logf("moved after %v, of which the machine was late %v", took, busy)
	if took > 5*time.Second+slack+busy {
		t.Errorf("moved after %v", took)
	}
	if at := named(node.Hot().ConnectedServerName()); at == hung {
		t.Errorf("the node is at %d still", at)
	}
}

// apart waits until a node's two connections are at two brokers.
func apart(t testing.TB, node *cluster.Conn) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		both := node.Twice()
		if len(both) != 2 {
			t.Fatalf("%d connections", len(both))
		}
		if a, b := both[0].ConnectedServerId(), both[1].ConnectedServerId(); a != "" && b != "" && a != b {
			return
		}
		if time.Now().After(end) {
			t.Fatal("both connections stay at one broker")
		}
	}
}

// beat lets a node show that it lives.
func beat(t testing.TB, conn *cluster.Conn, name string) {
	b := cluster.NewBeats(conn, cluster.BeatConfig{Role: cluster.RoleEdge, Node: name, Boot: 1})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestEachBrokerIsRestartedInTurnAndNothingIsLost(t *testing.T) {
	t.Parallel()
	c := startTrio(t, "")
	node := c.join(c.url(0, 1, 2), "control")
	bucket(t, node)
	want := map[string]bool{}
	write := func(key string) {
		for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			_, err := node.JetStream().Publish(ctx, "$KV.endpoints."+key, []byte(key))
			cancel()
			if err == nil {
				want[key] = true
				return
			}
			if time.Now().After(end) {
				t.Fatalf("write %s: %v", key, err)
			}
		}
	}
	for i := range 3 {
		write(fmt.Sprint("before", i))
		c.end(i, syscall.SIGTERM)
		write(fmt.Sprint("without", i))
		c.restart(i)
	}
	write("after")
	s, err := node.JetStream().Stream(t.Context(), "KV_endpoints")
	if err != nil {
		t.Fatal(err)
	}
	for key := range want {
		for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { // a replica that was away may answer, before it has caught up
			m, err := s.GetLastMsgForSubject(t.Context(), "$KV.endpoints."+key)
			if err == nil && string(m.Data) == key {
				break
			}
			if time.Now().After(end) {
				t.Errorf("%s: %v", key, err)
				break
			}
		}
	}
	for end := time.Now().Add(time.Minute); node.Healthy() != nil; time.Sleep(20 * time.Millisecond) { // all its connections are back
		if time.Now().After(end) {
			t.Fatal(node.Healthy())
		}
	}
}

func TestBrokersAreGivenANewKeyInTurnAndNodesOfTheOldOneStay(t *testing.T) {
	t.Parallel()
	c := startTrio(t, "")
	node := c.join(c.url(0, 1, 2), "control")
	bucket(t, node)
	for i := range 3 {
		c.end(i, syscall.SIGTERM)
		c.settings[i].Key = "1:ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff\n" + clusterKey
		c.restart(i) // its routes are up, both ways round
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := node.JetStream().Publish(ctx, "$KV.endpoints.k", []byte("v"))
		cancel()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestBrokersAndNodesSpeakTLSAndTakeNoStranger(t *testing.T) {
	t.Parallel()
	dir, hosts := t.TempDir(), testkit.Loopbacks(3)
	authority, err := pki.OpenAuthority(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		if err := authority.Issue(h, []string{h}, time.Now(), false); err != nil {
			t.Fatal(err)
		}
	}
	c := startTrio(t, dir, hosts...) // their routes are up: JetStream is
	node := c.join(c.url(0, 1, 2), "control")
	bucket(t, node)
	if _, err := node.Hot().TLSConnectionState(); err != nil {
		t.Errorf("a node without TLS: %v", err)
	}
	if nc, err := nats.Connect(c.url(0), nats.Timeout(patience)); err == nil {
		nc.Close()
		t.Error("a client that trusts nobody was content")
	}
	// The route port takes nobody without a certificate, though he has the CA.
	raw, err := net.DialTimeout("tcp", hosts[0]+":6222", patience)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	cfg := pki.Client(authorities(t, dir))
	cfg.ServerName = hosts[0]
	client := tls.Client(raw, cfg)
	if _, err = client.Write([]byte("PING\r\n")); err == nil {
		_, err = client.Read(make([]byte, 1))
	}
	if err == nil || os.IsTimeout(err) {
		t.Errorf("a broker without a certificate: %v", err)
	}
}
