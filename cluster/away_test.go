package cluster_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/broker"
)

// A comeback is a broker that goes away and comes back on the same port.
type comeback struct {
	t    *testing.T
	cfg  broker.Config
	stop func()
}

func newComeback(t *testing.T) *comeback {
	t.Helper()
	// An address of its own, so that nobody takes the port meanwhile.
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 80, byte(rand.IntN(256)), byte(1 + rand.IntN(254))}), 4222)
	c := &comeback{t: t, cfg: broker.Config{Name: "test", Listen: addr.String(), StoreDir: t.TempDir(), MaxStore: 1 << 30, StartWait: patience}}
	t.Cleanup(func() { c.stop() })
	c.start()
	return c
}

func (c *comeback) start() {
	c.t.Helper()
	srv, err := broker.New(c.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	c.stop = sync.OnceFunc(func() { cancel(); <-done })
	select {
	case <-srv.Ready():
	case err := <-done:
		done <- err
		c.t.Fatalf("run broker: %v", err)
	}
}

func (c *comeback) connect() *cluster.Conn {
	c.t.Helper()
	conn, err := cluster.Connect(cluster.Options{Name: "test", URL: "nats://" + c.cfg.Listen, Wait: patience}, slog.New(slog.DiscardHandler))
	if err != nil {
		c.t.Fatal(err)
	}
	run(c.t, conn)
	return conn
}

// TestWhatNobodyRepeatsWaitsForNATS: in-dialog messages, responses and requests
// of ours over TCP outlive a moment without NATS.
func TestWhatNobodyRepeatsWaitsForNATS(t *testing.T) {
	t.Parallel()
	nats := newComeback(t)
	media, edge := nats.connect(), nats.connect()
	node := openCalls(t, media, 3)
	node.carry(42)
	sent := openEdge(t, edge, "edge-1")
	r, w := newRouter(t, edge, cluster.RouterObserver{}), newWire(t, media, nobodyGone)
	r.HoldLonger(patience) // a busy machine may take longer to start a broker
	w.TryLonger(patience)

	nats.stop()
	eventually(t, "both know that NATS is away", func() bool { return !media.Hot().IsConnected() && !edge.Hot().IsConnected() })
	asked := bye(r, call.TCP, 3, 42)
	w.Transmit(onFlow("edge-1", call.TCP, "SIP/2.0 486 Busy Here\r\n\r\n"))
	w.Transmit(onFlow("edge-1", call.TCP, "BYE sip:x SIP/2.0\r\n\r\n"))
	w.Transmit(onFlow("edge-1", call.UDP, "SIP/2.0 180 Ringing\r\n\r\n")) // its INVITE will come again
	time.Sleep(300 * time.Millisecond)                                    // real: an outage
	nats.start()

	if err := await(t, asked); err != nil || len(node.delivered()) != 1 {
		t.Errorf("an in-dialog message: %v, the call got %v", err, node.delivered())
	}
	for got := ""; !strings.Contains(got, "486 Busy") || !strings.Contains(got, "BYE sip:x"); {
		got += string(await(t, sent).Raw) // one whose receipt was slow comes twice
	}
}
