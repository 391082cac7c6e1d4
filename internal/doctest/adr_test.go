package doctest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	recordName   = regexp.MustCompile(`^(\d{4})-[a-z0-9]+(-[a-z0-9]+)*\.md$`)
	recordHead   = regexp.MustCompile(`\A# (\d{4})\. (.+)\n\n- Status: (.+)\n- Date: (\d{4}-\d{2}-\d{2})\n\n## Context\n`)
	recordStatus = regexp.MustCompile(`^(Proposed|Accepted|Superseded by \d{4})$`)
)

// maxRecord is a page: what is longer belongs into a document.
const maxRecord = 4500 // bytes

// TestDecisionRecords holds docs/adr to its form: numbered without gaps, with
// title, status and date, in three sections on a page, and each in the index.
func TestDecisionRecords(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root, "docs/adr")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		records[e.Name()] = string(text)
	}
	index := records["README.md"]
	delete(records, "README.md")
	if len(records) < 8 {
		t.Fatalf("only %d records in %s", len(records), dir)
	}
	report(t, recordFindings(index, records))
}

func recordFindings(index string, records map[string]string) (findings []string) {
	add := func(name, format string, args ...any) {
		findings = append(findings, "docs/adr/"+name+": "+fmt.Sprintf(format, args...))
	}
	var names []string
	for name := range records {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		number, text := fmt.Sprintf("%04d", i+1), records[name]
		if m := recordName.FindStringSubmatch(name); m == nil || m[1] != number {
			add(name, "want the name %s-a-few-words.md: numbers have no gaps", number)
			continue
		}
		head := recordHead.FindStringSubmatch(text)
		switch {
		case head == nil:
			add(name, "want \"# %s. Title\", \"- Status: ...\", \"- Date: 2026-11-21\", then ## Context", number)
			continue
		case head[1] != number:
			add(name, "its title has number %s", head[1])
		case !recordStatus.MatchString(head[3]):
			add(name, "status %q, want Proposed, Accepted or Superseded by NNNN", head[3])
		case len(text) > maxRecord:
			add(name, "%d bytes, want at most %d", len(text), maxRecord)
		}
		if got := sections(text); !slices.Equal(got, []string{"Context", "Decision", "Consequences"}) {
			add(name, "sections %q, want Context, Decision, Consequences", got)
		}
		if line := fmt.Sprintf("| [%s](%s) | %s | %s |\n", number, name, head[2], head[3]); !strings.Contains(index, line) {
			add("README.md", "want the line %s", strings.TrimSpace(line))
		}
	}
	if n := strings.Count(index, "\n| ["); n != len(names) {
		add("README.md", "%d records in the index, %d in the folder", n, len(names))
	}
	return findings
}

func sections(text string) (names []string) {
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

func TestBrokenDecisionRecordsAreFound(t *testing.T) {
	t.Parallel()
	good := "# 0001. One\n\n- Status: Accepted\n- Date: 2026-11-21\n\n## Context\nx\n\n## Decision\ny\n\n## Consequences\nz\n"
	got := recordFindings("\n| [0001](0001-one.md) | One | Accepted |\n", map[string]string{
		"0001-one.md":   good,
		"0002-two.md":   strings.Replace(good, "Accepted", "Perhaps", 1),
		"0004-four.md":  good,
		"0005-five.md":  "# Five\n",
		"0006-Six.md":   good,
		"0007-seven.md": strings.Replace(good, "Decision", "Choice", 1),
	})
	for _, want := range []string{
		"docs/adr/0002-two.md: its title has number 0001",
		"docs/adr/0004-four.md: want the name 0003-a-few-words.md: numbers have no gaps",
		"docs/adr/0006-Six.md: want the name 0005-a-few-words.md: numbers have no gaps",
		"docs/adr/README.md: 1 records in the index, 6 in the folder",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("not found: %s\nin %s", want, strings.Join(got, "\n"))
		}
	}
	if alone := recordFindings("\n| [0001](0001-one.md) | One | Accepted |\n", map[string]string{"0001-one.md": good}); len(alone) != 0 {
		t.Errorf("nothing is wrong with it: %q", alone)
	}
}
