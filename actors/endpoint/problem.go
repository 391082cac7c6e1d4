package endpoint

import "fmt"

// A Problem is one mistake in an object that somebody wants to store. Field is
// its JSON path, such as ip.entries[3].raw; Code is for machines and never
// changes; Message says what is wanted and never repeats a secret.
type Problem struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Codes of problems.
const (
	CodeRequired     = "required"
	CodeInvalid      = "invalid"
	CodeTooLong      = "too_long"
	CodeTooMany      = "too_many"
	CodeOutOfRange   = "out_of_range"
	CodeDuplicate    = "duplicate"
	CodeNotSupported = "not_supported" // known, and not served yet
	CodeNotOwned     = "not_owned"     // a caller's identity that is not the account's
)

// Error implements error.
func (p Problem) Error() string { return p.Field + ": " + p.Message }

// problems collects every mistake of one object.
type problems []Problem

func (ps *problems) add(field, code, format string, args ...any) {
	*ps = append(*ps, Problem{field, code, fmt.Sprintf(format, args...)})
}

// text checks one line of text by its length in bytes.
func (ps *problems) text(field, value string, least, most int) {
	switch {
	case value == "" && least > 0:
		ps.add(field, CodeRequired, "want %d to %d bytes", least, most)
	case len(value) > most:
		ps.add(field, CodeTooLong, "%d bytes, want at most %d", len(value), most)
	case !isPrintable(value):
		ps.add(field, CodeInvalid, "control characters are not allowed")
	}
}

func (ps *problems) optional(field string, value *string, most int) {
	if value != nil {
		ps.text(field, *value, 0, most)
	}
}

func (ps *problems) between(field string, value, least, most int64) {
	if value < least || value > most {
		ps.add(field, CodeOutOfRange, "%d, want %d to %d", value, least, most)
	}
}

// word checks that value is one of words.
func (ps *problems) word(field, value string, words ...string) bool {
	for _, w := range words {
		if value == w {
			return true
		}
	}
	ps.add(field, CodeInvalid, "want one of %q", words)
	return false
}

func (ps *problems) uuid(field, value string) {
	switch {
	case value == "":
		ps.add(field, CodeRequired, "want a UUID")
	case !isUUID(value):
		ps.add(field, CodeInvalid, "want a UUID in lower case")
	}
}

// MaxTenant is how long a tenant's name may be: it is a label of a domain.
const MaxTenant = 63

func (ps *problems) tenant(field, value string) {
	switch {
	case value == "":
		ps.add(field, CodeRequired, "want the account's name")
	case len(value) > MaxTenant || !isLabel(value):
		ps.add(field, CodeInvalid, "want at most %d lower-case letters, digits and hyphens", MaxTenant)
	}
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// IsID reports whether s has the form of an object's id: a UUID in lower case.
func IsID(s string) bool { return isUUID(s) }

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
