package rig

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Limits of a node's life.
const (
	startLimit = 60 * time.Second // until /readyz says yes; the race detector needs its share
	stopLimit  = 30 * time.Second // from SIGTERM, and again from a second one
	awayLimit  = 2 * time.Second  // to the second, of a node that was cut off
	httpLimit  = 10 * time.Second
)

// A Node is one running node and what is known of it from outside.
type Node struct {
	t     testing.TB
	block *block
	args  []string
	proc  *process
	runs  []*process // all of them
	http  *http.Client
	dead  bool   // killed by the test: its end is not looked at
	away  bool   // it was cut off from the brokers
	space string // network namespace it runs in; "": the test's
	key   string // file of the cluster key, where brokers ask who it is; "": they do not
	Name  string // in a cluster

	SIP   netip.AddrPort // UDP and TCP
	TLS   netip.AddrPort // of edges of a Secure plan
	HTTP  string         // host:port
	HTTPS string         // host:port; of nodes with the role control
	NATS  string         // host:port of the embedded broker; in a cluster, of all brokers, comma separated
	Route string         // host:port for other brokers
	Dir   string         // data directory

	Believes string // file of the authorities that it believes; "": the machine's
}

// Settings are a node's settings by key, such as "sip.t1": "100ms".
type Settings map[string]string

// Start runs a node with every role and waits until it is ready. It is stopped
// at the end of the test, which fails if it does not end well.
func Start(t testing.TB, settings Settings) *Node {
	t.Helper()
	return StartWide(t, 1, settings)
}

// StartSix is Start for a node that carriers reach over IPv6 alone.
func StartSix(t testing.TB, settings Settings) *Node {
	t.Helper()
	n := Prepare(t, 1, settings)
	n.SIP = netip.AddrPortFrom(netip.IPv6Loopback(), n.SIP.Port())
	n.set(Settings{"sip.udp": n.SIP.String(), "sip.tcp": n.SIP.String()})
	n.Run()
	t.Cleanup(func() { n.Stop(t) })
	return n
}

// StartWide is Start for a node that needs n blocks of ports.
func StartWide(t testing.TB, n int, settings Settings) *Node {
	t.Helper()
	node := Prepare(t, n, settings)
	node.Run()
	t.Cleanup(func() { node.Stop(t) })
	return node
}

// Prepare returns a node that does not run yet.
func Prepare(t testing.TB, blocks int, settings Settings) *Node {
	t.Helper()
	b := claim(t, blocks)
	rtp, ice := b.media()
	return prepare(t, b, loopback, Settings{"media.rtp_ports": rtp, "media.ice_ports": ice}, settings)
}

