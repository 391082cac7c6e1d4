package load_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/e2e/rig"
	"patchbay/internal/caller"
)

func TestMain(m *testing.M) { rig.Main(m) }

// The load: calls of hold time each, begun evenly at a rate. One in twenty is
// placed by our own caller, which sends and expects a tone; the rest by SIPp,
// half over UDP and half over TCP.
const (
	calls    = 300
	rate     = 20 // a second
	checked  = calls / 20
	hold     = 6 * time.Second
	agents   = 3
	after    = 2 * time.Minute // longest wait until a node has forgotten them: past 64*T1
	slack    = 0.05            // of goroutines
	minTones = 3               // bursts that come back in a call of six seconds
)

// A figure is what is looked at before and after.
type figure struct{ live, ports, goroutines float64 }

func look(n *rig.Node) figure {
	goroutines := rig.Typical(3*time.Second, func() float64 { return n.Metric(rig.Goroutines) })
	return figure{n.Metric(rig.CallsLive), n.Metric(rig.PortsInUse), goroutines}
}

func TestThreeHundredCallsAtTwentyASecondLeaveNothingBehind(t *testing.T) {
	if rig.Race {
		t.Skip("a load under the race detector says nothing: run it with an ordinary build")
	}
	node := rig.StartWide(t, 6, rig.Settings{"actor.store_timeout": "100ms"}) // the default, as everything else
	op := node.Operator(t)
	slugs := make([]string, agents)
	for i := range slugs {
		slugs[i] = op.Endpoint(t, op.Echo(t).Agent, nil).Slug
	}
	start := look(node)

	began := time.Now()
	var runs []*rig.Run
	for i, transport := range rig.Transports {
		const n = (calls - checked) / 2 // 142.5
		runs = append(runs, node.Begin(t, rig.Scenario{
			File: "load", Transport: transport, User: slugs[i], Calls: n + i, Rate: rate - rate/20, Limit: 90 * time.Second, Quiet: true,
			Args: []string{"-rp", "2000", "-d", fmt.Sprint(hold.Milliseconds()), "-trace_rtt", "-rtt_freq", "1"},
		}))
	}
	tones, peak := heardTones(t, node, slugs[agents-1])
	var took []time.Duration
	for _, run := range runs {
		took = append(took, run.Finish().ResponseTimes()...)
	}
	if len(took) != calls-checked {
		t.Errorf("SIPp timed %d calls, want %d", len(took), calls-checked)
	}
	t.Logf("%d calls in %v, %v live when the last was placed", calls, time.Since(began).Round(time.Second), peak)
	t.Log("INVITE to 200:\n" + table(map[string][]time.Duration{"SIPp (its clock ticks at 4 ms)": took, "our caller": tones}))

	rest(t, node, start)
}

// heardTones places the calls that are checked for the tone both ways. It
// returns how long each took to its answer, and how many calls were live when
// the last one was placed.
func heardTones(t *testing.T, node *rig.Node, slug string) (took []time.Duration, peak float64) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	tick := time.NewTicker(time.Second * calls / rate / checked)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range checked {
		all.Go(func() {
			uri := node.URI(slug) + ";transport=" + rig.Transports[i%2]
			rep, err := caller.Call(ctx, caller.Options{URI: uri, Talk: hold})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Errorf("call %d: %v", i, err)
			case rep.Status != 200 || rep.Bursts < minTones || rep.ByeStatus != 200:
				t.Errorf("call %d: status %d, %d bursts of tone came back, BYE %d; want 200, %d at least, 200",
					i, rep.Status, rep.Bursts, rep.ByeStatus, minTones)
			default:
				took = append(took, rep.Answered)
			}
		})
		<-tick.C
	}
	peak = node.Metric(rig.CallsLive)
	all.Wait()
	return took, peak
}

// rest waits until a node has forgotten its calls and compares it with
// how it began.
func rest(t *testing.T, node *rig.Node, start figure) {
	t.Helper()
	node.Idle(t, after)
	rig.Eventually(t, after, "the number of calls that have ended", calls, func() float64 { return node.Metric("patchbay_calls_ended_total") })
	began := time.Now()
	var end figure
	rig.Until(t, after, func() (string, bool) {
		end = look(node)
		return fmt.Sprintf("no goroutines are left but %.0f %%: they went from %v to %v", 100*slack, start.goroutines, end.goroutines),
			end.goroutines <= start.goroutines*(1+slack)
	})
	t.Logf("live calls %v -> %v, RTP ports %v -> %v, goroutines %v -> %v, %v after the last call",
		start.live, end.live, start.ports, end.ports, start.goroutines, end.goroutines, time.Since(began).Round(time.Second))
	if end.live != start.live || end.ports != start.ports {
		t.Errorf("%v calls and %v RTP ports are left, want %v and %v", end.live, end.ports, start.live, start.ports)
	}
	if n := node.Metric(rig.Panics); n != 0 {
		t.Errorf("%v panics were contained, want none", n)
	}
}

// table shows how the times of each group are spread.
func table(groups map[string][]time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-32s %6s %9s %9s %9s\n", "", "calls", "p50", "p99", "longest")
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		times := groups[name]
		slices.Sort(times)
		fmt.Fprintf(&b, "%-32s %6d %9s %9s %9s\n", name, len(times), share(times, 50), share(times, 99), share(times, 100))
	}
	return b.String()
}

// share is the time that a percentage of sorted times did not exceed.
func share(times []time.Duration, percent int) string {
	if len(times) == 0 {
		return "-"
	}
	at := times[max(0, (len(times)*percent+99)/100-1)]
	return fmt.Sprintf("%.1f ms", float64(at.Microseconds())/1000)
}
