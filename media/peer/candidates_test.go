package peer

import (
	"strings"
	"testing"
)

func TestLinkLocalCandidatesOfAnAgentAreLeftOut(t *testing.T) {
	t.Parallel()
	const text = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" +
		"a=candidate:1 1 udp 2130706431 fe80::fc:ff:fe00:1%eth0 38060 typ host\r\n" +
		"a=candidate:2 1 udp 2130706431 192.0.2.2 38060 typ host\r\n" +
		"a=candidate:3 1 udp 2130706431 169.254.7.7 38060 typ host\r\n" +
		"a=candidate:4 1 udp 2130706431 fe80::1 38060 typ host\r\n" +
		"a=candidate:5 1 udp 2130706431 2001:db8::1 38060 typ host\r\n" +
		"a=candidate:6 1 udp 2130706431 abc.local 38060 typ host\r\na=end-of-candidates\r\n"
	const want = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" +
		"a=candidate:2 1 udp 2130706431 192.0.2.2 38060 typ host\r\n" +
		"a=candidate:5 1 udp 2130706431 2001:db8::1 38060 typ host\r\n" +
		"a=candidate:6 1 udp 2130706431 abc.local 38060 typ host\r\na=end-of-candidates\r\n"
	if got := reachable(text); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestOfManyCandidatesTheFirstAreTried(t *testing.T) {
	t.Parallel()
	const one = "a=candidate:1 1 udp 2130706431 192.0.2.2 38060 typ host\r\n"
	for _, end := range []string{"\r\n", "\n", "\r"} { // the library takes each for the end of a line
		got := reachable(strings.ReplaceAll("v=0\r\n"+strings.Repeat(one, 1000)+"a=end-of-candidates\r\n", "\r\n", end))
		if n := strings.Count(got, "a=candidate:"); n != maxRemote || !strings.HasSuffix(got, "\r\na=end-of-candidates\r\n") {
			t.Errorf("%q: %d of 1000 candidates are tried, want %d", end, n, maxRemote)
		}
	}
}
