package rig

import (
	"bufio"
	"context"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"patchbay/internal/testkit"
)

// Python returns an interpreter that has aiortc, or skips the test.
func Python(t testing.TB) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), python, "-c", "import aiortc").Run() == nil {
			return python
		}
	}
	if testkit.Required() {
		t.Fatal("python3 with aiortc is not installed: apt-get install python3-aiortc")
	}
	t.Skip("SKIPPED, NOT TESTED: python3 with aiortc is not installed (E2E=1 makes this a failure)")
	return ""
}

// An Example is a program of examples/ that runs until the test ends.
type Example struct {
	t     testing.TB
	mu    sync.Mutex
	lines []string
}

// RunExample starts a program and waits until it prints a line with the word.
// It returns that line too.
func RunExample(t testing.TB, word string, command string, args ...string) (*Example, string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e, read := &Example{t: t}, make(chan struct{})
	t.Cleanup(func() { stop(); <-read; _ = cmd.Wait() })
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			e.mu.Lock()
			e.lines = append(e.lines, lines.Text())
			e.mu.Unlock()
		}
	}()
	return e, e.Says(t, word)
}

// Says waits for a line of the program that has the word, and returns it.
func (e *Example) Says(t testing.TB, word string) (line string) {
	t.Helper()
	WaitFor(t, startLimit, "the example says "+word, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, l := range e.lines {
			if strings.Contains(l, word) {
				line = l
				return true
			}
		}
		return false
	})
	return line
}

// Script runs a shell script of examples/ against the node and returns what it
// prints. It finds the program under test as it would find an installed one.
func (n *Node) Script(t testing.TB, path string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", path)
	cmd.Env = append(append(environment(), "PATCHBAY="+binary, "PBCTL_NATS=nats://"+n.NATS), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, out)
	}
	return string(out)
}
