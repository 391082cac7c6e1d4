package doctest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"patchbay/internal/golden"
)

// shownFile is a block of JSON under the name of the golden file that it shows.
var shownFile = regexp.MustCompile("(?m)^<!-- ([a-z0-9]+(?:/[a-z0-9_.-]+)+\\.json) -->\n```json\n((?s).*?)```$")

// compareExamples compares each example of a document with the file that the
// tests of its package wrote, and wants every file of the patterns shown; with
// -update it copies them.
func compareExamples(t *testing.T, doc string, patterns ...string) {
	t.Helper()
	text := read(t, doc)
	shown := map[string]bool{}
	var findings []string
	filled := shownFile.ReplaceAllStringFunc(text, func(block string) string {
		m := shownFile.FindStringSubmatch(block)
		want, err := os.ReadFile(filepath.Join(root, m[1]))
		switch {
		case err != nil:
			findings = append(findings, doc+": "+err.Error())
			return block
		case m[2] != string(want):
			findings = append(findings, fmt.Sprintf("%s: the example under %s is not the file (go test ./internal/doctest -update)", doc, m[1]))
		}
		shown[m[1]] = true
		return "<!-- " + m[1] + " -->\n```json\n" + string(want) + "```"
	})
	if golden.Updating() {
		golden.Compare(t, filepath.Join(root, doc), []byte(filled))
		return
	}
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			name, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			if !shown[filepath.ToSlash(name)] {
				findings = append(findings, doc+": does not show "+filepath.ToSlash(name))
			}
		}
	}
	report(t, findings)
}

func TestRecordsAndEventsAreTheGoldenFiles(t *testing.T) {
	t.Parallel()
	compareExamples(t, "docs/records.md", "cluster/journal/testdata/*.json", "actors/testdata/events/*.json", "cmd/patchbay/testdata/events/*.json")
}

// TestEveryEventHasARow compares the table of events with the names in the
// code.
func TestEveryEventHasARow(t *testing.T) {
	t.Parallel()
	want := append(words(t, "actors/call", "Event"), words(t, "cluster/journal", "Event")...)
	report(t, compareColumn("docs/records.md", read(t, "docs/records.md"), "event", append(want, "call.rejected")))
}

// TestEveryFateHasARow compares the table of fates with the words in the code.
func TestEveryFateHasARow(t *testing.T) {
	t.Parallel()
	report(t, compareColumn(operationsDoc, read(t, operationsDoc), "fate", words(t, "cluster/ledger", "Fate")))
}