// loopback is where nodes listen that have no network of their own.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// prepare returns a node at an address, with five ports of a block. Later
// settings win.
func prepare(t testing.TB, b *block, at netip.Addr, settings ...Settings) *Node {
	t.Helper()
	port := b.take(t, 5)
	n := &Node{t: t, block: b, Dir: t.TempDir(),
		SIP:  netip.AddrPortFrom(at, uint16(port)),
		HTTP: fmt.Sprintf("%s:%d", at, port+1), NATS: fmt.Sprintf("%s:%d", at, port+2), Route: fmt.Sprintf("%s:%d", at, port+3), HTTPS: fmt.Sprintf("%s:%d", at, port+4),
		http: &http.Client{Timeout: httpLimit, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	all := Settings{
		"node.name": fmt.Sprintf("n%d", port), "node.data_dir": n.Dir, "log.level": "info",
		"sip.udp": n.SIP.String(), "sip.tcp": n.SIP.String(), "sip.tls": "", "sip.ws": "",
		"nats.listen": n.NATS, "http.listen": n.HTTP, "http.tls_listen": n.HTTPS,
		"actor.store_timeout": "1s", // several nodes sync their writes to one disk
	}
	for _, s := range settings {
		maps.Copy(all, s)
	}
	n.args = []string{"serve"}
	n.set(all)
	return n
}

// set adds settings; later ones win.
func (n *Node) set(all Settings) {
	for _, key := range slices.Sorted(maps.Keys(all)) {
		n.args = append(n.args, Flag(key)+"="+all[key])
	}
}

// Flag is the command line's name of a setting.
func Flag(key string) string {
	return "--" + strings.NewReplacer(".", "-", "_", "-").Replace(strings.TrimPrefix(key, "node."))
}

// Run starts the node's process and waits until it is ready. A node whose
// process has ended may run again, on the same data.
func (n *Node) Run() {
	n.t.Helper()
	n.Launch()
	n.Ready()
}

// Launch starts the node's process and returns at once.
func (n *Node) Launch() {
	n.t.Helper()
	var env []string
	if n.Believes != "" {
		env = append(env, "SSL_CERT_FILE="+n.Believes)
	}
	n.proc, n.dead = spawn(n.t, n.space, n.args, env...), false
	if n.Name != "" {
		n.proc.shown = shownOfMany
	}
	n.runs = append(n.runs, n.proc)
}

// Ready waits until the node says that it is.
func (n *Node) Ready() {
	n.t.Helper()
	Until(n.t, startLimit, func() (string, bool) {
		if !n.proc.running() {
			n.proc.examine(n.t)
			n.t.Fatalf("the node ended at start with exit code %d:\n%s", n.proc.cmd.ProcessState.ExitCode(), n.proc.log())
		}
		status, body, err := n.Get("/readyz")
		return fmt.Sprintf("ready: %d %s %v\n%s", status, body, err, tail(n.proc.log(), n.proc.shown)), err == nil && status == http.StatusOK
	})
}

// Kill ends the node's process as kill -9 does, and returns when it has ended.
func (n *Node) Kill() {
	n.t.Helper()
	n.dead = true
	n.proc.signal(n.t, syscall.SIGKILL)
	<-n.proc.done
}

// RunExpectingExit starts the node's process and returns its output and exit
// code; the test fails if it does not end by itself.
func (n *Node) RunExpectingExit() (output string, code int) {
	n.t.Helper()
	proc := spawn(n.t, n.space, n.args)
	if !proc.ended(startLimit) {
		_ = proc.cmd.Process.Kill()
		n.t.Fatalf("the node did not end within %v:\n%s", startLimit, proc.log())
	}
	return proc.log(), proc.cmd.ProcessState.ExitCode()
}

// Signal sends the node a signal.
func (n *Node) Signal(sig os.Signal) { n.t.Helper(); n.proc.signal(n.t, sig) }

// Ended waits for the end of the node's process and returns its exit code.
func (n *Node) Ended(limit time.Duration) (code int, ended bool) {
	if !n.proc.ended(limit) {
		return 0, false
	}
	return n.proc.cmd.ProcessState.ExitCode(), true
}

// Stop ends the node, unless it has ended, and fails the test if its end or
// its output is not clean. A call that is still up is ended by a second
// SIGTERM.
func (n *Node) Stop(t testing.TB) {
	t.Helper()
	if n.dead {
		n.proc.examine(t)
		return
	}
	patience := stopLimit
	if n.away { // an edge waits minutes for INVITEs that another has answered meanwhile
		patience = awayLimit
	}
	for range 2 {
		if n.proc.running() {
			n.proc.signal(t, syscall.SIGTERM)
			n.proc.ended(patience)
		}
		patience = stopLimit
	}
	if n.proc.running() {
		n.proc.signal(t, syscall.SIGQUIT) // where it hangs is in the log
		if !n.proc.ended(stopLimit) {
			_ = n.proc.cmd.Process.Kill()
			<-n.proc.done
		}
		t.Errorf("the node did not end within %v of a second SIGTERM", stopLimit)
	} else if code := n.proc.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the node ended with exit code %d, want 0", code)
	}
	n.proc.examine(t)
}

// Log is what the node has written so far.
func (n *Node) Log() string { return n.proc.log() }

// Get asks the node's HTTP listener.
func (n *Node) Get(path string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), httpLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.HTTP+path, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := n.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// URI is what a carrier dials to reach a slug at this node.
func (n *Node) URI(slug string) string { return "sip:" + slug + "@" + n.SIP.String() }

// Port hands out ports of the node's block for a client: n in a row, the first
// of them even.
func (n *Node) Port(t testing.TB, count int) int { t.Helper(); return n.block.take(t, count) }

// Text is a request as a UDP client of this node would write it.
func (n *Node) Text(r Request) string {
	return r.text("udp", "127.0.0.1:9")
}
