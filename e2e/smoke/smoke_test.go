package smoke_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchbay/e2e/smoke"
)

// Limits of what the steps may take, on a slow machine.
const (
	buildLimit = 2 * time.Minute
	upLimit    = 4 * time.Minute
	stopLimit  = 2 * time.Minute
	callLimit  = 2 * time.Minute
)

// program is what the image is made of, and what places calls.
const program = smoke.Root + "/bin/patchbay"

// A cluster is what compose.yaml brought up, and the calls placed to it.
type cluster struct {
	*smoke.Project
	engine *smoke.Engine
	slug   string
	calls  int
}

// published are the ports of this machine at which compose.yaml publishes the
// edges' SIP.
var published = map[string]string{"edge-1": "5060", "edge-2": "5070"}

func TestComposeUpAloneGivesAClusterThatAnswersCalls(t *testing.T) {
	engine := smoke.Find(t)
	c := &cluster{Project: smoke.NewProject(t, engine), engine: engine}
	c.image(t)
	began := time.Now()
	c.Compose(upLimit, "up", "-d")
	t.Logf("up after %v", time.Since(began).Round(time.Second))
	all := c.Containers()
	c.walled(t, all)
	c.whole(t)
	c.slug = c.provisioned(t)

	for edge := range published {
		for _, transport := range []string{"udp", "tcp"} {
			c.call(t, edge, transport)
		}
	}
	if out := c.Compose(callLimit, "run", "--rm", "demo", "call", "edge-1", "edge-2"); strings.Count(out, "answered          200 OK") != 2 {
		t.Errorf("the command of the README:\n%s", out)
	}
	c.calls += 2

	c.tenant(t)
	c.outlive(t)
	c.call(t, "edge-2", "udp")
	c.Compose(upLimit, "up", "-d", "--no-deps", "edge-1")
	c.ready(t, "edge-1")
	c.call(t, "edge-1", "udp")
	c.recorded(t)

	began = time.Now()
	c.Compose(stopLimit, "stop")
	t.Logf("stopped after %v", time.Since(began).Round(time.Second))
	for service, id := range c.Containers() {
		if code := c.Look(id, "{{.State.ExitCode}}"); code != "0" {
			t.Errorf("%s ended with exit code %s", service, code)
		}
	}
	c.Compose(stopLimit, "down", "-v")
	c.gone(t)
	c.given(t)
}

// given brings a cluster key of its own, as a secret that only somebody else on
// the machine may read.
func (c *cluster) given(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cluster.key")
	if err := os.WriteFile(file, []byte(strings.Repeat("5c", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(file, 1000, 1000); err != nil {
			t.Fatal(err)
		}
	}
	out := c.With("CLUSTER_KEY="+file).Compose(callLimit, "run", "--rm", "keys")
	if !strings.Contains(out, "the key that was given") || strings.Contains(out, "5c5c") {
		t.Errorf("keys with a key that is given:\n%s", out)
	}
}

// image makes the image out of bin/patchbay, as make image does. No base image
// can be pulled here.
func (c *cluster) image(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v: make build makes it", err)
	}
	c.Run(buildLimit, "docker", "build", "--target", "outside", "--tag", "patchbay:smoke", smoke.Root)
}

// walled checks that every container runs as compose.yaml says: without rights,
// on a file system that it cannot write to.
func (c *cluster) walled(t *testing.T, all map[string]string) {
	t.Helper()
	if len(all) != 13 {
		t.Errorf("%d containers, want 13: %v", len(all), all)
	}
	for service, id := range all {
		user, want := c.Look(id, "{{.Config.User}}"), "65532:65532"
		if service == "keys" {
			want = "0:0"
		}
		if got := c.Look(id, "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.Privileged}}"); got != "true [ALL] false" || user != want {
			t.Errorf("%s runs as %s, with read-only root, dropped capabilities, privileges: %s", service, user, got)
		}
	}
}

// whole waits until the operator sees every node ready, and nothing that should
// worry him.
func (c *cluster) whole(t *testing.T) {
	t.Helper()
	out := ""
	for last := time.Now().Add(upLimit); time.Now().Before(last); time.Sleep(time.Second) {
		out = c.ctl("cluster")
		if strings.Count(out, " ready ") == 10 && !strings.Contains(out, "\n! ") {
			return
		}
	}
	t.Errorf("ten nodes are not ready, or something is wrong with them:\n%s", out)
}

// dialled is a line of the demo's log that says what to dial.
var dialled = regexp.MustCompile(`sip:(demo-[a-z0-9]+)@`)

// provisioned returns the slug that the log of the demo tells; compose is done
// when the demo has begun.
func (c *cluster) provisioned(t *testing.T) string {
	t.Helper()
	log := ""
	for last := time.Now().Add(callLimit); time.Now().Before(last); time.Sleep(500 * time.Millisecond) {
		log = c.Compose(callLimit, "logs", "--no-color", "demo")
		if m := dialled.FindStringSubmatch(log); m != nil {
			return m[1]
		}
	}
	t.Fatalf("the demo does not say what to dial:\n%s", log)
	return ""
}

// talked is the line of a call's report that says what came back.
var talked = regexp.MustCompile(`packets +(\d+) out, (\d+) in, (\d+) lost`)

// call places a call from the machine, through the port at which an edge is
// published; what is said must come back.
func (c *cluster) call(t *testing.T, edge, transport string) {
	t.Helper()
	uri := "sip:" + c.slug + "@" + c.engine.Address.String() + ":" + published[edge] + ";transport=" + transport
	c.heard(t, c.Run(callLimit, c.engine.Here(program, "call", uri, "--talk", "3s")...))
}

// outlive places a call through both edges, its INVITE through the first, and
// kills the first while it lasts.
func (c *cluster) outlive(t *testing.T) {
	t.Helper()
	at := c.engine.Address.String() + ":"
	ended := make(chan string, 1)
	go func() {
		ended <- c.Try(callLimit, c.engine.Here(program, "call", "sip:"+c.slug+"@"+c.engine.Address.String(),
			"--edge", at+published["edge-1"], "--edge", at+published["edge-2"], "--talk", "15s")...)
	}()
	for last := time.Now().Add(callLimit); !strings.Contains(c.ctl("call", "list", "--json"), `"state": "established"`); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(last) {
			t.Fatalf("the call is not up:\n%s", <-ended)
		}
	}
	c.Compose(stopLimit, "kill", "-s", "SIGKILL", "edge-1")
	out := <-ended
	c.heard(t, out)
	if strings.Contains(out, "BYE ") {
		t.Errorf("the call could not be ended through the other edge:\n%s", out)
	}
}

