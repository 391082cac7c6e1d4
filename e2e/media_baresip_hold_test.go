package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/e2e/rig"
	"patchbay/internal/testkit"
)

// A remote is a baresip that runs and is told what to do over TCP. It prints
// every SIP message.
type remote struct {
	t    *testing.T
	conn net.Conn
	done chan error

	mu  sync.Mutex
	out bytes.Buffer
}

// Write takes what it prints.
func (r *remote) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(text)
}

// said is what it has printed so far.
func (r *remote) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

// expect waits until it has printed something.
func (r *remote) expect(text string) {
	r.t.Helper()
	rig.Until(r.t, settle, func() (string, bool) {
		said := r.said()
		return fmt.Sprintf("baresip says %q:\n%s", text, said), strings.Contains(said, text)
	})
}

// requests are those of a method that came to it, or that it sent, each once.
func (r *remote) requests(method string) []rig.Response {
	var all []rig.Response
	seen := map[string]bool{}
	for part := range strings.SplitSeq(r.said(), "\x1b[;m") {
		_, text, traced := strings.Cut(part, "\x1b[36;1m#\n") // then "UDP a -> b"
		_, text, _ = strings.Cut(text, "\n")
		m := rig.Response(text)
		if k := m.Header("Call-ID") + m.Header("From") + m.Header("CSeq"); traced && m.Method() == method && !seen[k] {
			seen[k] = true
			all = append(all, m)
		}
	}
	return all
}

// begin starts the softphone with a control port; it dials nobody yet.
func (b baresip) begin(t *testing.T, port int) *remote {
	t.Helper()
	config, err := os.OpenFile(filepath.Join(b.dir, "config"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(config, "module_app ctrl_tcp.so\nctrl_tcp_listen 127.0.0.1:%d\n", port)
	if err != nil || config.Close() != nil {
		t.Fatalf("write baresip's configuration: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	r := &remote{t: t, done: make(chan error, 1)}
	cmd := exec.CommandContext(ctx, testkit.Tool(t, "baresip"), "-4", "-s", "-f", b.dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, r, r
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.done <- cmd.Wait() }()
	rig.WaitFor(t, settle, "baresip listens", func() bool {
		r.conn, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		return err == nil
	})
	return r
}

// tell sends a command as a netstring.
func (r *remote) tell(command, params string) {
	r.t.Helper()
	text := fmt.Sprintf(`{"command":%q,"params":%q}`, command, params)
	if _, err := fmt.Fprintf(r.conn, "%d:%s,", len(text), text); err != nil {
		r.t.Errorf("tell baresip to %s: %v", command, err)
	}
}

// quit ends the softphone and returns what it printed.
func (r *remote) quit() string {
	r.t.Helper()
	r.tell("quit", "")
	select {
	case <-r.done:
	case <-time.After(settle):
		r.t.Error("baresip does not quit")
	}
	_ = r.conn.Close()
	return r.said()
}

func TestBaresipHoldsAndResumes(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	k := b.Kamailio(t, b.SIP.String()+";transport=tcp")
	names := []string{"over udp", "over tcp", "behind Kamailio"}
	rig.Together(t, len(names), names, func(t *testing.T, name string) {
		transport, at := "udp", k.At
		if over, ok := strings.CutPrefix(name, "over "); ok {
			transport, at = over, b.SIP
		}
		phone := baresip{dir: t.TempDir(), transport: transport, sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU"}
		phone.write(t, 700, 8000)
		ep := b.endpoint(t, nil)
		r := phone.begin(t, b.Port(t, 2))
		r.tell("dial", fmt.Sprintf("sip:%s@%s", ep.Slug, at))
		live := b.op.CallOf(t, ep, string(call.StateEstablished))
		time.Sleep(time.Second)
		r.tell("hold", "")
		rig.WaitFor(t, settle, "the call is on hold", func() bool { return b.op.CallOf(t, ep, "established").OnHold })
		time.Sleep(500 * time.Millisecond) // what was on its way
		sent := b.op.CallOf(t, ep, "established").Quality.PacketsSent
		time.Sleep(time.Second)
		if n := b.op.CallOf(t, ep, "established").Quality.PacketsSent - sent; n != 0 {
			t.Errorf("baresip was sent %d packets on hold", n)
		}
		r.tell("resume", "")
		rig.WaitFor(t, settle, "the call is resumed", func() bool { return !b.op.CallOf(t, ep, "established").OnHold })
		r.tell("reinvite", "") // changes nothing but the version
		rig.WaitFor(t, settle, "baresip hears the agent again", func() bool {
			return b.op.CallOf(t, ep, "established").Quality.PacketsSent > sent+50
		})
		r.tell("hangup", "")
		end, said := ended(t, b.Node, string(ep.Key)), r.quit()
		if end.CallID != live.ID.String() || end.Cause != "normal_clearing" || end.EndedBy != "carrier" || end.Rejected != 0 {
			t.Errorf("the call %s ended for %s by %s, %d packets were rejected\n%s", end.CallID, end.Cause, end.EndedBy, end.Rejected, said)
		}
	})
	b.Idle(t, settle)
}
