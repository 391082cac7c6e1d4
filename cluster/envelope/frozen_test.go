package envelope_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"patchbay/cluster/envelope"
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
		if name == "led" {
			if got, err := envelope.DecodeLed(text); err != nil || got.To == "" || len(got.Packet.Raw) == 0 {
				t.Errorf("led: %+v, %v", got, err)
			}
			continue
		}
		decode := decoderOf(name)
		if decode == nil {
			t.Errorf("%s: nobody reads it any more", name)
			continue
		}
		got, err := decode(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, err := decode(now[name])
		if err != nil || movedOn[name] == "" && !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as\n %+v\nand this release's as\n %+v, %v", name, got, want, err)
		}
	}
}
