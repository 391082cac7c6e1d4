package dialog_test

import (
	"fmt"
	"net/netip"
	"strings"

	"patchbay/actors/call"
)

// sdpOf is the SDP that a row gives a request, "" for none. An INVITE has the
// carrier's first description unless it says nosdp, others have it with sdp:
//
//	o=2                        its version; without it 1
//	addr=192.0.2.20:4010       where RTP goes
//	codecs=8,101               payload numbers of PCMU, PCMA, telephone-event, opus (96)
//	dir=sendonly
//	video                      with a video m-line
func sdpOf(method string, options map[string]string) string {
	_, with := options["sdp"]
	_, without := options["nosdp"]
	if without || !with && method != "INVITE" {
		return ""
	}
	get := func(name, otherwise string) string {
		if v, ok := options[name]; ok {
			return v
		}
		return otherwise
	}
	at := netip.MustParseAddrPort(get("addr", "192.0.2.10:4000"))
	text := fmt.Sprintf("v=0\r\no=- 1 %s IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\n", get("o", "1"), at.Addr())
	if _, ok := options["video"]; ok {
		text += "m=video 4002 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n"
	}
	numbers := strings.Split(get("codecs", "0,8,101"), ",")
	text += fmt.Sprintf("m=audio %d RTP/AVP %s\r\n", at.Port(), strings.Join(numbers, " "))
	names := map[string]string{"0": "PCMU/8000", "8": "PCMA/8000", "101": "telephone-event/8000", "98": "telephone-event/8000", "96": "opus/48000/2", "99": "PCMU/8000"}
	for _, n := range numbers {
		text += "a=rtpmap:" + n + " " + names[n] + "\r\n"
	}
	if d, ok := options["dir"]; ok {
		text += "a=" + d + "\r\n"
	}
	return text
}

// sdpDetails shows our description where it is not the first of the call.
func sdpDetails(raw string) []string {
	_, body, _ := strings.Cut(raw, "\r\n\r\n")
	var version, direction string
	var lines []string
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "o="):
			version = strings.Fields(line)[2]
		case strings.HasPrefix(line, "m="):
			lines = append(lines, line)
		case strings.HasPrefix(line, "a=sendonly"), strings.HasPrefix(line, "a=recvonly"), strings.HasPrefix(line, "a=inactive"), strings.HasPrefix(line, "a=sendrecv"):
			direction = line
		}
	}
	if version == "1" && direction == "a=sendrecv" && len(lines) == 1 {
		return nil
	}
	return []string{"version " + version + ", " + direction + ", " + strings.Join(lines, ", ")}
}

func agreementText(a *call.Agreement) string {
	text := fmt.Sprintf("%s %s/%d", a.Carrier.Addr, a.Carrier.Codec.Name, a.Carrier.Codec.PayloadType)
	if a.Ours.Codec.PayloadType != a.Carrier.Codec.PayloadType {
		text += fmt.Sprintf(" (ours %d)", a.Ours.Codec.PayloadType)
	}
	if a.Carrier.DTMF == nil {
		text += " no keys"
	}
	return text + " we " + string(a.Ours.Direction)
}
