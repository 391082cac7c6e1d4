package rig

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"patchbay/internal/testkit"
)

// A Kamailio is a carrier's border in front of nodes, or of callees: it stays in
// the path of the calls that it passes on.
type Kamailio struct {
	At   netip.AddrPort // UDP and TCP
	Busy netip.AddrPort // the same; every request is told 503
}

// Kamailio starts one that passes on to an address; ";transport=tcp" may follow
// it. Its configuration is testdata/kamailio/border.cfg of the package under
// test. It ends with the test.
func (n *Node) Kamailio(t testing.TB, next string) *Kamailio {
	t.Helper()
	path := testkit.Tool(t, "kamailio")
	text, err := os.ReadFile(filepath.Join("testdata", "kamailio", "border.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	port, dir := n.Port(t, 2), t.TempDir()
	k := &Kamailio{At: netip.AddrPortFrom(loopback, uint16(port)), Busy: netip.AddrPortFrom(loopback, uint16(port+1))}
	config := strings.NewReplacer("HOST", loopback.String(), "BORDER", strconv.Itoa(port), "BUSY", strconv.Itoa(port+1), "NEXT", next).Replace(string(text))
	file := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-DD", "-E", "-m", "32", "-M", "4", "-f", file, "-Y", dir, "-w", dir)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start kamailio: %v", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its workers too
		_ = cmd.Wait()
		_ = out.Close()
	})
	if !k.answers(t) {
		log, _ := os.ReadFile(out.Name())
		t.Fatalf("kamailio does not answer within %v:\n%s", startLimit, tail(string(log), shownOfMany))
	}
	return k
}

// answers waits until it serves.
func (k *Kamailio) answers(t testing.TB) bool {
	t.Helper()
	for end := time.Now().Add(startLimit); time.Now().Before(end); {
		p := dialPeer(t, "udp", k.At) // a refusal ends it
		_, _ = fmt.Fprint(p.conn, Request{Method: "OPTIONS", URI: "sip:" + k.At.String()}.Fresh().text("udp", p.local))
		m, _ := p.Next(500 * time.Millisecond)
		p.Close()
		if m.Status() == 200 {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}
