package smoke

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"patchbay/internal/testkit"
)

// Limits of what an engine may take, on a slow machine.
const (
	engineUp   = 2 * time.Minute
	engineDown = 60 * time.Second
	askEngine  = 10 * time.Second
)

// lan is the address of an own engine's machine in its network (RFC 5737).
const lan = "198.51.100.10"

// An Engine is a container engine that runs, and the machine around it.
type Engine struct {
	Address netip.Addr // of the machine, not on loopback
	host    string     // DOCKER_HOST; empty: the default
	enter   []string   // command before a command that is to run in the machine's network
}

// Find returns the engine that runs, or one that ends with the test.
func Find(t testing.TB) *Engine {
	t.Helper()
	if !testkit.Required() { // nobody's engine is used unasked
		t.Skip("SKIPPED, NOT TESTED: make smoke uses a container engine")
	}
	docker := testkit.Tool(t, "docker")
	e := &Engine{host: os.Getenv("DOCKER_HOST")}
	if e.answers(docker) {
		e.Address = towardsTheWorld(t)
		t.Logf("the engine that runs here is used; this machine is %v", e.Address)
		return e
	}
	if os.Getuid() != 0 {
		t.Fatal("no container engine runs here, and only root may start one")
	}
	e.start(t, docker)
	return e
}

// answers reports whether an engine is there.
func (e *Engine) answers(docker string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), askEngine)
	defer cancel()
	cmd := exec.CommandContext(ctx, docker, "version")
	cmd.Env = e.environment()
	return cmd.Run() == nil
}

// environment is what programs of the engine find: no setting of ours is in it
// but those given.
func (e *Engine) environment(given ...string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	if e.host != "" {
		env = append(env, "DOCKER_HOST="+e.host)
	}
	return append(env, given...)
}

// Here makes a command run where the machine's own programs run: in its network.
func (e *Engine) Here(args ...string) []string {
	return append(append([]string{}, e.enter...), args...)
}

// boot prepares the namespaces that dockerd is started in, and becomes it. An
// address that is not on loopback is what a machine has towards its network.
const boot = `set -e
ip link set lo up
ip address add ` + lan + `/32 dev lo
mount -t tmpfs -o mode=0755 patchbay-smoke /run
exec "$@"`

// start starts an engine in namespaces of its own. Whoever ends the first
// process of them ends all that runs in them, and so does our own end.
func (e *Engine) start(t testing.TB, docker string) {
	t.Helper()
	for _, name := range []string{"unshare", "nsenter", "ip", "dockerd", "iptables"} {
		testkit.Tool(t, name)
	}
	dir, err := os.MkdirTemp("", "patchbay-smoke-")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(dir)
	t.Cleanup(func() {
		_ = os.RemoveAll(dir)
		dropGroups(name)
	})
	in := func(name string) string { return filepath.Join(dir, name) }
	e.host, e.Address = "unix://"+in("sock"), netip.MustParseAddr(lan)
	cmd := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"sh", "-c", boot, "boot", "dockerd", "--host", e.host, "--data-root", in("data"), "--exec-root", in("exec"),
		"--pidfile", in("pid"), "--log-level", "warn", "--cgroup-parent", "/"+name, "--dns", lan) // nobody answers there, and says so at once
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	ended := spawn(t, cmd)
	for last := time.Now().Add(engineUp); !e.answers(docker); time.Sleep(200 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("dockerd ended at once:\n%s", &log)
		default:
		}
		if time.Now().After(last) {
			stop(t, cmd.Process.Pid, ended)
			t.Fatalf("dockerd does not answer within %v:\n%s", engineUp, &log)
		}
	}
	inside := child(t, cmd.Process.Pid)
	e.enter = []string{"nsenter", "--target", strconv.Itoa(inside), "--net", "--"}
	t.Cleanup(func() {
		stop(t, inside, ended)
		if t.Failed() {
			t.Logf("dockerd said:\n%s", tail(log.String(), 10))
		}
	})
	t.Logf("an engine of our own runs as process %d; its machine is %v", inside, e.Address)
}

// dropGroups removes the control groups that an engine leaves, of either
// version. They are empty, or stay.
func dropGroups(name string) {
	for _, pattern := range []string{"/sys/fs/cgroup/*/" + name, "/sys/fs/cgroup/" + name} {
		found, _ := filepath.Glob(pattern) // the pattern is good
		for _, group := range found {
			_ = os.Remove(group)
		}
	}
}

// spawn starts a command that does not outlive us. The returned channel is
// closed when it has ended.
func spawn(t testing.TB, cmd *exec.Cmd) <-chan struct{} {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the signal comes when the thread that started it ends
		began <- cmd.Start()
		_ = cmd.Wait() // it is stopped by a signal
		close(ended)
	}()
	if err := <-began; err != nil {
		t.Fatal(err)
	}
	return ended
}

// child is the only child of a process.
func child(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatalf("children of process %d: %q", pid, text)
	}
	return n
}

// stop ends the engine: in order, or by force.
func stop(t testing.TB, pid int, ended <-chan struct{}) {
	t.Helper()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = syscall.Kill(pid, signal) // it may have ended
		select {
		case <-ended:
			return
		case <-time.After(engineDown):
		}
	}
	t.Errorf("dockerd, process %d, does not end", pid)
}

// tail is the end of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
