package testkit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// clusterSize is how many servers a cluster has: the fewest that outlive one.
const clusterSize = 3

// A Cluster is three NATS servers with JetStream, whose members can be stopped
// and started again on their own data.
type Cluster struct {
	t       testing.TB
	options [clusterSize]server.Options
	running [clusterSize]*server.Server // nil: stopped
}

// clusterStart is the longest wait for JetStream of a new cluster.
const clusterStart = 2 * time.Minute

// Ports of the servers, each at an address of its own.
const (
	clientPort = 4222
	routePort  = 6222
)

// NATSCluster starts a cluster on loopback. It ends with the test.
func NATSCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	var routes []*url.URL
	hosts := Loopbacks(clusterSize)
	for i, host := range hosts {
		c.options[i] = server.Options{ServerName: fmt.Sprintf("n%d", i), Host: host, Port: clientPort, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), Cluster: server.ClusterOpts{Name: "c", Host: host, Port: routePort}}
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("%s:%d", host, routePort)})
	}
	for i := range c.options {
		c.options[i].Routes = routes
	}
	t.Cleanup(func() {
		for i := range c.running {
			c.Stop(i)
		}
	})
	for i := range c.options {
		c.Start(i)
	}
	for i := range c.running {
		if !c.running[i].ReadyForConnections(natsStart) {
			t.Fatalf("NATS server %d: not ready after %v", i, natsStart)
		}
	}
	c.elect()
	c.settle()
	return c
}

// elect waits until JetStream has a leader that knows every server, which only
// the leader tells: what is asked before has no answer, and may be done much
// later.
func (c *Cluster) elect() {
	c.t.Helper()
	for end := time.Now().Add(clusterStart); ; time.Sleep(20 * time.Millisecond) {
		if slices.ContainsFunc(c.running[:], leads) {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("JetStream of the cluster has no leader after %v", clusterStart)
		}
	}
}

func leads(srv *server.Server) bool {
	return srv.JetStreamIsCurrent() && len(srv.JetStreamClusterPeers()) == clusterSize
}

// settle waits until JetStream places a stream on every server: it elects its
// leader, and hears of its peers, after the servers take connections.
func (c *Cluster) settle() {
	c.t.Helper()
	nc, err := nats.Connect(c.URLs(), nats.Timeout(natsStart))
	if err != nil {
		c.t.Fatalf("connect to the cluster: %v", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		c.t.Fatal(err)
	}
	probe := jetstream.StreamConfig{Name: "PROBE", Subjects: []string{"probe"}, Storage: jetstream.MemoryStorage, Replicas: clusterSize}
	wait := time.Second // what is asked too early has no answer, ever
	for end := time.Now().Add(clusterStart); ; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		wait = min(2*wait, natsStart)
		_, err = js.CreateStream(ctx, probe)
		if err == nil {
			err = js.DeleteStream(ctx, probe.Name)
		}
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("JetStream of the cluster is not ready after %v: %v", clusterStart, err)
		}
	}
}

// Loopbacks returns n addresses of 127.0.0.0/8 that no other test is likely to
// have: of a server that stops and starts again nobody takes the port meanwhile.
func Loopbacks(n int) []string {
	net := fmt.Sprintf("127.%d.%d.", 1+rand.IntN(254), rand.IntN(256))
	first := 1 + rand.IntN(255-n)
	hosts := make([]string, n)
	for i := range hosts {
		hosts[i] = net + strconv.Itoa(first+i)
	}
	return hosts
}

// Start starts server i, 0 to 2, on the data that it has.
func (c *Cluster) Start(i int) {
	c.t.Helper()
	opts := c.options[i] // the server keeps and changes its own
	srv, err := server.NewServer(&opts)
	if err != nil {
		c.t.Fatalf("NATS server %d: %v", i, err)
	}
	srv.Start()
	c.running[i] = srv
}

// Stop stops server i, if it runs.
func (c *Cluster) Stop(i int) {
	if srv := c.running[i]; srv != nil {
		c.running[i] = nil
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// URL is where clients reach server i.
func (c *Cluster) URL(i int) string {
	return fmt.Sprintf("nats://%s:%d", c.options[i].Host, c.options[i].Port)
}

// URLs is where clients reach any server.
func (c *Cluster) URLs() string { return c.URL(0) + "," + c.URL(1) + "," + c.URL(2) }
