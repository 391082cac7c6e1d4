package testkit

import (
	"fmt"
	"net"
	"net/url"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
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

// NATSCluster starts a cluster on free ports of loopback. It ends with the
// test.
func NATSCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	var routes []*url.URL
	for i := range c.options {
		client, route := freePort(t), freePort(t)
		c.options[i] = server.Options{ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: client, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: route}}
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", route)})
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
	return c
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
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
func (c *Cluster) URL(i int) string { return fmt.Sprintf("nats://127.0.0.1:%d", c.options[i].Port) }

// URLs is where clients reach any server.
func (c *Cluster) URLs() string { return c.URL(0) + "," + c.URL(1) + "," + c.URL(2) }
