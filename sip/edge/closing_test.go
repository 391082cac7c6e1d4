package edge_test

import (
	"bytes"
	"net"
	"strconv"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/edge"
)

// A peer that has closed its side takes nothing more on that connection, though
// what was sent before may still wait to leave it: an answer goes by a new one
// then, too (RFC 3261 18.2.2). Over a stream nobody repeats it.
func TestAnAnswerToAPeerThatHasHungUpGoesByANewConnection(t *testing.T) {
	t.Parallel()
	flows := make(chan call.Flow, 1)
	r := rejecting(404)
	r.invite = noting(flows)
	rig := start(t, settings(), r)
	accept, listens := tcpSink(t)
	p := rig.tcp()
	p.send(msg{method: "INVITE", via: "127.0.0.1:" + strconv.Itoa(int(listens.Port())) + ";rport"}.String())
	flow := take(t, flows)
	// The peer reads nothing: what is written waits, and so does the connection.
	filler := append([]byte("SIP/2.0 183 Session Progress\r\nContent-Length: 60000\r\n\r\n"), bytes.Repeat([]byte("x"), 60000)...)
	for refused := 0; refused < 50; refused++ { // in a row: it is not only slow
		told := make(chan bool, 1)
		rig.Send(call.Transmission{Flow: flow, Raw: filler}, func(sent bool) { told <- sent })
		if take(t, told) {
			refused = 0
		}
		time.Sleep(time.Millisecond)
	}
	if err := p.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan *peer, 1)
	go func() { answered <- accept() }()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // the edge hears of the end a little later
		rig.Send(call.Transmission{Flow: flow, Raw: ok200}, nil)
		select {
		case again := <-answered:
			if got := status(again.read(patience)); got != "200" {
				t.Errorf("got %q", got)
			}
			if n := rig.seen.of("dropped " + string(edge.DropFlowGone)); n > 0 {
				t.Errorf("%d answers before it were lost", n)
			}
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatal("no answer came")
		}
	}
}
