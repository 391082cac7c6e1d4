package main

import (
	"fmt"
	"slices"
)

// A figure is what repeated runs measured of one thing.
type figure []float64

// median is the middle run.
func (f figure) median() float64 {
	if len(f) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(f))
	return s[len(s)/2]
}

// String is the median with the lowest and highest run.
func (f figure) String() string {
	if len(f) == 0 {
		return "-"
	}
	m := f.median()
	if len(f) == 1 {
		return short(m)
	}
	return fmt.Sprintf("%s [%s-%s]", short(m), short(slices.Min(f)), short(slices.Max(f)))
}

// short is a number with as many digits as it deserves.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// A line is one row of the table.
type line struct {
	work string
	who  string
	cost figure
	unit string
	more string  // beside it: latency, losses
	bar  float64 // of Patchbay's lines; 0: none
	why  string  // where the bar comes from

	least bool // the bar is a floor, not a ceiling
}

// verdict says whether the line meets its bar.
func (l line) verdict() string {
	if l.bar == 0 {
		return ""
	}
	sign, met := "<=", l.cost.median() <= l.bar
	if l.least {
		sign, met = ">=", l.cost.median() >= l.bar
	}
	word := "missed"
	if met {
		word = "met"
	}
	return fmt.Sprintf("%s: %s %s (%s)", word, sign, short(l.bar), l.why)
}

// table prints lines as Markdown.
func table(lines []line) string {
	out := "| work | who | cost | beside it | first bar |\n|---|---|---|---|---|\n"
	for _, l := range lines {
		out += fmt.Sprintf("| %s | %s | %s %s | %s | %s |\n", l.work, l.who, l.cost, l.unit, l.more, l.verdict())
	}
	return out
}
