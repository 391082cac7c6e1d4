package cluster_test

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/subject"
)

var ok200 = []byte("SIP/2.0 200 OK\r\n\r\n")

func nobodyGone(string) bool { return false }

// newWire is a Wire for tests in which no edge hangs: one that is late to say
// that it sent a message is not asked twice.
func newWire(t testing.TB, c *cluster.Conn, gone func(string) bool) *cluster.Wire {
	t.Helper()
	w := observedWire(t, c, gone, cluster.WireObserver{})
	w.WaitLonger(patience)
	return w
}

// impatientWire is one for tests of edges that are silent.
func impatientWire(t testing.TB, c *cluster.Conn, gone func(string) bool) *cluster.Wire {
	t.Helper()
	return observedWire(t, c, gone, cluster.WireObserver{})
}

func observedWire(t testing.TB, c *cluster.Conn, gone func(string) bool, obs cluster.WireObserver) *cluster.Wire {
	t.Helper()
	w, err := cluster.NewWire(c, gone, obs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// openEdge is an edge that sends what it is given; sends says whether it can.
func openEdge(t testing.TB, c *cluster.Conn, name string) <-chan call.Transmission {
	t.Helper()
	sent, _ := openEdgeThat(t, c, name, func(call.Transmission) string { return "sends" })
	return sent
}

// openEdgeThat is an edge that sends, cannot, or hangs.
func openEdgeThat(t testing.TB, c *cluster.Conn, name string, does func(call.Transmission) string) (<-chan call.Transmission, *cluster.EdgeDoor) {
	t.Helper()
	sent := make(chan call.Transmission, 64)
	door, err := cluster.OpenEdgeDoor(c, name, []call.Transport{call.UDP, call.TCP}, func(tx call.Transmission, told func(bool)) {
		what := does(tx)
		if what == "sends" {
			sent <- tx
		}
		if told != nil && what != "hangs" {
			told(what == "sends")
		}
	}, cluster.DoorObserver{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.Close)
	flush(t, c)
	return sent, door
}

func onFlow(edge string, over call.Transport, raw string) call.Transmission {
	tx := call.Transmission{Flow: packet("").Flow, To: netip.MustParseAddrPort("192.0.2.9:5060"), Raw: []byte(raw)}
	tx.Flow.Edge, tx.Flow.Transport = edge, over
	return tx
}

func TestAMessageLeavesByTheEdgeOfItsFlow(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	one, two := openEdge(t, c, "edge-1"), openEdge(t, c, "edge.2")
	w := newWire(t, c, nobodyGone)
	for _, raw := range []string{string(ok200), "BYE sip:x SIP/2.0\r\n\r\n"} {
		for edge, sent := range map[string]<-chan call.Transmission{"edge-1": one, "edge.2": two} {
			tx := onFlow(edge, call.UDP, raw)
			w.Transmit(tx)
			if got := await(t, sent); got.Flow != tx.Flow || got.To != tx.To || string(got.Raw) != raw {
				t.Errorf("got %+v, want %+v", got, tx)
			}
		}
	}
}

func TestAResponseOfADeadEdgeLeavesByAnother(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	other := openEdge(t, c, "edge-1")
	w := newWire(t, c, func(edge string) bool { return edge == "silent" })
	for _, over := range []call.Transport{call.UDP, call.TCP} {
		for _, edge := range []string{"silent", "killed"} { // its beats have stopped; NATS knows it no more
			w.Transmit(onFlow(edge, over, string(ok200)))
			if got := await(t, other); got.Flow.Edge != edge || got.Flow.Transport != over {
				t.Errorf("%s: got %+v", edge, got)
			}
		}
	}
}

func TestARequestOfOursLeavesByAnyEdgeWhereItsOwnCannot(t *testing.T) {
	t.Parallel()
	for _, over := range []call.Transport{call.UDP, call.TCP} {
		for _, first := range []string{"is killed", "is silent", "hangs", "cannot"} {
			t.Run(string(over)+" "+first, func(t *testing.T) {
				t.Parallel()
				c := newConn(t)
				other := openEdge(t, c, "other")
				if first == "hangs" || first == "cannot" {
					openEdgeThat(t, c, "first", func(tx call.Transmission) string {
						if tx.Flow.Edge == "first" && tx.Flow.Conn == 0 {
							return first
						}
						return "sends"
					})
				}
				w := impatientWire(t, c, func(edge string) bool { return first == "is silent" && edge == "first" })
				for end := time.Now().Add(patience); time.Now().Before(end); { // as timer E does; "any" may be the first again
					w.Transmit(onFlow("first", over, "BYE sip:x SIP/2.0\r\n\r\n"))
					select {
					case got := <-other:
						if got.To != onFlow("", over, "").To || got.Flow.Transport != over {
							t.Errorf("got %+v", got)
						}
						return
					case <-time.After(2 * time.Second):
					}
				}
				t.Error("no other edge was asked")
			})
		}
	}
}

func TestARequestWaitsForAnEdgeOnAReliableTransportAndThenIsLost(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	lost := make(chan string, 4)
	w := observedWire(t, c, nobodyGone, cluster.WireObserver{Lost: func(edge string, _ error) { lost <- edge }})
	w.WaitLonger(patience)
	w.Transmit(onFlow("udp", call.UDP, "BYE sip:x SIP/2.0\r\n\r\n")) // its timer E repeats it
	if got := await(t, lost); got != "udp" {
		t.Errorf("got %s", got)
	}
	w.Transmit(onFlow("later", call.TCP, "BYE sip:x SIP/2.0\r\n\r\n"))
	time.Sleep(700 * time.Millisecond) // real: a round and its pause
	if got := await(t, openEdge(t, c, "late")); got.Flow.Edge != "later" {
		t.Errorf("got %+v", got)
	}
	w.Transmit(onFlow("never", call.TLS, "BYE sip:x SIP/2.0\r\n\r\n"))
	if got := await(t, lost); got != "never" {
		t.Errorf("lost %s", got)
	}
}

func TestAResponseWhoseEdgeIsGoneIsAskedAboutAgainWhereNobodyWouldRepeatIt(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	var asked atomic.Int32
	sent, _ := openEdgeThat(t, c, "other", func(call.Transmission) string {
		if asked.Add(1) == 1 {
			return "hangs" // as one does that was cut off, and that NATS has not missed yet
		}
		return "sends"
	})
	w := impatientWire(t, c, func(string) bool { return true })
	w.Transmit(onFlow("gone", call.TCP, string(ok200)))
	if got := await(t, sent); got.Flow.Edge != "gone" || asked.Load() < 2 {
		t.Errorf("got %+v after %d asks", got, asked.Load())
	}
}

func TestARequestIsSentOnceWhereItsEdgeSaysSo(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	var asked atomic.Int32
	count := func(call.Transmission) string { asked.Add(1); return "sends" }
	openEdgeThat(t, c, "one", count)
	openEdgeThat(t, c, "two", count)
	w := impatientWire(t, c, nobodyGone)
	w.WaitLonger(time.Second)
	for range 5 { // on a busy machine an edge may be late to say so
		asked.Store(0)
		w.Transmit(onFlow("one", call.TCP, "BYE sip:x SIP/2.0\r\n\r\n"))
		time.Sleep(1500 * time.Millisecond) // real: longer than an edge may take
		if asked.Load() == 1 {
			return
		}
	}
	t.Error("each request was sent more than once, or never")
}

func TestMessagesOfOneFlowKeepTheirOrder(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	sent := openEdge(t, c, "edge-1")
	w := newWire(t, c, nobodyGone)
	for i := range 10 {
		w.Transmit(onFlow("edge-1", call.UDP, fmt.Sprintf("SIP/2.0 18%d", i)))
	}
	for i := range 10 {
		if got := await(t, sent); string(got.Raw) != fmt.Sprintf("SIP/2.0 18%d", i) {
			t.Errorf("message %d is %s", i, got.Raw)
		}
	}
}

func TestAnOldMediaNodeThatWantsNoAnswerIsServed(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	told := make(chan bool, 1)
	door, err := cluster.OpenEdgeDoor(c, "e", nil, func(_ call.Transmission, f func(bool)) { told <- f != nil }, cluster.DoorObserver{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.Close)
	flush(t, c)
	if err := c.Hot().Publish(subject.Send("e"), []byte(`{"v":1,"flow":{"edge":"e","boot":1,"transport":"udp","local":"","remote":"","reply":""}}`+"\nBYE sip:x SIP/2.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if await(t, told) {
		t.Error("somebody is told who did not ask")
	}
}
