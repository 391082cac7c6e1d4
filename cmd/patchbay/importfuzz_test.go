package main

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzReadLines wants each line of a file to be read or told as a mistake, once.
func FuzzReadLines(f *testing.F) {
	f.Add([]byte(`{"kind":"agent","id":"a","spec":{}}` + "\n\n" + `{"kind":"endpoint","id":"b","slug":"x","spec":{"name":"n"}}`))
	f.Add([]byte("nonsense\n{}{}\n{\"colour\":1}\r\n"))
	f.Add([]byte(`{"kind":"agent","id":"a"}` + "\n" + `{"kind":"agent","id":"a"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines, problems, err := readLines(bytes.NewReader(text))
		if err != nil {
			return
		}
		seen := map[int]bool{}
		for _, l := range lines {
			seen[l.Line] = true
		}
		for _, p := range problems {
			if seen[p.Line] {
				t.Errorf("line %d is read and a mistake", p.Line)
			}
			seen[p.Line] = true
		}
		want := 0
		for _, l := range strings.Split(string(text), "\n") {
			if strings.TrimSpace(l) != "" {
				want++
			}
		}
		if len(seen) != want {
			t.Errorf("%d lines were read or told, want %d", len(seen), want)
		}
	})
}
