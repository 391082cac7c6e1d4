package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/e2e/rig"
	"patchbay/internal/testkit"
)

// A remote is a baresip that runs and is told what to do over TCP.
type remote struct {
	t    *testing.T
	conn net.Conn
	out  *bytes.Buffer
	done chan error
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r := &remote{t: t, out: &bytes.Buffer{}, done: make(chan error, 1)}
	cmd := exec.CommandContext(ctx, testkit.Tool(t, "baresip"), "-4", "-f", b.dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, r.out, r.out
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
	return r.out.String()
}

func TestBaresipHoldsAndResumes(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		phone := baresip{dir: t.TempDir(), transport: transport, sip: b.Port(t, 2), rtp: b.Port(t, 10), codec: "PCMU"}
		phone.write(t, 700, 8000)
		ep := b.endpoint(t, nil)
		r := phone.begin(t, b.Port(t, 2))
		r.tell("dial", b.URI(ep.Slug))
		live := b.op.CallOf(t, ep, string(call.StateEstablished))
		time.Sleep(time.Second)
		r.tell("hold", "")
		rig.WaitFor(t, settle, "the call is on hold", func() bool { return b.op.CallOf(t, ep, "established").OnHold })
		time.Sleep(200 * time.Millisecond) // what was on its way
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
