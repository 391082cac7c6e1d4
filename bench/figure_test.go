package main

import "testing"

func TestAFigureIsItsMedianRun(t *testing.T) {
	t.Parallel()
	if got := (figure{9, 1, 5}).String(); got != "5.00 [1.00-9.00]" {
		t.Error(got)
	}
}

func TestABarIsACeilingOrAFloor(t *testing.T) {
	t.Parallel()
	for want, l := range map[string]line{
		"met: <= 10.0 (why)":    {cost: figure{10}, bar: 10, why: "why"},
		"missed: <= 10.0 (why)": {cost: figure{11}, bar: 10, why: "why"},
		"met: >= 10.0 (why)":    {cost: figure{11}, bar: 10, why: "why", least: true},
		"missed: >= 10.0 (why)": {cost: figure{9}, bar: 10, why: "why", least: true},
		"":                      {cost: figure{9}},
	} {
		if got := l.verdict(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
