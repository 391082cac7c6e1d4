package endpoint

import "strings"

// Digits of a number that a call is transferred to.
const (
	minNumber = 2
	maxNumber = 32
)

// ParseTransfer reads whom a call is transferred to: a URI as of [ParseTarget],
// or a number with or without its +, which it returns without separators.
func ParseTransfer(to string) (string, bool) {
	if t, ok := ParseTarget(to); ok {
		return t.URI(), true
	}
	number := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "").Replace(to)
	digits := strings.TrimPrefix(number, "+")
	if len(to) > 2*maxNumber || len(digits) < minNumber || len(digits) > maxNumber || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	return number, true
}
