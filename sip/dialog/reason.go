package dialog

import (
	"strconv"
	"strings"

	"patchbay/actors/call"
)

// reasonOf writes a cause as the value of a Reason header (RFC 3326), and ""
// for none. text may come from elsewhere; what a quoted-string cannot hold
// plainly is left out.
func reasonOf(c call.Cause, text string) string {
	if c.Q850 <= 0 {
		return ""
	}
	if text == "" {
		text = c.Word
	}
	return "Q.850;cause=" + strconv.Itoa(c.Q850) + `;text="` + plain(text) + `"`
}

// plain returns what of s may stand between quotes as it is.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
}

// q850 returns the Q.850 cause of a Reason header's value, which may list
// several protocols; 0 if it has none.
func q850(value string) int {
	for value != "" {
		var reason string
		reason, value = cutUnquoted(value, ',')
		protocol, params := cutUnquoted(reason, ';')
		if !strings.EqualFold(strings.TrimSpace(protocol), "Q.850") {
			continue
		}
		for params != "" {
			var param string
			param, params = cutUnquoted(params, ';')
			name, number, _ := strings.Cut(param, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "cause") {
				continue
			}
			if n, err := strconv.Atoi(strings.TrimSpace(number)); err == nil && n > 0 && n < 128 {
				return n
			}
		}
	}
	return 0
}

// cutUnquoted cuts s at the first separator outside a quoted-string.
func cutUnquoted(s string, separator byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == separator && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
