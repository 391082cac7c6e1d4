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

func TestWhatWasLostIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		old, got string
		covered  bool
	}{
		{`{"a":1,"b":{"c":["x"]}}`, `{"a":1,"b":{"c":["x"],"d":2},"e":3}`, true},
		{`{"a":1}`, `{"a":2}`, false},
		{`{"a":1}`, `{}`, false},
		{`{"a":{"b":1}}`, `{"a":1}`, false},
		{`["a","b"]`, `["a"]`, false},
		{`["a"]`, `{}`, false},
	} {
		r := &recorder{TB: t}
		golden.Covers(r, "it", []byte(c.old), []byte(c.got))
		if (r.complaint == "") != c.covered {
			t.Errorf("%s in %s: %q", c.old, c.got, r.complaint)
		}
	}
}
