package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Limits of a program's life.
const (
	stopLimit = 10 * time.Second // from SIGTERM to SIGKILL
	tailBytes = 4 << 10          // of output kept for an error
)

// A Core is what a program is pinned to, as taskset names it.
type Core string

// Where programs run: what is measured has a core to itself.
const (
	Target    Core = "0"
	Generator Core = "1"
	Both      Core = "0,1"
)

// A Process is a program that runs.
type Process struct {
	name  string
	cmd   *exec.Cmd
	out   *tail
	ended chan struct{}
}

// Start runs a program on a core, with a higher priority where the caller may
// give one: without it, figures of a shared machine are mostly its noise.
func Start(core Core, argv ...string) (*Process, error) {
	p := Command(core, argv...)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Command prepares a program without starting it; its output is kept.
func Command(core Core, argv ...string) *Process {
	full := append([]string{"taskset", "-c", string(core)}, argv...)
	if os.Geteuid() == 0 {
		full = append([]string{"nice", "-n", "-10"}, full...)
	}
	p := &Process{name: argv[0], cmd: exec.Command(full[0], full[1:]...), out: &tail{}, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return p
}

// Run runs a program to its end and returns its standard output.
func Run(core Core, argv ...string) ([]byte, error) {
	p := Command(core, argv...)
	var out bytes.Buffer
	p.cmd.Stdout = &out
	if err := p.cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s: %w: %s", strings.Join(argv, " "), err, p.out)
	}
	return out.Bytes(), nil
}

// Alive returns an error if the program has ended.
func (p *Process) Alive() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended: %s", p.name, p.out)
	default:
		return nil
	}
}

// Await asks ready until it is true, the program ends, or limit is over.
func (p *Process) Await(limit time.Duration, ready func() bool) error {
	for end := time.Now().Add(limit); ; {
		if ready() {
			return nil
		}
		if err := p.Alive(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not ready after %v: %s", p.name, limit, p.out)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Stop ends the program and all that it started.
func (p *Process) Stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopLimit):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
}

// PID is the first process of the tree.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// A tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailBytes; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

// StopAll ends programs, the last first, and skips those that never began.
func StopAll(all []*Process) {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i] != nil {
			all[i].Stop()
		}
	}
}

// Find returns an error that says which Debian package holds a program that is
// missing.
func Find(program, pkg string) error {
	_, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s is not installed: apt-get install %s", program, pkg)
	}
	return err
}
