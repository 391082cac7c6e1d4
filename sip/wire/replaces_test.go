package wire_test

import (
	"strings"
	"testing"

	"patchbay/sip/wire"
)

func TestAReplacesThatNobodyCouldFollowIsRefused(t *testing.T) {
	t.Parallel()
	const good = "Replaces: a@b;to-tag=1;from-tag=2"
	for _, tc := range []struct {
		method, to string
		lines      []string
		refused    bool
	}{
		{"INVITE", "", []string{good, "Require: replaces"}, false},
		{"INVITE", "", []string{good + ";early-only;other=x"}, false},
		{"INVITE", "", []string{good, good}, true}, // a duplicate, as of every field that may stand once,
		{"INVITE", "", []string{good + ", c@d;to-tag=1;from-tag=2"}, true},
		{"INVITE", "", []string{good, "Join: c@d;to-tag=1;from-tag=2"}, true},
		{"INVITE", "", []string{"Replaces: a@b;to-tag=1"}, true},
		{"INVITE", "", []string{"Replaces: a@b;to-tag=1;to-tag=2;from-tag=2"}, true},
		{"INVITE", "", []string{"Replaces: ;to-tag=1;from-tag=2"}, true},
		{"OPTIONS", "", []string{good}, true},
		{"BYE", ";tag=x", []string{good}, true},
	} {
		raw := tc.method + " sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=f\r\nTo: <sip:x@y>" + tc.to +
			"\r\nCall-ID: c\r\nCSeq: 1 " + tc.method + "\r\nContact: <sip:a@h>\r\nMax-Forwards: 70\r\n" + strings.Join(tc.lines, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
		m, fault := wire.Read([]byte(raw), wire.RelayLimits())
		switch {
		case tc.refused && (fault == nil || fault.Status != 400 || fault.Word != "bad_replaces" && fault.Word != "duplicate_header"):
			t.Errorf("%s %q: %+v", tc.method, tc.lines, fault)
		case !tc.refused && fault != nil:
			t.Errorf("%s %q: %+v", tc.method, tc.lines, fault)
		case !tc.refused:
			if r, ok := m.Replaces(); !ok || r.CallID != "a@b" || r.ToTag != "1" || r.FromTag != "2" || r.EarlyOnly != strings.Contains(tc.lines[0], "early-only") {
				t.Errorf("%q: %+v, %v", tc.lines, r, ok)
			}
		}
	}
}
