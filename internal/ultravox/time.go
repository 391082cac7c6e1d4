package ultravox

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Stamp writes a moment as the API does: ISO 8601 in UTC, with microseconds
// where there are any; "" for none.
func Stamp(t time.Time) string {
	t = t.UTC().Truncate(time.Microsecond)
	switch {
	case t.IsZero():
		return ""
	case t.Nanosecond() == 0:
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}

// Seconds writes a duration as the API does: "30s", "1.5s".
func Seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}

// durationForm is the documented pattern of durations.
var durationForm = regexp.MustCompile(`^-?(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,9})?s$`)

// longest keeps a duration far from overflow: a year.
const longest = 366 * 24 * time.Hour

// ParseSeconds reads a duration of the documented form; one beyond a year
// counts as a year.
func ParseSeconds(text string) (time.Duration, bool) {
	if !durationForm.MatchString(text) {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.TrimSuffix(text, "s"), 64)
	if err != nil {
		return 0, false
	}
	return time.Duration(max(-1, min(f, longest.Seconds())) * float64(time.Second)), true
}

// deciminute is what calls are billed by, each begun one in full.
const deciminute = 6 * time.Second

// billed rounds a time up to what is billed of it.
func billed(d time.Duration) string {
	if d <= 0 {
		return Seconds(0)
	}
	return Seconds((d + deciminute - 1) / deciminute * deciminute)
}
