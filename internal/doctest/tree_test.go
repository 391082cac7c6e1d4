package doctest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// read returns a document by its path from the root, or ends the test.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A row is one line of a table of Markdown.
type row struct {
	line  int
	head  string // first cell of the table's head
	cells []string
}

// code returns the code span that the ith cell begins with, without its marks.
func (r row) code(i int) string {
	if i >= len(r.cells) {
		return ""
	}
	if m := span.FindStringSubmatch(r.cells[i]); m != nil {
		return m[1]
	}
	return ""
}

var (
	span = regexp.MustCompile("^`([^`]+)`")
	rule = regexp.MustCompile(`^\|[-:| ]+\|$`)
)

// rows returns the rows of all tables, heads and rules left out.
func rows(text string) (all []row) {
	head := ""
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "|") {
			head = ""
			continue
		}
		cells := split(line)
		switch {
		case i+1 < len(lines) && rule.MatchString(lines[i+1]):
			head = cells[0]
		case !rule.MatchString(line):
			all = append(all, row{i + 1, head, cells})
		}
	}
	return all
}

// split cuts a line of a table into cells; \| is no border.
func split(line string) []string {
	line = strings.ReplaceAll(strings.Trim(strings.TrimSpace(line), "|"), `\|`, "\x00")
	cells := strings.Split(line, "|")
	for i := range cells {
		cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "\x00", "|")
	}
	return cells
}

// report fails the test with one line per finding.
func report(t *testing.T, findings []string) {
	t.Helper()
	slices.Sort(findings)
	for _, f := range findings {
		t.Error(f)
	}
}

func TestTablesAreRead(t *testing.T) {
	t.Parallel()
	got := rows("text\n| a | b |\n|---|---|\n| `x\\|y` | 1 |\n\n| c |\n|---|\n| z |\n")
	if fmt.Sprint(got) != "[{4 a [`x|y` 1]} {8 c [z]}]" || got[0].code(0) != "x|y" || got[0].code(1) != "" {
		t.Errorf("got %v", got)
	}
}

// TestEveryTableHasAHead finds rows that a blank line has cut off from their
// table: they are no table to a reader of Markdown, nor to these tests.
func TestEveryTableHasAHead(t *testing.T) {
	t.Parallel()
	for _, name := range documents(t) {
		lines := strings.Split(read(t, name), "\n")
		for i, line := range lines {
			begins := strings.HasPrefix(line, "| ") && (i == 0 || !strings.HasPrefix(lines[i-1], "|"))
			if begins && (i+1 == len(lines) || !rule.MatchString(lines[i+1])) {
				t.Errorf("%s:%d: a row without a head", name, i+1)
			}
		}
	}
}

// documents are the documents whose tables and code spans are held to the tree.
func documents(t *testing.T) (names []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %d documents", pattern, err, len(found))
		}
		for _, name := range found {
			names = append(names, path.Join(path.Dir(pattern), filepath.Base(name)))
		}
	}
	return names
}

// pathSpan is a code span that names a file or a folder of ours.
var pathSpan = regexp.MustCompile("`((?:actors|sip|media|control|cluster|config|cmd|internal|docs)(?:/[A-Za-z0-9_.-]+)*)`")

func TestPathsInDocumentsExist(t *testing.T) {
	t.Parallel()
	var findings []string
	for _, name := range documents(t) {
		for i, line := range strings.Split(read(t, name), "\n") {
			for _, m := range pathSpan.FindAllStringSubmatch(line, -1) {
				if why := missing(m[1]); why != "" {
					findings = append(findings, fmt.Sprintf("%s:%d: %s: %s", name, i+1, m[1], why))
				}
			}
		}
	}
	report(t, findings)
}

// missing says why a code span names nothing of the tree, or "". A span such
// as sip/edge.maxDials names a constant.
func missing(name string) string {
	if _, err := os.Stat(filepath.Join(root, name)); err == nil {
		return ""
	}
	all, err := constants()
	if err != nil {
		return err.Error()
	}
	if _, ok := all[name]; ok {
		return ""
	}
	return "no such file, folder or constant"
}
