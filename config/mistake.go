package config

import (
	"fmt"
	"strings"
)

// A Mistake is one thing wrong with a configuration. It never holds the value
// of nats.url, which may contain a password.
type Mistake struct {
	Key   string // sip.udp; empty where the file as a whole is wrong
	Where string // what set it: the file's name, the variable, a flag, default
	Why   string
}

// String says what is wrong, and where to mend it.
func (m Mistake) String() string {
	if m.Key == "" {
		return m.Where + ": " + m.Why
	}
	return fmt.Sprintf("%s (%s): %s", m.Key, m.Where, m.Why)
}

// Mistakes are all the mistakes of a configuration: the error of [Load].
type Mistakes []Mistake

// Error lists the mistakes, one on a line.
func (ms Mistakes) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "configuration: %d mistake", len(ms))
	if len(ms) != 1 {
		b.WriteByte('s')
	}
	for _, m := range ms {
		b.WriteString("\n  " + m.String())
	}
	return b.String()
}

// nearest returns the setting that was probably meant by an unknown key, or "".
func nearest(key string, known []string) string {
	best, found := 3, ""
	for _, k := range known {
		if d := distance(key, k); d < best {
			best, found = d, k
		}
	}
	return found
}

// distance counts the letters to change, add or drop to turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
