package load_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"patchbay/e2e/rig"
)

// The flood: INVITEs of a carrier that hears nothing and acknowledges nothing,
// each answered by the echo agent.
const (
	flood     = 5000
	floodT1   = 20 * time.Millisecond // 64*T1 ends what has no ACK
	floodOpen = 24                    // INVITEs without an answer at once: more than two cores can serve, and none for long
	floodTime = 40 * time.Second      // from the last answer until all is free
)

// TestFiveThousandInvitesThatAreNeverAcknowledgedLeaveNothing answers no BYE,
// either: a call of which nothing more is heard costs nothing for long.
func TestFiveThousandInvitesThatAreNeverAcknowledgedLeaveNothing(t *testing.T) {
	if rig.Race {
		t.Skip("a load under the race detector says nothing: run it with an ordinary build")
	}
	node := rig.StartWide(t, 6, rig.Settings{"sip.t1": floodT1.String(), "media.port_quarantine": "1s"})
	op := node.Operator(t)
	uri := node.URI(op.Endpoint(t, op.Echo(t).Agent, nil).Slug)
	start := look(node)
	began := time.Now()
	answered, refused := deafCarrier(t, node, uri)
	took := time.Since(began)
	node.Idle(t, floodTime)
	free := time.Since(began) - took
	rig.Until(t, floodTime, func() (string, bool) { // one that no agent took in time was a call, too
		ended := int(node.Metric("patchbay_calls_ended_total"))
		return fmt.Sprintf("%d calls were answered, %d refused, %d ended", answered, refused, ended), ended >= answered && ended <= answered+refused
	})
	if refused > flood/20 {
		t.Errorf("%d calls were answered and %d refused, want few refused", answered, refused)
	}
	var end figure
	rig.Until(t, floodTime, func() (string, bool) {
		end = look(node)
		return "goroutines are back", end.goroutines <= start.goroutines*(1+slack)
	})
	t.Logf("%d INVITEs in %v: %d answered, %d refused; live calls and ports were free %v after the last answer; goroutines %v -> %v",
		flood, took.Round(time.Second), answered, refused, free.Round(100*time.Millisecond), start.goroutines, end.goroutines)
	if n := node.Metric(rig.Panics); n != 0 {
		t.Errorf("%v panics were contained, want none", n)
	}
}

// deafCarrier sends the flood and counts final responses. It repeats an INVITE
// that got none, as any carrier does, and sends nothing else.
func deafCarrier(t *testing.T, node *rig.Node, uri string) (answered, refused int) {
	t.Helper()
	conn, err := net.Dial("udp", node.SIP.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.(*net.UDPConn).SetReadBuffer(4 << 20) // as much as the system grants
	buf := make([]byte, 65536)
	open := map[string]string{} // INVITEs without a final response, by Call-ID
	for sent, again := 0, time.Now().Add(time.Second); sent < flood || len(open) > 0; {
		for ; sent < flood && len(open) < floodOpen; sent++ {
			r := rig.Request{Method: "INVITE", URI: uri, Body: rig.Offer(9)}.Fresh()
			open[r.CallID] = node.Text(r)
			_, _ = conn.Write([]byte(open[r.CallID])) // lost, as any may be
		}
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := conn.Read(buf)
		if time.Now().After(again) {
			again = time.Now().Add(time.Second)
			for _, text := range open {
				_, _ = conn.Write([]byte(text))
			}
		}
		if m := rig.Response(buf[:n]); err == nil && m.Status() >= 200 && open[m.Header("Call-ID")] != "" && strings.HasSuffix(m.Header("CSeq"), "INVITE") {
			delete(open, m.Header("Call-ID"))
			if m.Status() == 200 {
				answered++
			} else {
				refused++
			}
		}
	}
	return answered, refused
}
