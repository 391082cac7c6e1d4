package dialog

import "testing"

func TestAFragmentTellsAStatus(t *testing.T) {
	t.Parallel()
	for _, try := range []struct {
		contentType, body string
		want              int
	}{
		{"message/sipfrag", "SIP/2.0 200 OK\r\n", 200},
		{"Message/SipFrag", "SIP/2.0 486 Busy Here", 486},
		{"", "\r\n sip/2.0  180 Ringing\n", 180},
		{"message/sipfrag", "SIP/2.0 100\r\n", 100},
		{"message/sipfrag", "SIP/2.0 99 x", 0},
		{"message/sipfrag", "SIP/2.0 +20 x", 0},
		{"message/sipfrag", "SIP/2.0 700 x", 0},
		{"message/sipfrag", "HTTP/1.1 200 OK", 0},
		{"message/sipfrag", "", 0},
		{"text/plain", "SIP/2.0 200 OK", 0},
	} {
		if got := fragment(try.contentType, []byte(try.body)); got != try.want {
			t.Errorf("%s %q: %d, want %d", try.contentType, try.body, got, try.want)
		}
	}
}

func FuzzFragment(f *testing.F) {
	f.Add("SIP/2.0 200 OK\r\n")
	f.Add("\r\nSIP/2.0 999")
	f.Fuzz(func(t *testing.T, body string) {
		if n := fragment("message/sipfrag", []byte(body)); n != 0 && (n < 100 || n > 699) {
			t.Errorf("%q: %d", body, n)
		}
	})
}
