package rig

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"patchbay/internal/testkit"
)

// netVariable marks the process that has a network of its own.
const netVariable = "E2E_OWN_NETWORK"

// OwnNetwork runs the test that calls it again, in a process with a network and
// a table of mounts of its own, and reports whether this is that process. Where
// it is not, the test has run when OwnNetwork returns. Nothing of what the test
// does to its network reaches the machine's, or outlives it.
func OwnNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(netVariable) != "" {
		return true
	}
	testkit.Tool(t, "ip")
	testkit.Tool(t, "iptables")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	only := "^" + t.Name() + "$"
	if _, parts, ok := strings.Cut(flag.Lookup("test.run").Value.String(), "/"); ok {
		only += "/" + parts
	}
	cmd := exec.Command(self, "-test.run", only, "-test.v", "-test.count=1", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), netVariable+"=1", binaryVariable+"="+binary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	if os.Geteuid() != 0 { // root within a namespace of users may do it too
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Run(); err != nil {
		t.Errorf("in a network of its own: %v", err)
	}
	return false
}

// A Net is hosts with addresses of their own, joined by a bridge. The test
// itself is one of them.
type Net struct {
	Here netip.Addr // of the test
	next netip.Addr
}

// NewNet makes the bridge. It works in the process of [OwnNetwork] only.
func NewNet(t *testing.T) *Net {
	t.Helper()
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatalf("part the mounts from the machine's: %v", err)
	}
	if err := syscall.Mount("none", "/run", "tmpfs", 0, ""); err != nil { // where ip keeps its names
		t.Fatalf("mount /run: %v", err)
	}
	here := netip.AddrFrom4([4]byte{10, 77, 0, 1})
	shell(t, "ip link set lo up")
	shell(t, "ip link add hub type bridge")
	shell(t, fmt.Sprintf("ip addr add %s/24 dev hub", here))
	shell(t, "ip link set hub up")
	return &Net{Here: here, next: here.Next()}
}

// host makes a host of that name.
func (n *Net) host(t testing.TB, name string) (at netip.Addr, space string) {
	t.Helper()
	at, n.next = n.next, n.next.Next()
	shell(t, "ip netns add "+name)
	shell(t, fmt.Sprintf("ip link add to-%s type veth peer name eth0 netns %s", name, name))
	shell(t, fmt.Sprintf("ip link set to-%s master hub up", name))
	shell(t, fmt.Sprintf("ip -n %s addr add %s/24 dev eth0", name, at))
	shell(t, fmt.Sprintf("ip -n %s link set eth0 up", name))
	shell(t, fmt.Sprintf("ip -n %s link set lo up", name))
	return at, name
}

// A Cut says which packets between a host and the brokers are lost.
type Cut string

// Cuts.
const (
	CutIn   Cut = "INPUT"        // what the brokers send
	CutOut  Cut = "OUTPUT"       // what the host sends
	CutBoth Cut = "INPUT OUTPUT" // both
)

// Cut loses packets between a node and the brokers until heal is called.
func (c *Cluster) Cut(t testing.TB, n *Node, cut Cut) (heal func()) {
	t.Helper()
	brokers := make([]string, len(c.Brokers))
	for i, b := range c.Brokers {
		brokers[i] = b.SIP.Addr().String()
	}
	rules := func(verb string) {
		for _, chain := range strings.Fields(string(cut)) {
			side := map[string]string{"INPUT": "-s", "OUTPUT": "-d"}[chain]
			shell(t, fmt.Sprintf("ip netns exec %s iptables -w 5 %s %s %s %s -j DROP", n.space, verb, chain, side, strings.Join(brokers, ",")))
		}
	}
	rules("-A")
	n.away = true
	return func() { rules("-D") }
}

// shell runs a command that must succeed.
func shell(t testing.TB, line string) {
	t.Helper()
	words := strings.Fields(line)
	if out, err := exec.CommandContext(t.Context(), words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}
