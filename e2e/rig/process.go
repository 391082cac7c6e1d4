package rig

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shownLog is how much of a node's log a failed test shows, bytes.
const shownLog = 48 << 10

// shownOfMany is the same for each node of a cluster, whose logs are kept
// whole: of these, only warnings and errors are shown.
const shownOfMany = 3 << 10

// trouble finds warnings and errors in a log.
var trouble = regexp.MustCompile(`(?m)^.*"level":"(?:WARN|ERROR)".*$`)

// A process is one run of the program.
type process struct {
	cmd     *exec.Cmd
	logPath string
	shown   int           // bytes of its log that a failed test shows
	done    chan struct{} // closed when it has ended
}

// spawn runs the program, in a network namespace unless space is "". What it
// writes goes to a file.
func spawn(t testing.TB, space string, args []string, env ...string) *process {
	t.Helper()
	command := binary
	if space != "" {
		command, args = "ip", append([]string{"netns", "exec", space, binary}, args...)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "node.log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(command, args...), logPath: f.Name(), shown: shownLog, done: make(chan struct{})}
	p.cmd.Env = append(append(environment(), "GORACE=halt_on_error=0"), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves nothing behind
	p.cmd.Stdout, p.cmd.Stderr = f, f
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start patchbay: %v", err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is in ProcessState
		_ = f.Close()
		close(p.done)
	}()
	return p
}

// log is what the process has written so far.
func (p *process) log() string {
	text, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// ended waits for the end of the process.
func (p *process) ended(limit time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(limit):
		return false
	}
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *process) signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal the node: %v", err)
	}
}

// unclean finds what no output of a node may hold.
var unclean = regexp.MustCompile(`(?i)\bpanic|DATA RACE|fatal error:`)

// examine fails the test for what the output of a process shows, and shows the
// output of one that failed.
func (p *process) examine(t testing.TB) {
	t.Helper()
	text := p.log()
	for line := range strings.Lines(text) {
		if unclean.MatchString(line) {
			t.Errorf("the node's output shows: %s", strings.TrimSpace(line))
			break
		}
	}
	if t.Failed() {
		if p.shown < shownLog {
			text = strings.Join(trouble.FindAllString(text, -1), "\n")
		}
		t.Logf("output of %s:\n%s", strings.Join(p.cmd.Args, " "), tail(text, p.shown))
	}
}
