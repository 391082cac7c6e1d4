package wire_test

import (
	"strings"
	"testing"
)

func TestASessionTimerThatIsTooShortIsRefusedWhereItIsKnown(t *testing.T) {
	t.Parallel()
	for _, lines := range [][]string{
		{"Supported: timer", "Session-Expires: 89"},
		{"k: 100rel, Timer", "x: 0;refresher=uac"},
		{"Require: timer", "Session-Expires: 60 ;refresher=uas"},
	} {
		f := fault(t, request(lines...))
		if got := string(f.Reply("t")); f.Status != 422 || !strings.Contains(got, "\r\nMin-SE: 90\r\n") {
			t.Errorf("%v: got %s", lines, got)
		}
	}
	for _, lines := range [][]string{
		{"Supported: timer", "Session-Expires: 90"},
		{"Supported: timer", "Session-Expires: soon"},
		{"Session-Expires: 30"}, // of a proxy: the carrier would not know what 422 says (RFC 4028 9)
		{"Require: timer, 100rel"},
	} {
		if m := read(t, request(lines...)); m.Method != "INVITE" {
			t.Errorf("%v: %s", lines, m)
		}
	}
}
