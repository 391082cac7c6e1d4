package archtest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// private are paths of somebody's machine: nothing in the tree may name one.
var private = regexp.MustCompile(`(^|[^A-Za-z0-9_.\-/])/(work|root|home|Users|tmp/[a-z])(/|\b)`)

// allowedPrivate are lines that name such a path for a reason: containers run
// as their own user, programs have well-known places.
var allowedPrivate = []string{"/tmp/patchbay"}

// climb is a relative path that begins with one or more parents.
var climb = regexp.MustCompile(`(?:^|[\s"'=:(,])((?:\.\./)+)`)

// TestNothingReadsOutsideTheRepository looks at every text file: no path of a
// machine, and no relative path that climbs over the root.
func TestNothingReadsOutsideTheRepository(t *testing.T) {
	t.Parallel()
	names, err := files()
	if err != nil {
		t.Fatal(err)
	}
	var findings []string
	for _, name := range names {
		if under(path.Dir(name), "internal/archtest") || path.Ext(name) == ".sum" || name == ".git" {
			continue // this rule names what it looks for; .git is a file in a second work tree
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if utf8.Valid(text) {
			findings = append(findings, pathFindings(name, string(text))...)
		}
	}
	report(t, findings)
}

func pathFindings(name, text string) (findings []string) {
	depth := 0
	if dir := path.Dir(name); dir != "." {
		depth = strings.Count(dir, "/") + 1
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if m := private.FindString(line); m != "" && !slices.ContainsFunc(allowedPrivate, func(ok string) bool { return strings.Contains(line, ok) }) {
			findings = append(findings, fmt.Sprintf("%s:%d: names %s, a path of one machine", name, n, strings.TrimSpace(m)))
		}
		for _, m := range climb.FindAllStringSubmatch(line, -1) {
			if strings.Count(m[1], "../") > depth {
				findings = append(findings, fmt.Sprintf("%s:%d: %s leads out of the repository", name, n, m[1]))
			}
		}
	}
	return findings
}

func TestPathsOutsideTheRepositoryAreFound(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`os.ReadFile("/work/shared/x")`:           "a/b/c.go:1: names \"/work/, a path of one machine",
		`DB = file:///root/db`:                    "",
		`cd /home/me`:                             "a/b/c.go:1: names /home/, a path of one machine",
		`open("../../testdata/x")`:                "",
		`open("../../../x")`:                      "a/b/c.go:1: ../../../ leads out of the repository",
		`https://example.com/home/page and/work/`: "",
		`a homework/work/x`:                       "",
		`--data=/tmp/patchbay-demo`:               "",
	} {
		if got := strings.Join(pathFindings("a/b/c.go", line+"\n"), "\n"); got != want {
			t.Errorf("%s:\n got  %q\n want %q", line, got, want)
		}
	}
}
