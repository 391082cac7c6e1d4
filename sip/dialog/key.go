package dialog

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Why a body holds no key.
var (
	errNoKeyType = errors.New("dialog: not a media type of keys")
	errNoKey     = errors.New("dialog: no key in the body")
)

// keys are the keys of a telephone by their event code (RFC 4733 3.2).
const keys = "0123456789*#ABCD"

// hookFlash is the event code of a hook that was pressed for a moment, which is
// no key.
const hookFlash = 16

// longestKey is how long a key is believed to have been held.
const longestKey = 20 * time.Second

// readKey reads the body of an INFO that tells of a pressed key: the forms
// application/dtmf-relay ("Signal=5", "Duration=160", milliseconds) and
// application/dtmf (the key alone). No RFC has either; both are what carriers
// send. A hook flash is no error and no key.
func readKey(contentType string, body []byte) (key string, held time.Duration, err error) {
	text := string(body)
	switch contentType {
	case "application/dtmf":
		key, err = keyOf(text)
		return key, 0, err
	case "application/dtmf-relay":
	default:
		return "", 0, errNoKeyType
	}
	err = errNoKey
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(line, "=")
		if !found {
			name, value, _ = strings.Cut(line, ":")
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "signal":
			key, err = keyOf(value)
		case "duration":
			if ms, wrong := strconv.ParseUint(value, 10, 31); wrong == nil {
				held = min(time.Duration(ms)*time.Millisecond, longestKey)
			}
		}
	}
	return key, held, err
}

// keyOf reads a key: itself, or its event code.
func keyOf(text string) (string, error) {
	text = strings.ToUpper(strings.Trim(strings.TrimSpace(text), `"`))
	switch code, err := strconv.ParseUint(text, 10, 8); {
	case len(text) == 1 && strings.Contains(keys, text):
		return text, nil
	case text == "!", err == nil && code == hookFlash:
		return "", nil
	case err == nil && code < uint64(len(keys)):
		return keys[code : code+1], nil
	}
	return "", errNoKey
}
