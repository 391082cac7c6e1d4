package peer

import "testing"

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