// underWay is how many packets may be on their way when a call ends: 200 ms of a
// machine that runs a whole cluster.
const underWay = 10

// heard checks the report of a call: nearly all that was said came back.
func (c *cluster) heard(t *testing.T, report string) {
	t.Helper()
	c.calls++
	m := talked.FindStringSubmatch(report)
	if m == nil {
		t.Fatalf("a call was not answered:\n%s", report)
	}
	out, _ := strconv.Atoi(m[1]) // digits
	in, _ := strconv.Atoi(m[2])
	if out == 0 || in < (out-underWay)*9/10 {
		t.Errorf("%d packets came back of %d:\n%s", in, out, report)
	}
}

// ctl asks the cluster as its operator does, on the control node.
func (c *cluster) ctl(args ...string) string {
	return c.Compose(callLimit, append([]string{"exec", "-T", "control", "patchbay", "ctl"}, args...)...)
}

// made is what ctl prints of a new key.
type made struct{ ID, Secret string }

// tenant works with an API key from the machine, at the port of NATS, until its
// key is revoked.
func (c *cluster) tenant(t *testing.T) {
	t.Helper()
	c.ctl("account", "create", "acme")
	var key made
	if out := c.ctl("--tenant", "acme", "--json", "key", "create", "--name", "smoke", "--scope", "*"); json.Unmarshal([]byte(out), &key) != nil || key.Secret == "" {
		t.Fatalf("no key of a tenant:\n%s", out)
	}
	ask := c.engine.Here(program, "ctl", "--nats", "nats://"+key.ID+":"+key.Secret+"@127.0.0.1:4222", "--tenant", "acme", "agent", "list")
	c.Run(callLimit, ask...)
	c.ctl("--tenant", "acme", "key", "revoke", key.ID)
	for last := time.Now().Add(callLimit); !strings.Contains(c.Try(callLimit, ask...), "not let in"); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(last) {
			t.Fatal("a revoked key is still let in")
		}
	}
}

// ready waits until a service is healthy.
func (c *cluster) ready(t *testing.T, service string) {
	t.Helper()
	id := c.Containers()[service]
	for last := time.Now().Add(upLimit); ; time.Sleep(time.Second) {
		health := c.Look(id, "{{.State.Health.Status}}")
		if health == "healthy" {
			return
		}
		if time.Now().After(last) {
			t.Fatalf("%s is %s", service, health)
		}
	}
}

// recorded waits until there is one record for each call.
func (c *cluster) recorded(t *testing.T) {
	t.Helper()
	got := 0
	for last := time.Now().Add(callLimit); time.Now().Before(last); time.Sleep(time.Second) {
		out := c.ctl("record", "list", "--limit", "100", "--json")
		if got = strings.Count(out, `"status": 200`); got >= c.calls {
			break
		}
	}
	if got != c.calls {
		t.Errorf("%d records of answered calls, want %d", got, c.calls)
	}
}

// gone checks that nothing of the project is left.
func (c *cluster) gone(t *testing.T) {
	t.Helper()
	for _, what := range [][]string{{"ps", "--all"}, {"volume", "ls"}, {"network", "ls"}} {
		if left := c.Docker(append(what, "--quiet", "--filter", "label=com.docker.compose.project=patchbay-smoke")...); left != "" {
			t.Errorf("left behind, docker %s: %s", strings.Join(what, " "), left)
		}
	}
}
