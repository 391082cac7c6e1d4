package rig

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// A Plan says how many processes of each role a cluster has. The zero value is
// three brokers, three edges, two actor nodes and two media nodes; there is
// always one control node.
type Plan struct {
	Brokers, Edges, Actors, Medias int
	Settings                       Settings // of every process
	Net                            *Net     // each process on a host of its own; nil: all on loopback
	Media                          Settings // of media nodes
	Secure                         bool     // edges listen for TLS, and believe the cluster's own authority
}

// blocksOfMedia is how many blocks of ports a media node of a cluster gets:
// about 240 calls, those whose ports still rest among them.
const blocksOfMedia = 2

// clientPorts are the ports of a cluster that are handed out one by one.
const clientPorts = 200

// A Cluster is a set of processes, each with one role, that meet over NATS.
type Cluster struct {
	Brokers, Edges, Actors, Medias []*Node
	Control                        *Node

	Op    *Operator
	Stall *Stall  // how late the machine was
	Agent string  // id of the echo agent
	Echo  *Worker // its worker, a process of its own

	t     testing.TB
	plan  Plan
	block *block
	key   string // file of the cluster key
	pki   string // directory of the authority of a Secure plan, and of its certificate
	nats  string // addresses of the brokers
}

// StartCluster starts the processes of a plan side by side, waits until each is
// ready, and gives the account an echo agent. Everything is stopped at the end
// of the test, which fails if a process does not end well.
func StartCluster(t testing.TB, plan Plan) *Cluster {
	t.Helper()
	began := time.Now()
	for _, count := range []struct {
		of *int
		at int
	}{{&plan.Brokers, 3}, {&plan.Edges, 3}, {&plan.Actors, 2}, {&plan.Medias, 2}} {
		if *count.of == 0 {
			*count.of = count.at
		}
	}
	c := &Cluster{t: t, plan: plan, Stall: watchStall(), key: filepath.Join(t.TempDir(), "cluster.key")}
	c.block = claim(t, plan.Medias*blocksOfMedia+1)
	c.block.handed = clientPorts
	c.writeKey()
	if plan.Secure {
		c.certify()
	}
	c.prepare()
	t.Cleanup(c.stop)
	for _, n := range c.Nodes() {
		n.Launch()
	}
	for _, n := range c.Nodes() {
		n.Ready()
	}
	c.Op = c.Control.Operator(t)
	c.Agent = c.Op.Agent(t, "nats", nil).ID
	c.Echo = c.Op.Worker(t, c.Agent, "echo")
	t.Logf("%d processes were ready after %v", len(c.Nodes())+1, time.Since(began).Round(10*time.Millisecond))
	return c
}

func (c *Cluster) writeKey() {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	if err := os.WriteFile(c.key, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// prepare makes the nodes, the brokers first: the others must know where they
// are.
func (c *Cluster) prepare() {
	routes := make([]string, c.plan.Brokers)
	at := make([]string, c.plan.Brokers)
	for i := range c.plan.Brokers {
		b := c.node("broker", i, nil)
		routes[i], at[i] = "nats://"+b.Route, b.NATS
		c.Brokers = append(c.Brokers, b)
	}
	c.nats = strings.Join(at, ",")
	for _, b := range c.Brokers {
		if c.plan.Brokers > 1 {
			b.set(Settings{"nats.cluster_listen": b.Route, "nats.routes": strings.Join(routes, ",")})
		}
	}
	for i := range c.plan.Edges {
		e := c.node("edge", i, nil)
		if c.plan.Secure {
			c.secure(e)
		}
		c.Edges = append(c.Edges, e)
	}
	for i := range c.plan.Actors {
		c.Actors = append(c.Actors, c.node("actor", i, nil))
	}
	for i := range c.plan.Medias {
		rtp, ice := c.block.share(i, c.plan.Medias)
		c.Medias = append(c.Medias, c.node("media", i, Settings{"media.rtp_ports": rtp, "media.ice_ports": ice,
			"media.port_quarantine": "1s"}, c.plan.Media))
	}
	c.Control = c.node("control", 0, nil)
}

// node prepares one process. Its log goes to a file that outlives a test that
// fails.
func (c *Cluster) node(role string, i int, settings ...Settings) *Node {
	c.t.Helper()
	name := fmt.Sprintf("%s-%d", role, i+1)
	all := []Settings{{"node.name": name, "node.roles": role, "node.cluster_key_file": c.key, "nats.auth": "roles",
		"nats.replicas": strconv.Itoa(min(c.plan.Brokers, 3))}}
	if role != "broker" {
		all = append(all, Settings{"nats.url": "nats://" + strings.ReplaceAll(c.nats, ",", ",nats://")})
	}
	at, space := loopback, ""
	if c.plan.Net != nil {
		at, space = c.plan.Net.host(c.t, name)
	}
	n := prepare(c.t, c.block, at, slices.Concat(all, []Settings{c.plan.Settings}, settings)...)
	n.Name, n.space, n.key = name, space, c.key
	if role != "broker" {
		n.NATS = c.nats
	}
	return n
}

// Nodes are all processes but the agent's, the brokers first.
func (c *Cluster) Nodes() []*Node {
	return append(slices.Concat(c.Brokers, c.Actors, c.Medias, c.Edges), c.Control)
}

// Node is the process of that name, such as media-1.
func (c *Cluster) Node(name string) *Node {
	c.t.Helper()
	for _, n := range c.Nodes() {
		if n.Name == name {
			return n
		}
	}
	c.t.Fatalf("the cluster has no node %q", name)
	return nil
}

// SIP is where the edges listen.
func (c *Cluster) SIP() []netip.AddrPort {
	all := make([]netip.AddrPort, len(c.Edges))
	for i, e := range c.Edges {
		all[i] = e.SIP
	}
	return all
}

// Connect returns a connection to whichever broker lives.
func (c *Cluster) Connect(t testing.TB) *nats.Conn { t.Helper(); return c.Control.Connect(t) }

// Sum is the sum of a metric over nodes, those that do not run left out.
func Sum(nodes []*Node, name string, labels ...string) (sum float64) {
	for _, n := range nodes {
		if n.proc.running() {
			sum += n.Metric(name, labels...)
		}
	}
	return sum
}

// stop ends the processes: those that carry calls first, the brokers last. The
// roles of one group stop side by side.
func (c *Cluster) stop() {
	close(c.Stall.stop)
	c.t.Logf("the machine was %v late at the worst", c.Stall.Worst().Round(time.Millisecond))
	for _, n := range c.Nodes() {
		if n.proc != nil && n.proc.running() {
			n.proc.signal(c.t, syscall.SIGCONT)
		}
	}
	for _, group := range [][]*Node{c.Edges, append(slices.Concat(c.Medias, c.Actors), c.Control), c.Brokers} {
		var all sync.WaitGroup
		for _, n := range group {
			if n.proc != nil {
				all.Go(func() { n.Stop(c.t) })
			}
		}
		all.Wait()
	}
	if c.t.Failed() {
		c.keepLogs()
	}
}

// keepLogs saves what the processes have written, for whoever reads the
// failure.
func (c *Cluster) keepLogs() {
	dir, err := os.MkdirTemp("", "patchbay-cluster-logs-")
	if err != nil {
		c.t.Logf("keep the logs: %v", err)
		return
	}
	for _, n := range c.Nodes() {
		for i, run := range n.runs {
			_ = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s.%d.log", n.Name, i+1)), []byte(run.log()), 0o600)
		}
	}
	c.t.Logf("the logs of all processes are in %s", dir)
}
