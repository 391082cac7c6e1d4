package doctest

import (
	"fmt"
	"go/constant"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchbay/config"
)

const limitsDoc = "docs/limits.md"

// TestLimitsAreAsTheCodeHasThem compares each row of docs/limits.md with the
// setting or the constant that it names.
func TestLimitsAreAsTheCodeHasThem(t *testing.T) {
	t.Parallel()
	all := loaded(t)
	var findings []string
	seen := map[string]bool{}
	for _, r := range rows(read(t, limitsDoc)) {
		name := r.code(0)
		if r.head != "limit" || name == "" {
			continue
		}
		if seen[name] {
			findings = append(findings, fmt.Sprintf("%s:%d: %s is there twice", limitsDoc, r.line, name))
		}
		seen[name] = true
		if why := wrong(all, r); why != "" {
			findings = append(findings, fmt.Sprintf("%s:%d: %s: %s", limitsDoc, r.line, name, why))
		}
	}
	report(t, findings)
}

// wrong says what is wrong with a row of the form
// | `name` | value | unit | what happens |, or "".
func wrong(all map[string]named, r row) string {
	if len(r.cells) != 4 || r.cells[3] == "" {
		return fmt.Sprintf("%d cells, want name, value, unit, and what happens when it is reached", len(r.cells))
	}
	name, value, unit := r.code(0), r.cells[1], r.cells[2]
	if i := slices.IndexFunc(config.Settings(), func(s config.Setting) bool { return s.Key == name }); i >= 0 {
		return wrongSetting(config.Settings()[i], value, unit)
	}
	is, err := evaluate(all, name)
	switch {
	case err != nil:
		return err.Error()
	case is.value.Kind() == constant.String:
		return "no number"
	}
	n, _ := constant.Int64Val(constant.ToInt(is.value))
	said, duration, err := written(value, unit)
	switch {
	case err != nil:
		return err.Error()
	case said != n || duration != is.duration:
		return fmt.Sprintf("the document says %s %s, %s says %s", value, unit, all[name].at, shown(n, is.duration))
	}
	return ""
}

func wrongSetting(s config.Setting, value, unit string) string {
	if s.Type == "text" {
		if s.Default != value {
			return fmt.Sprintf("the document says %s, its default is %s", value, s.Default)
		}
		return ""
	}
	said, duration, err := written(value, unit)
	if err != nil {
		return err.Error()
	}
	var is int64
	if s.Type == "duration" {
		var d time.Duration
		d, err = time.ParseDuration(s.Default)
		is = int64(d)
	} else {
		is, err = strconv.ParseInt(s.Default, 10, 64)
	}
	if err != nil || said != is || duration != (s.Type == "duration") {
		return fmt.Sprintf("the document says %s %s, its default is %s", value, unit, s.Default)
	}
	return ""
}

// multiples are the units that stand for a multiple; any other word counts 1.
var multiples = map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	"ms": int64(time.Millisecond), "s": int64(time.Second), "min": int64(time.Minute), "h": int64(time.Hour)}

// written reads a value and its unit, such as 65,507 and bytes.
func written(value, unit string) (n int64, duration bool, err error) {
	n, err = strconv.ParseInt(strings.ReplaceAll(value, ",", ""), 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("%q is no whole number", value)
	}
	word, _, _ := strings.Cut(unit, " ")
	if m, ok := multiples[word]; ok {
		n *= m
	}
	return n, slices.Contains([]string{"ms", "s", "min", "h"}, word), nil
}

func shown(n int64, duration bool) string {
	if duration {
		return time.Duration(n).String()
	}
	return strconv.FormatInt(n, 10)
}

// limitName is a name that promises a limit.
var limitName = regexp.MustCompile(`^(max|Max|DefaultMax)[A-Z]|Timeout$|Patience$`)

// notLimits are constants with such a name that bound nothing an operator or a
// peer can meet, and why.
var notLimits = map[string]string{
	"actors/call.maxRetryAfter":   "the spread of Retry-After, in docs/limits.md as prose",
	"cluster/envelope.maxHead":    "room made beforehand, not a bound",
	"media.maxFrame":              "the longest frame of our own silence",
	"sip/wire.DefaultMaxForwards": "a value that we send",
	"internal/keys.MaxID":         "the width of a field",
	"sip/token.MaxKeyID":          "the width of a field",
}

// TestEveryLimitIsInTheDocument finds constants that are named like a limit
// and settings that hold one, and wants a row for each.
func TestEveryLimitIsInTheDocument(t *testing.T) {
	t.Parallel()
	all := loaded(t)
	said := map[string]bool{}
	for _, r := range rows(read(t, limitsDoc)) {
		said[r.code(0)] = true
	}
	var findings []string
	for key, n := range all {
		if said[key] || !limitName.MatchString(n.name) || notLimits[key] != "" {
			continue
		}
		if is, err := evaluate(all, key); err == nil && is.value.Kind() == constant.Int {
			v, _ := constant.Int64Val(is.value)
			findings = append(findings, fmt.Sprintf("%s: no row for %s, %s (%s)", limitsDoc, key, shown(v, is.duration), n.at))
		}
	}
	for _, s := range config.Settings() {
		if !said[s.Key] && (s.Type == "number" || s.Type == "duration") {
			findings = append(findings, fmt.Sprintf("%s: no row for the setting %s, %s", limitsDoc, s.Key, s.Default))
		}
	}
	for key := range notLimits {
		if _, ok := all[key]; !ok {
			findings = append(findings, fmt.Sprintf("%s is excused from %s and does not exist", key, path.Base(limitsDoc)))
		}
	}
	report(t, findings)
}

func TestWrongLimitsAreFound(t *testing.T) {
	t.Parallel()
	all := loaded(t)
	for line, want := range map[string]string{
		"| `sip/edge.maxDialWait` | 128 | messages | x |":  "",
		"| `sip/edge.maxWriteQueue` | 256 | KiB | x |":     "",
		"| `media.max_calls` | 2,000 | calls | x |":        "",
		"| `sip.t1` | 500 | ms | x |":                      "",
		"| `media.rtp_ports` | 20000-29999 | ports | x |":  "",
		"| `sip.t1` | 500 | | x |":                         "the document says 500 , its default is 500ms",
		"| `media.max_calls` | 2,001 | calls | x |":        "the document says 2,001 calls, its default is 2000",
		"| `sip/edge.nothing` | 1 | s | x |":               "no constant sip/edge.nothing",
		"| `sip/edge.maxDialWait` | many | messages | x |": `"many" is no whole number`,
		"| `sip/edge.maxDialWait` | 128 | messages |":      "3 cells, want name, value, unit, and what happens when it is reached",
	} {
		if got := wrong(all, row{cells: split(line)}); got != want {
			t.Errorf("%s\n got  %s\n want %s", line, got, want)
		}
	}
	r := row{cells: split("| `sip/edge.maxDialWait` | 129 | messages | x |")}
	if got := wrong(all, r); !strings.HasPrefix(got, "the document says 129 messages, sip/edge/send.go:") || !strings.HasSuffix(got, " says 128") {
		t.Errorf("got %s", got)
	}
}
