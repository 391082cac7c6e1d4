package rig

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchbay/internal/testkit"
)

// sippLimit is the longest run of a scenario of one call.
const sippLimit = 60 * time.Second

// A Scenario is one run of SIPp against a node. Its XML is in
// testdata/sipp of the package under test.
type Scenario struct {
	File      string // without .xml
	Transport string // udp, tcp
	User      string // of the Request-URI: a slug
	Calls     int    // 0: 1
	Rate      int    // calls a second; 0: 10
	Limit     time.Duration
	Args      []string       // further arguments
	Quiet     bool           // keep no trace of the messages, for loads
	At        netip.AddrPort // where its messages go; zero: the node
	Ports     int            // the first of SIPpPorts ports that are its own; 0: new ones
}

// SIPpPorts is how many ports one run needs: SIP, its control, and RTP.
const SIPpPorts = 6

// A Run is a SIPp that runs, or has run.
type Run struct {
	t     testing.TB
	s     Scenario
	dir   string
	cmd   *exec.Cmd
	done  chan error
	trace []Traced
}

// A Traced is one message that SIPp saw.
type Traced struct {
	Sent bool
	Response
}

// Play runs a scenario to its end. The test fails where SIPp counts a call as
// failed.
func (n *Node) Play(t testing.TB, s Scenario) *Run {
	t.Helper()
	return n.Begin(t, s).Finish()
}

// Begin starts a scenario.
func (n *Node) Begin(t testing.TB, s Scenario) *Run {
	t.Helper()
	path := testkit.Tool(t, "sipp")
	file, err := filepath.Abs(filepath.Join("testdata", "sipp", s.File+".xml"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Limit == 0 {
		s.Limit = sippLimit
	}
	r := &Run{t: t, s: s, dir: t.TempDir(), done: make(chan error, 1)}
	to := n.SIP
	if s.At.IsValid() {
		to = s.At
	}
	if s.Ports == 0 {
		s.Ports = n.Port(t, SIPpPorts)
	}
	port, media := s.Ports, s.Ports+2
	args := append([]string{to.String(), "-sf", file, "-s", s.User, "-t", map[string]string{"udp": "u1", "tcp": "t1"}[s.Transport],
		"-i", "127.0.0.1", "-p", strconv.Itoa(port), "-mi", "127.0.0.1", "-mp", strconv.Itoa(media), "-cp", strconv.Itoa(port + 1),
		"-m", strconv.Itoa(max(s.Calls, 1)), "-r", strconv.Itoa(max(s.Rate, 1)), "-l", "1000", "-nostdin", "-nd",
		"-timeout", fmt.Sprintf("%ds", int(s.Limit.Seconds())), "-timeout_error", "-trace_err", "-error_file", r.file("errors")}, s.Args...)
	if !s.Quiet {
		args = append(args, "-trace_msg", "-message_file", r.file("messages"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Limit+5*time.Second)
	t.Cleanup(cancel)
	r.cmd = exec.CommandContext(ctx, path, args...)
	r.cmd.Dir = r.dir
	out, err := os.Create(r.file("screen"))
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stdout, r.cmd.Stderr = out, out
	if err := r.cmd.Start(); err != nil {
		t.Fatalf("start sipp: %v", err)
	}
	go func() { r.done <- r.cmd.Wait(); _ = out.Close() }()
	return r
}

func (r *Run) file(name string) string { return filepath.Join(r.dir, name) }

func (r *Run) text(name string) string {
	text, err := os.ReadFile(r.file(name))
	if err != nil {
		return ""
	}
	return string(text)
}

// Finish waits for the end of the scenario.
func (r *Run) Finish() *Run {
	r.t.Helper()
	if err := <-r.done; err != nil {
		r.t.Fatalf("sipp %s over %s: %v\n%s\n%s\n%s", r.s.File, r.s.Transport, err, tail(r.text("screen"), 2000),
			tail(r.text("errors"), 6000), tail(r.text("messages"), 12000))
	}
	return r
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// Trace is every message, in order.
func (r *Run) Trace() []Traced {
	r.t.Helper()
	if r.trace != nil {
		return r.trace
	}
	for part := range strings.SplitSeq(r.text("messages"), "\n-----------------------------------------------") {
		head, body, ok := strings.Cut(part, ":\n\n")
		if !ok {
			continue
		}
		first, _, _ := strings.Cut(head[strings.LastIndex(head, "\n")+1:], "[")
		r.trace = append(r.trace, Traced{Sent: strings.Contains(first, "sent"), Response: Response(body)})
	}
	if len(r.trace) == 0 {
		r.t.Fatalf("sipp %s: no message in the trace:\n%s", r.s.File, tail(r.text("messages"), 2000))
	}
	return r.trace
}

// Received is every message that came with that status to that method.
func (r *Run) Received(status int, method string) []Response {
	r.t.Helper()
	var found []Response
	for _, m := range r.Trace() {
		if !m.Sent && m.Status() == status && strings.HasSuffix(m.Header("CSeq"), " "+method) {
			found = append(found, m.Response)
		}
	}
	return found
}

// One is the one message that came with that status to that method.
func (r *Run) One(status int, method string) Response {
	r.t.Helper()
	found := r.Received(status, method)
	if len(found) != 1 {
		r.t.Fatalf("sipp %s over %s: %d responses %d to %s, want 1", r.s.File, r.s.Transport, len(found), status, method)
	}
	return found[0]
}

// ResponseTimes are those that SIPp measured in a scenario whose arguments ask
// for them (-trace_rtt), in milliseconds of its own clock.
func (r *Run) ResponseTimes() []time.Duration {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, "*_rtt.csv"))
	if err != nil || len(files) != 1 {
		r.t.Fatalf("sipp %s wrote %d files of response times, want 1", r.s.File, len(files))
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		r.t.Fatal(err)
	}
	var all []time.Duration
	for line := range strings.Lines(string(text)) {
		if column := strings.Split(strings.TrimSpace(line), ";"); len(column) > 1 {
			if ms, err := strconv.ParseFloat(column[1], 64); err == nil {
				all = append(all, time.Duration(ms*float64(time.Millisecond)))
			}
		}
	}
	return all
}
