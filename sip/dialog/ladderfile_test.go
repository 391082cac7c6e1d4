package dialog_test

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A ladder is a file in testdata/ladders. Rows are "time | left | right": left
// is between carrier and Patchbay, right between Patchbay and the agent. A row
// whose arrow points to Patchbay is played; an empty row lets time pass; all
// other rows are what Patchbay did about it, written by -update. Lines that
// start with # are kept, and "name: value" lines before the first row set the
// scene (see scene in carrier_test.go).
type ladder struct {
	head  []string // settings and comments before the first row
	steps []step
	tail  []string // comments after the last one
}

// A step is one played row, with the comments above it.
type step struct {
	comments []string
	at       time.Duration
	from     side
	text     string
}

type side uint8

const (
	nobody side = iota // time passes
	carrier
	agent
)

const (
	leftWidth  = 50
	rightWidth = 38
)

func readLadder(t *testing.T, text []byte) (ladder, map[string]string) {
	t.Helper()
	var l ladder
	settings := map[string]string{}
	var comments []string
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		cells := strings.Split(line, "|")
		switch {
		case len(cells) == 3:
			if l.steps == nil && l.head == nil {
				l.head, comments = comments, nil
			}
			s, played := readRow(t, cells)
			if played {
				s.comments, comments = comments, nil
				l.steps = append(l.steps, s)
			}
		case l.steps == nil && line != "" && line[0] != '#':
			name, value, ok := strings.Cut(line, ": ")
			if !ok {
				t.Fatalf("%q is neither a row, a setting nor a comment", line)
			}
			settings[name] = value
			comments = append(comments, line)
		default:
			comments = append(comments, line)
		}
	}
	l.tail = comments
	return l, settings
}

func readRow(t *testing.T, cells []string) (step, bool) {
	t.Helper()
	var seconds float64
	if _, err := fmt.Sscan(cells[0], &seconds); err != nil {
		t.Fatalf("%q is no time in seconds", cells[0])
	}
	s := step{at: time.Duration(seconds*1000+0.5) * time.Millisecond}
	left, right := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])
	switch {
	case strings.HasSuffix(left, ">"):
		s.from, s.text = carrier, strings.TrimRight(left, "-> ")
	case strings.HasPrefix(right, "<"):
		s.from, s.text = agent, strings.TrimLeft(right, "<- ")
	case left != "" || right != "":
		return step{}, false
	}
	return s, true
}

// A printer writes a ladder.
type printer struct{ strings.Builder }

func (p *printer) lines(lines []string) {
	for _, l := range lines {
		p.WriteString(l + "\n")
	}
}

func (p *printer) row(at time.Duration, left, right string) {
	when := fmt.Sprintf("%8.3f", at.Seconds())
	line := fmt.Sprintf("%s | %-*s | %s", when, leftWidth, left, right)
	p.WriteString(strings.TrimRight(line, " ") + "\n")
}

func towards(text string, width int) string {
	return text + " " + strings.Repeat("-", max(1, width-len(text)-2)) + ">"
}

func backFrom(text string, width int) string {
	return "<" + strings.Repeat("-", max(1, width-len(text)-2)) + " " + text
}

func (p *printer) step(s step) {
	p.lines(s.comments)
	switch s.from {
	case carrier:
		p.row(s.at, towards(s.text, leftWidth), "")
	case agent:
		p.row(s.at, "", backFrom(s.text, rightWidth))
	case nobody:
		p.row(s.at, "", "")
	}
}

// toCarrier writes one of our messages; what matters in it stands on the right.
func (p *printer) toCarrier(at time.Duration, text string, details []string) {
	first, rest := "", details
	if len(details) > 0 {
		first, rest = ". "+details[0], details[1:]
	}
	p.row(at, backFrom(text, leftWidth), first)
	for _, d := range rest {
		p.note(at, d)
	}
}

func (p *printer) toAgent(at time.Duration, text string) { p.row(at, "", towards(text, rightWidth)) }
func (p *printer) note(at time.Duration, text string)    { p.row(at, "", ". "+text) }
