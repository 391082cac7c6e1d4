package scenario_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A script is one file of testdata.
type script struct {
	name  string
	to    string            // whom it calls: echo, nobody, missing; "": it is called
	spec  map[string]any    // of an endpoint of its own
	only  []string          // ways that it is played in; none: all
	slow  bool              // takes a minute: only make soak plays it
	wants map[string]record // by the party's name
	steps []step
}

// fits reports whether a scenario is played in a way.
func (s script) fits(w way) bool { return len(s.only) == 0 || slices.Contains(s.only, w.name) }

// plays is how often it is played in a way, in a round of so many.
func (s script) plays(w way, times int) int {
	if s.slow {
		return 1
	}
	return cmp.Or(w.times, times)
}

// A record is what one says of a call; none of a call that never was one.
type record struct {
	none      bool
	status    int
	cause, by string
}

// A step is one row: who, what, with which words and header fields.
type step struct {
	line    int
	party   string // "": the first
	verb    string
	args    []string
	headers []string
}

// scripts reads the files, in the order of their names.
func scripts(t testing.TB) []script {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.scenario")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios in testdata: %v", err)
	}
	var all []script
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := read(strings.TrimSuffix(filepath.Base(path), ".scenario"), string(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, s)
	}
	return all
}

func read(name, text string) (script, error) {
	s := script{name: name, wants: map[string]record{}}
	for i, line := range strings.Split(text, "\n") {
		row, _, _ := strings.Cut(strings.TrimSpace(line), "# ")
		words := strings.Fields(row)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if err := s.row(i+1, row, words); err != nil {
			return s, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if len(s.steps) == 0 || len(s.wants) == 0 {
		return s, fmt.Errorf("want steps and a record, got %d and %d", len(s.steps), len(s.wants))
	}
	return s, nil
}

// verbs and how many words each needs at least.
var verbs = map[string]int{">": 1, "<": 1, "place": 0, "wait": 1, "copies": 3, "quiet": 1, "operator": 1, "agent": 1, "event": 1, "unheard": 1, "has": 2, "lacks": 1, "body": 1, "version": 1,
	"keys": 1, "tones": 1, "heard": 1}

func (s *script) row(n int, row string, words []string) error {
	switch words[0] {
	case "to":
		return s.callee(words[1:])
	case "record":
		return s.record(words[1:])
	case "only":
		for _, name := range words[1:] {
			if !slices.ContainsFunc(ways, func(w way) bool { return w.name == name }) {
				return fmt.Errorf("only %s: there is no such way", name)
			}
		}
		s.only = words[1:]
		return nil
	case "slow":
		s.slow = true
		return nil
	case "+":
		if len(s.steps) == 0 {
			return fmt.Errorf("a header field of nothing")
		}
		last := &s.steps[len(s.steps)-1]
		last.headers = append(last.headers, strings.TrimSpace(strings.TrimPrefix(row, "+")))
		return nil
	}
	st := step{line: n, verb: words[0], args: words[1:]}
	if name, found := strings.CutSuffix(words[0], ">"); found {
		st.party, st.verb = name, ">"
	} else if name, found := strings.CutSuffix(words[0], "<"); found {
		st.party, st.verb = name, "<"
	} else if name, verb, found := strings.Cut(words[0], "."); found {
		st.party, st.verb = name, verb
	}
	need, known := verbs[st.verb]
	if !known || len(st.args) < need {
		return fmt.Errorf("%q: no such row", row)
	}
	s.steps = append(s.steps, st)
	return nil
}

// callee reads "to echo max_concurrent_calls=1".
func (s *script) callee(words []string) error {
	if len(words) == 0 || !slices.Contains([]string{"echo", "nobody", "missing"}, words[0]) {
		return fmt.Errorf("to %v: want echo, nobody or missing", words)
	}
	s.to = words[0]
	for _, w := range words[1:] {
		field, value, _ := strings.Cut(w, "=")
		var v any = value
		if n, err := strconv.Atoi(value); err == nil {
			v = n
		}
		if strings.HasSuffix(field, ".targets") || strings.HasSuffix(field, ".hosts") {
			v = strings.Split(value, ",")
		}
		if s.spec == nil {
			s.spec = map[string]any{}
		}
		into := s.spec
		if group, rest, nested := strings.Cut(field, "."); nested { // media.dtmf_out=info
			within, _ := into[group].(map[string]any)
			if within == nil {
				within = map[string]any{}
				into[group] = within
			}
			into, field = within, rest
		}
		into[field] = v
	}
	return nil
}

// record reads "200 normal carrier", "none" and "of=b none".
func (s *script) record(words []string) error {
	party := ""
	if len(words) > 0 && strings.HasPrefix(words[0], "of=") {
		party, words = strings.TrimPrefix(words[0], "of="), words[1:]
	}
	if len(words) == 1 && words[0] == "none" {
		s.wants[party] = record{none: true}
		return nil
	}
	if len(words) != 3 {
		return fmt.Errorf("record %v: want a status, a cause and who ended it", words)
	}
	status, err := strconv.Atoi(words[0])
	s.wants[party] = record{status: status, cause: words[1], by: words[2]}
	return err
}
