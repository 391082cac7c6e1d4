package testkit

import (
	"os"
	"os/exec"
	"testing"
)

// Tool returns the path of a program the test needs. Where it is missing the
// test fails if CI or E2E is set in the environment to anything but "" and
// "0", and is skipped otherwise: `make test` sets E2E, so that a skip is never
// mistaken for a pass.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if Required() {
		t.Fatalf("%s is not installed, and E2E or CI is set: `make tools` says how to get it", name)
	}
	t.Skipf("SKIPPED, NOT TESTED: %s is not installed (E2E=1 makes this a failure)", name)
	return ""
}

// Required reports whether tests must run whatever they need.
func Required() bool {
	for _, name := range []string{"CI", "E2E"} {
		if v := os.Getenv(name); v != "" && v != "0" {
			return true
		}
	}
	return false
}
