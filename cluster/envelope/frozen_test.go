package envelope_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// movedOn are messages of which this release writes another sample than the
// release that wrote testdata/v1, and why.
var movedOn = map[string]string{}

// TestMessagesOfRelease1AreRead reads what nodes of the first release that ran
// in clusters send: they run beside later ones while a cluster is replaced.
// Nothing under testdata/v1 is ever written again.
func TestMessagesOfRelease1AreRead(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/v1/*.txt")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	now := written()
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decoderOf(name)(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, err := decoderOf(name)(now[name])
		if err != nil || movedOn[name] == "" && !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as\n %+v\nand this release's as\n %+v, %v", name, got, want, err)
		}
	}
}
