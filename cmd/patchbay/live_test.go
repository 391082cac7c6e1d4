package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"patchbay/control"
)

// ring places a call that nobody answers: it is up until its agent's time is
// over, or somebody ends it. Its carrier reads nothing.
func (b *bench) ring(slug, from, callID string) control.CallView {
	b.t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(b.node.edge.Addrs().UDP))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	sdp := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
	invite := fmt.Sprintf("INVITE sip:%s@sip.localhost SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s;rport\r\nFrom: <sip:%s@carrier.example>;tag=1\r\n"+
		"To: <sip:%s@sip.localhost>\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\nContact: <sip:c@%s>\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\n"+
		"Content-Length: %d\r\n\r\n%s", slug, c.LocalAddr(), callID, from, slug, callID, c.LocalAddr(), len(sdp), sdp)
	sent := time.Time{}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if time.Since(sent) > 2*time.Second { // a busy machine may have had no room for the copy before
			sent = time.Now()
			_, _ = io.WriteString(c, invite)
		}
		found := must[control.Page[control.CallView]](b, "default", "call.find", `{"query":"`+callID+`","account":"*"}`)
		if len(found.Items) == 1 {
			return found.Items[0]
		}
	}
	b.t.Fatal("the call is not up")
	return control.CallView{}
}

// hangUp ends the calls of an account and returns what ctl said once there were
// some: a media node whose beats are late, on a busy machine, is asked nothing.
func (b *bench) hangUp(tenant string) (said string) {
	b.t.Helper()
	b.until("calls are hung up", func() bool {
		said = b.mustCtl("call", "hangup", "--account", tenant, "--yes")
		return !strings.HasPrefix(said, "0 ")
	})
	return said
}

func TestAnOperatorFindsCallsAndHangsUpMany(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	theirs := b.build("globex")
	ep := must[control.EndpointView](b, "globex", "endpoint.get", `{"id":"`+theirs.endpoint+`"}`)
	for i := range 3 {
		b.ring(ep.Slug, fmt.Sprintf("+1555123010%d", i), fmt.Sprintf("call-%d@carrier", i))
	}
	b.until("a call is found by its number", func() bool {
		got := b.mustCtl("--tenant", "globex", "call", "find", "15551230101")
		return strings.Count(got, "ringing")+strings.Count(got, "joining")+strings.Count(got, "trying") == 1
	})
	if got := b.mustCtl("call", "find", "call-2@carrier"); strings.Contains(got, "+15551230102") {
		t.Errorf("another account's call without --all-accounts: %s", got)
	}
	b.until("a call of any account is found", func() bool {
		return strings.Contains(b.mustCtl("calls", "find", "call-2@carrier", "--all-accounts"), "+15551230102")
	})
	for _, args := range [][]string{{"--endpoint", theirs.endpoint}, {"--account", "globex"}, {"--node", "test"}} {
		b.until(fmt.Sprintf("calls are counted by %v", args), func() bool {
			return strings.HasPrefix(b.mustCtl(append([]string{"--tenant", "globex", "call", "hangup"}, args...)...), "3 calls would be")
		})
	}
	b.until("the operator counts them", func() bool {
		return strings.HasPrefix(b.mustCtl("call", "hangup", "--node", "test"), "3 calls would be")
	})
	for _, args := range [][]string{{}, {"04hkaps9lf6uu", "--node", "test"}} {
		if _, _, err := b.ctl(append([]string{"call", "hangup"}, args...)...); err == nil {
			t.Errorf("call hangup %v does something", args)
		}
	}
	if got := b.hangUp("globex"); got != "3 calls hung up\n" {
		t.Errorf("hung up: %s", got)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		left := must[control.Page[control.CallView]](b, "globex", "call.list", `{}`)
		if len(left.Items) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d calls are left", len(left.Items))
		}
	}
}
