package rig

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// buildLimit is the longest time a build may take; one with the race detector
// and a cold cache needs most of it.
const buildLimit = 5 * time.Minute

// binary is the program under test, once [Main] has built it.
var binary string

// Main builds the program once, runs the tests of a package and removes what
// was built. Tests under the race detector get a program built with it.
func Main(m *testing.M) {
	os.Exit(run(m))
}

// atOnce is how many tests run at once where -parallel does not say it: they
// mostly wait, for packets or for a timer, so more than there are cores; but
// each start of a node takes a second of a core.
const atOnce = 5

// binaryVariable names a program that is built already: by make, or by a test that
// runs itself in a network of its own.
const binaryVariable = "E2E_BINARY"

func run(m *testing.M) int {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if f := flag.Lookup("test.parallel"); !said {
		if err := f.Value.Set(strconv.Itoa(atOnce)); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
	}
	if binary = os.Getenv(binaryVariable); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "patchbay-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "patchbay")
	args := []string{"build", "-o", binary}
	if Race {
		args = append(args, "-race")
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
	defer cancel()
	build := exec.CommandContext(ctx, "go", append(args, "patchbay/cmd/patchbay")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: build patchbay: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// Patchbay runs the program with the given arguments, for commands that end by
// themselves, and returns what it wrote to both outputs and its exit code.
func Patchbay(t testing.TB, args ...string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = environment()
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("patchbay %v did not end within %v:\n%s", args, commandLimit, out)
	}
	if cmd.ProcessState == nil {
		t.Fatalf("patchbay %v: %v", args, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// commandLimit is the longest time a command may take that ends by itself.
const commandLimit = 5 * time.Minute

// environment is ours without settings of a node, which would be read by the
// nodes under test.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if len(v) < 9 || v[:9] != "PATCHBAY_" {
			env = append(env, v)
		}
	}
	return env
}
