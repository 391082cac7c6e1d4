package rig

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"patchbay/internal/pki"
	"patchbay/internal/testkit"
)

// A Kamailio is a carrier's border in front of nodes, or of callees: it stays in
// the path of the calls that it passes on.
type Kamailio struct {
	At   netip.AddrPort // UDP and TCP
	Busy netip.AddrPort // the same; every request is told 503

	// Of one that listens on TLS, and shows the certificate of its name to those
	// alone who ask for it (SNI): others see that of its address.
	TLS, BusyTLS netip.AddrPort
	Authority    string // file of the authority that made both
}

// Kamailio starts one that passes on to an address; ";transport=tcp" may follow
// it. Its configuration is testdata/kamailio/border.cfg of the package under
// test. It ends with the test.
func (n *Node) Kamailio(t testing.TB, next string) *Kamailio {
	t.Helper()
	return n.kamailio(t, next, "", "")
}

// NarrowKamailio is Kamailio for one that leaves no more than one codec, beside
// telephone-event, of an offer within a dialog.
func (n *Node) NarrowKamailio(t testing.TB, next, codec string) *Kamailio {
	t.Helper()
	return n.kamailio(t, next, "", codec)
}

// SecureKamailio is Kamailio for one that listens on TLS too, with a certificate
// for a name.
func (n *Node) SecureKamailio(t testing.TB, next, name string) *Kamailio {
	t.Helper()
	if found, _ := filepath.Glob("/usr/lib/*/kamailio/modules/tls.so"); len(found) == 0 {
		const missing = "kamailio-tls-modules are not installed"
		if testkit.Required() {
			t.Fatal(missing + ", and E2E or CI is set: `make tools` says how to get them")
		}
		t.Skip("SKIPPED, NOT TESTED: " + missing + " (E2E=1 makes this a failure)")
	}
	return n.kamailio(t, next, name, "")
}

func (n *Node) kamailio(t testing.TB, next, name, codec string) *Kamailio {
	t.Helper()
	path := testkit.Tool(t, "kamailio")
	text, err := os.ReadFile(filepath.Join("testdata", "kamailio", "border.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	port, dir := uint16(n.Port(t, 4)), t.TempDir()
	k := &Kamailio{At: netip.AddrPortFrom(loopback, port), Busy: netip.AddrPortFrom(loopback, port+1)}
	args := []string{"-DD", "-E", "-m", "32", "-M", "4", "-f", filepath.Join(dir, "kamailio.cfg"), "-Y", dir, "-w", dir}
	if name != "" {
		k.TLS, k.BusyTLS = netip.AddrPortFrom(loopback, port+2), netip.AddrPortFrom(loopback, port+3)
		k.certify(t, dir, name)
		args = append(args, "-A", "SECURE")
	}
	if codec != "" {
		args = append(args, "-A", "KEEP")
	}
	config := strings.NewReplacer("HOST", loopback.String(), "BORDER", fmt.Sprint(port), "BUSYTLS", fmt.Sprint(port+3), "BUSY", fmt.Sprint(port+1),
		"TLSPORT", fmt.Sprint(port+2), "DIR", dir, "CODEC", codec, "NEXT", next).Replace(string(text))
	if err := os.WriteFile(filepath.Join(dir, "kamailio.cfg"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start kamailio: %v", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its workers too
		_ = cmd.Wait()
		_ = out.Close()
		if log, _ := os.ReadFile(out.Name()); t.Failed() {
			t.Logf("output of kamailio:\n%s", tail(string(log), shownOfMany))
		}
	})
	if !k.answers(t) {
		log, _ := os.ReadFile(out.Name())
		t.Fatalf("kamailio does not answer within %v:\n%s", startLimit, tail(string(log), shownOfMany))
	}
	return k
}

// tlsProfiles need the directory of the certificates and the name.
const tlsProfiles = `[server:default]
method = TLSv1.2+
certificate = %[1]s/address.pem
private_key = %[1]s/address.key

[server:any]
method = TLSv1.2+
server_name = %[2]s
certificate = %[1]s/name.pem
private_key = %[1]s/name.key
`

// certify makes an authority, a certificate for the name and one for the address.
func (k *Kamailio) certify(t testing.TB, dir, name string) {
	t.Helper()
	a, err := pki.OpenAuthority(dir, time.Now())
	if err == nil {
		err = errors.Join(a.Issue("name", []string{name}, time.Now(), false), a.Issue("address", []string{loopback.String()}, time.Now(), false),
			os.WriteFile(filepath.Join(dir, "tls.cfg"), fmt.Appendf(nil, tlsProfiles, dir, name), 0o600))
	}
	if err != nil {
		t.Fatalf("make kamailio's certificates: %v", err)
	}
	k.Authority = filepath.Join(dir, "ca.pem")
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
