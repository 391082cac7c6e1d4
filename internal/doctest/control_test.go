package doctest

import (
	"encoding/json"
	"fmt"
	"go/constant"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	controlDoc  = "docs/control-api.md"
	examplesDir = "control/testdata/api"
)

// TestExamplesAreTheGoldenFiles compares each example of docs/control-api.md
// with the file that control's tests wrote; with -update it copies them.
func TestExamplesAreTheGoldenFiles(t *testing.T) {
	t.Parallel()
	compareExamples(t, controlDoc, examplesDir+"/*.re*.json", examplesDir+"/error.*.json", examplesDir+"/http.*.json")
}

// TestEveryOperationHasARow compares the table of operations with the
// examples, which control's tests compare with the service itself.
func TestEveryOperationHasARow(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, examplesDir, "*.request.json"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	var want []string
	for _, f := range files {
		want = append(want, strings.TrimSuffix(filepath.Base(f), ".request.json"))
	}
	report(t, compareColumn(controlDoc, read(t, controlDoc), "operation", want))
}

// compareColumn compares the code spans in the first column of the tables with
// that head with what should be there.
func compareColumn(name, text, head string, want []string) (findings []string) {
	var got []string
	for _, r := range rows(text) {
		if r.head != head {
			continue
		}
		got = append(got, r.code(0))
		if !slices.Contains(want, r.code(0)) {
			findings = append(findings, fmt.Sprintf("%s:%d: no %s is named %s", name, r.line, head, r.code(0)))
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			findings = append(findings, fmt.Sprintf("%s: no row for the %s %s", name, head, w))
		}
	}
	return findings
}

// words returns the values of the text constants of a package whose names
// begin with a prefix.
func words(t *testing.T, folder, prefix string) (values []string) {
	t.Helper()
	all := loaded(t)
	for key, n := range all {
		if n.dir != folder || !strings.HasPrefix(n.name, prefix) {
			continue
		}
		if is, err := evaluate(all, key); err == nil && is.value.Kind() == constant.String {
			values = append(values, constant.StringVal(is.value))
		}
	}
	if len(values) == 0 {
		t.Fatalf("no constants %s.%s...", folder, prefix)
	}
	slices.Sort(values)
	return values
}

func TestCodesOfErrorsAreInTheDocument(t *testing.T) {
	t.Parallel()
	text := read(t, controlDoc)
	findings := compareColumn(controlDoc, text, "code", words(t, "control", "Code"))
	problems := append(words(t, "actors/endpoint", "Code"), "unknown")
	findings = append(findings, compareColumn(controlDoc, text, "problem", problems)...)
	var table []struct {
		Code string `json:"code"`
		HTTP int    `json:"http"`
	}
	if err := json.Unmarshal([]byte(read(t, examplesDir+"/codes.json")), &table); err != nil {
		t.Fatal(err)
	}
	status := map[string]string{}
	for _, line := range table {
		status[line.Code] = strconv.Itoa(line.HTTP)
	}
	for _, r := range rows(text) {
		if r.head == "code" && r.cells[1] != status[r.code(0)] {
			findings = append(findings, fmt.Sprintf("%s:%d: %s is HTTP %s, the document says %s", controlDoc, r.line, r.code(0), status[r.code(0)], r.cells[1]))
		}
	}
	report(t, findings)
}
