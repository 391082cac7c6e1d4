package archtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"patchbay/config"
)

// link is an inline link or image of Markdown: [text](target "title").
var link = regexp.MustCompile(`!?\[[^\]]*\]\(([^)\s]+)[^)]*\)`)

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	names, err := files()
	if err != nil {
		t.Fatal(err)
	}
	var findings []string
	for _, name := range names {
		if path.Ext(name) != ".md" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		findings = append(findings, linkFindings(os.DirFS(root), name, string(text))...)
	}
	report(t, findings)
}

// linkFindings returns the relative links of a document that lead nowhere.
func linkFindings(tree fs.FS, name, text string) (findings []string) {
	for i, line := range strings.Split(prose(text), "\n") {
		for _, m := range link.FindAllStringSubmatch(line, -1) {
			if why := broken(tree, name, text, m[1]); why != "" {
				findings = append(findings, fmt.Sprintf("%s:%d: link to %s: %s", name, i+1, m[1], why))
			}
		}
	}
	return findings
}

// broken says why a link leads nowhere, or "".
func broken(tree fs.FS, name, text, target string) string {
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return ""
	}
	file, anchor, _ := strings.Cut(target, "#")
	if strings.HasPrefix(file, "/") {
		return "not relative"
	}
	if file != "" {
		full := path.Join(path.Dir(name), file)
		if full == ".." || strings.HasPrefix(full, "../") {
			return "outside the repository"
		}
		at, err := fs.Stat(tree, full)
		if errors.Is(err, fs.ErrNotExist) {
			return "no such file"
		}
		if anchor == "" || err != nil || at.IsDir() || path.Ext(full) != ".md" {
			return ""
		}
		other, err := fs.ReadFile(tree, full)
		if err != nil {
			return err.Error()
		}
		text = string(other)
	}
	if anchor != "" && !slices.Contains(anchors(text), anchor) {
		return "no such heading"
	}
	return ""
}

// prose blanks out blocks and spans of code, whose brackets are no links.
func prose(text string) string {
	fenced := false
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence || fenced {
			lines[i] = ""
		}
		if fence {
			fenced = !fenced
		}
		lines[i] = codeSpan.ReplaceAllStringFunc(lines[i], func(s string) string { return strings.Repeat(" ", len(s)) })
	}
	return strings.Join(lines, "\n")
}

var codeSpan = regexp.MustCompile("`[^`]*`")

// anchors returns the names under which the headings of a document are linked.
func anchors(text string) (names []string) {
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		heading := strings.TrimLeft(line, "#")
		if fenced || heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading)))
	}
	return names
}

// TestTheConfigurationReferenceIsCurrent is the short form of the golden test
// in config, for whoever runs only this package.
func TestTheConfigurationReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs/configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	var findings []string
	for _, s := range config.Settings() {
		if row := fmt.Sprintf("| `%s` | `%s` | %s |", s.Key, s.Env, s.Type); !strings.Contains(string(text), row) {
			findings = append(findings, "docs/configuration.md: no row for "+s.Key+" (go test ./config -run Reference -update)")
		}
	}
	report(t, findings)
}

func TestBrokenLinksAreFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "docs/adr"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "docs/b.md"), []byte("# Two words, and `code`\n```\n# no heading\n```\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	text := "[a](b.md) [b](b.md#two-words-and-code) [c](https://example.com/x) [d](adr) ![e](#here)\n# Here\n" +
		"`[f](none.md)`\n```\n[g](none.md)\n```\n" +
		"[h](none.md) [i](b.md#no-heading) [j](../../x.md) [k](/etc/hosts) [l](#there)\n"
	want := []string{
		"docs/a.md:7: link to none.md: no such file",
		"docs/a.md:7: link to b.md#no-heading: no such heading",
		"docs/a.md:7: link to ../../x.md: outside the repository",
		"docs/a.md:7: link to /etc/hosts: not relative",
		"docs/a.md:7: link to #there: no such heading",
	}
	if got := linkFindings(os.DirFS(dir), "docs/a.md", text); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
