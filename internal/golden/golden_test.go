package golden_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay/internal/golden"
)

// recorder notes what a test complains about.
type recorder struct {
	testing.TB
	complaint string
}

func (r *recorder) Helper()                           {}
func (r *recorder) Errorf(format string, args ...any) { r.complaint = fmt.Sprintf(format, args...) }

func TestCompareNamesTheFirstLineThatDiffers(t *testing.T) {
	if golden.Updating() {
		t.Skip("with -update nothing differs")
	}
	path := filepath.Join(t.TempDir(), "golden")
	if err := os.WriteFile(path, []byte("one\ntwo\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := &recorder{TB: t}
	if golden.Compare(r, path, []byte("one\ntwo\n")); r.complaint != "" {
		t.Errorf("equal: got %q", r.complaint)
	}
	golden.Compare(r, path, []byte("one\nthree\n"))
	got := r.complaint
	if !strings.Contains(got, `line 2`) || !strings.Contains(got, `"three"`) || !strings.Contains(got, `"two"`) {
		t.Errorf("got %q", got)
	}
}
