package sip_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	quotedName = regexp.MustCompile("`([A-Za-z0-9-]+)`")
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// TestEveryClauseNamesTestsThatAreThere holds docs/sip.md to the tests and ladders
// that it names.
func TestEveryClauseNamesTestsThatAreThere(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	for _, dir := range []string{".", "../actors", "../media", "../e2e"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if name, ok := strings.CutSuffix(d.Name(), ".ladder"); ok {
				there[name] = true
			}
			if !strings.HasSuffix(path, "_test.go") {
				return nil
			}
			text, err := os.ReadFile(path)
			for _, m := range testFunc.FindAllSubmatch(text, -1) {
				there[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile("../docs/sip.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.SplitSeq(string(page), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") {
			cells = []string{"", line}
		}
		named := 0
		for _, cell := range cells[1:] {
			for _, m := range quotedName.FindAllStringSubmatch(cell, -1) {
				isTest := strings.HasPrefix(m[1], "Test") || strings.HasPrefix(m[1], "Fuzz") || strings.Contains(m[1], "-") && len(cells) > 1 && strings.HasPrefix(line, "|")
				if isTest && !there[m[1]] {
					t.Errorf("%s is no test or ladder: %.80s", m[1], line)
				}
				if isTest {
					named++
				}
			}
		}
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| clause") && !strings.HasPrefix(line, "| spelling") {
			rows++
			if named == 0 {
				t.Errorf("nothing holds %.80s", line)
			}
		}
	}
	if rows < 40 {
		t.Errorf("%d clauses, want 40 at least", rows)
	}
}
