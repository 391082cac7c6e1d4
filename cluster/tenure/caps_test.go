package tenure_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/endpoint"
)

// slowestReport is how late a node may hear of a call that another admitted: a
// report of what changed was lost, and the next whole one says it.
const slowestReport = 600 * time.Millisecond

// A ringing is a call of the one endpoint with a cap.
type ringing struct {
	by    *node
	at    time.Time
	shown map[*node]time.Time // when each node hears of it
	ended time.Time           // zero: live
}

// A line is an endpoint with a cap, in one partition of a world.
type line struct {
	*world
	k     uint8
	ep    endpoint.Endpoint
	calls []*ringing
	taken int
}

func (l *line) live() (n int) {
	for _, c := range l.calls {
		if c.ended.IsZero() {
			n++
		}
	}
	return n
}

// usage is what a node knows of the endpoint's calls, as actors count them.
func (l *line) usage(n *node) endpoint.Usage {
	st, _ := n.standings.At(l.k, l.now)
	u := endpoint.Usage{Standing: st, Now: l.now}
	for _, c := range l.calls {
		at, heard := c.shown[n]
		shown := heard && !l.now.Before(at)
		over := !c.ended.IsZero() && l.now.Sub(c.ended) >= slowestReport
		if !over && (shown || c.by == n) {
			u.Calls++
		}
		if c.by == n && (!shown || l.now.Sub(c.at) < time.Second) {
			u.Recent++
		}
	}
	return u
}

// invite is one INVITE, to one of those that serve the partition, or to any
// decider if nobody does.
func (l *line) invite() {
	var askable []*node
	for _, n := range l.alive() {
		if n.serves.Has(l.k) {
			askable = append(askable, n)
		}
	}
	if askable == nil {
		for _, n := range l.alive() {
			if n.open {
				askable = append(askable, n)
			}
		}
	}
	if askable == nil {
		return
	}
	n := askable[l.rand.IntN(len(askable))]
	if v := endpoint.Decide(l.ep, endpoint.Account{}, l.usage(n), endpoint.Invite{Source: netip.MustParseAddrPort("192.0.2.1:5060")}); v.Action != endpoint.Accept {
		return
	}
	l.taken++
	c := &ringing{by: n, at: l.now, shown: map[*node]time.Time{}}
	for _, other := range l.nodes {
		c.shown[other] = l.now.Add(time.Duration(l.rand.Int64N(int64(slowestReport))))
	}
	l.calls = append(l.calls, c)
}

// hangUp ends about one call in ten, and forgets those that ended long ago.
func (l *line) hangUp() {
	kept := l.calls[:0]
	for _, c := range l.calls {
		if c.ended.IsZero() && l.rand.IntN(10) == 0 {
			c.ended = l.now
		}
		if c.ended.IsZero() || l.now.Sub(c.ended) < 2*time.Second {
			kept = append(kept, c)
		}
	}
	l.calls = kept
}

// time lets ticks pass, with more INVITEs than the cap has room for.
func (l *line) time(ticks int) {
	for range ticks {
		l.pass()
		for range l.rand.IntN(4) {
			l.invite()
		}
		if l.rand.IntN(4) == 0 {
			l.hangUp()
		}
		if got, most := l.live(), *l.ep.MaxConcurrentCalls; got > most {
			l.t.Fatalf("%s: %d calls, the cap is %d", strings.Join(l.log, ", "), got, most)
		}
	}
}

// A newcomer hears of calls that are older than it with its first reports.
func (l *line) join() {
	n := l.world.join()
	for _, c := range l.calls {
		c.shown[n] = l.now.Add(slowest)
	}
}

func TestACapHoldsWhilePartitionsMove(t *testing.T) {
	t.Parallel()
	agent := "bot"
	for _, policy := range []endpoint.CapPolicy{endpoint.CapShare, endpoint.CapStrict} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				most := rapid.SampledFrom([]int{1, 2, 3, 5, 10, 40, 200}).Draw(rt, "cap")
				l := &line{k: 7, world: newWorld(rt, rapid.IntRange(1, 4).Draw(rt, "nodes")), ep: endpoint.Endpoint{
					IsActive: true, IP: endpoint.IPPolicy{Mode: endpoint.IPAny}, CapPolicy: policy, MaxConcurrentCalls: &most,
					Handler: endpoint.Handler{Active: endpoint.HandlerAgent, AgentID: &agent}}}
				rt.Repeat(map[string]func(*rapid.T){
					"join": func(rt *rapid.T) {
						if len(l.alive()) > 4 {
							rt.Skip("large enough")
						}
						l.join()
					},
					"drain": func(*rapid.T) { n := l.anyone("drain or not"); n.draining = !n.draining },
					"time":  func(rt *rapid.T) { l.time(rapid.IntRange(1, 50).Draw(rt, "ticks")) },
				})
				for _, n := range l.nodes {
					n.draining = false
				}
				l.settle()
				l.taken = 0
				for range 100 {
					if l.time(100); l.taken > 0 {
						return
					}
				}
				rt.Fatalf("an owner admits nothing, under a cap of %d with %d calls", most, l.live())
			})
		})
	}
}
