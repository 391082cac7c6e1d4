package cluster_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/call"
)

// placed is an INVITE of ours outside a dialog: it has no flow yet.
func placed(over call.Transport, n int) call.Transmission {
	tx := onFlow("", over, fmt.Sprintf("INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP edge.invalid;branch=z9hG4bK%d\r\n\r\n", n))
	tx.Flow = call.Flow{Transport: over}
	tx.Fill = true
	return tx
}

func TestAllCopiesOfAnInviteOfOursGoByOneEdge(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	var asked [3]atomic.Int32
	edges := make([]string, len(asked))
	for i := range asked {
		edges[i] = fmt.Sprintf("edge-%d", i)
		openEdgeThat(t, c, edges[i], func(tx call.Transmission) string {
			if !tx.Fill {
				t.Error("the edge is not told to fill in its address")
			}
			asked[i].Add(1)
			return "sends"
		})
	}
	w := newWire(t, c, nobodyGone)
	w.Among(func() []string { return edges })
	used := 0
	for n := range 20 {
		for i := range asked {
			asked[i].Store(0)
		}
		for range 3 {
			w.Transmit(placed(call.UDP, n))
		}
		until(t, func() bool { return asked[0].Load()+asked[1].Load()+asked[2].Load() == 3 })
		for i := range asked {
			if got := asked[i].Load(); got != 0 && got != 3 {
				t.Errorf("INVITE %d: %d of 3 copies by %s", n, got, edges[i])
			} else if got == 3 {
				used |= 1 << i
			}
		}
	}
	if used != 7 {
		t.Errorf("of three edges only those of the set %03b are used", used)
	}
}

// An INVITE that no edge can send is given up after one other was asked, and
// the call hears of it; on a reliable transport too, where a BYE is tried for
// longer.
func TestAnInviteThatNoEdgeCanSendIsLostSoonAndTheCallHearsOfIt(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]bool{"they cannot": true, "there is none": false} {
		for _, over := range []call.Transport{call.UDP, call.TCP} {
			t.Run(name+" over "+string(over), func(t *testing.T) {
				t.Parallel()
				c := newConn(t)
				var asked atomic.Int32
				if open {
					cannot := func(call.Transmission) string { asked.Add(1); return "cannot" }
					openEdgeThat(t, c, "one", cannot)
					openEdgeThat(t, c, "two", cannot)
				}
				w := newWire(t, c, nobodyGone)
				w.Among(func() []string { return []string{"one"} })
				lost := make(chan bool, 4)
				tx := placed(over, 1)
				tx.Lost = func() { lost <- true }
				w.Transmit(tx)
				await(t, lost)
				if got := asked.Load(); open && got != 2 {
					t.Errorf("%d edges were asked, want its own and one other", got)
				}
				select {
				case <-lost:
					t.Error("the call hears of it twice")
				case <-time.After(50 * time.Millisecond): // real: nothing else is under way
				}
			})
		}
	}
}

func TestAnInviteGoesByAnyEdgeWhereNobodyKnowsOne(t *testing.T) {
	t.Parallel()
	c := newConn(t)
	sent := openEdge(t, c, "one")
	w := newWire(t, c, nobodyGone)
	w.Transmit(placed(call.TCP, 1))
	if got := await(t, sent); !got.Fill {
		t.Errorf("got %+v", got)
	}
	w.Among(func() []string { return nil })
	w.Transmit(placed(call.TCP, 2))
	await(t, sent)
}

// until waits for what must come.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come")
		}
	}
}
