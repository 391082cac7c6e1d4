package cluster_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"patchbay/e2e/rig"
)

// soak is how long a soak test runs: SOAK, by make soak.
func soak(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SOAK")
	if text == "" {
		t.Skip("a soak test: make soak runs it")
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SOAK: %v", err)
	}
	return d
}

// TestSoakSpray sprays calls over three edges for as long as make soak says,
// and shows what the processes need before and after.
func TestSoakSpray(t *testing.T) {
	lasts := soak(t)
	b := newBed(t, rig.Plan{})
	var warm []*rig.Traffic
	for _, transport := range rig.Transports { // what is needed once is there afterwards
		warm = append(warm, b.Carrier(t, transport).Place(sprayRate, 100, b.sprayed))
	}
	for _, w := range warm {
		none(t, w.Wait())
	}
	b.idle(t)
	before := b.needs()
	var runs []*rig.Traffic
	for _, transport := range rig.Transports {
		runs = append(runs, b.Carrier(t, transport).Place(sprayRate, int(lasts.Seconds()*sprayRate), b.sprayed))
	}
	var all rig.Tally
	for i, run := range runs {
		tally := run.Wait()
		t.Logf("over %s: %v", rig.Transports[i], tally)
		all = append(all, tally...)
	}
	none(t, all)
	b.once(t, all)
	pause(t, 40*time.Second) // past 64*T1: what is kept for repetitions is gone
	t.Logf("before: %s\nafter:  %s", before, b.needs())
}

// needs is what the processes of each role need together.
func (b *bed) needs() string {
	var s strings.Builder
	for _, role := range []struct {
		name  string
		nodes []*rig.Node
	}{{"brokers", b.Brokers}, {"edges", b.Edges}, {"actors", b.Actors}, {"media", b.Medias}, {"control", []*rig.Node{b.Control}}} {
		fmt.Fprintf(&s, "%s %.0f MiB %.0f goroutines; ", role.name,
			rig.Sum(role.nodes, "process_resident_memory_bytes")/(1<<20), rig.Sum(role.nodes, rig.Goroutines))
	}
	return s.String()
}

// TestSoakFaults does one thing after another to a cluster under 10 calls a
// second, for as long as make soak says. None of them may cost a call; the
// death of a media node, which does, is in TestCarryingNodesDie.
func TestSoakFaults(t *testing.T) {
	lasts := soak(t)
	b := newBed(t, rig.Plan{})
	stop := b.traffic(t, 10, 2*time.Second)
	end := time.Now().Add(lasts)
	done := map[string]int{}
	for i := 0; time.Now().Before(end); i++ {
		f := faults[i%len(faults)]
		n := f.of(b)[i/len(faults)%len(f.of(b))]
		f.do(t, n)
		done[f.name]++
		b.replicated(t)
		pause(t, 5*time.Second)
	}
	all := stop()
	t.Logf("%v; longest gap in the audio %v", done, gap(all).Round(time.Millisecond))
	none(t, all)
	b.once(t, all)
}

// faults are what TestSoakFaults does, in this order, to each node in turn.
var faults = []struct {
	name string
	of   func(*bed) []*rig.Node
	do   func(*testing.T, *rig.Node)
}{
	{"edge killed", func(b *bed) []*rig.Node { return b.Edges }, killed},
	{"broker killed", func(b *bed) []*rig.Node { return b.Brokers }, killed},
	{"actor node killed", func(b *bed) []*rig.Node { return b.Actors }, killed},
	{"media node replaced", func(b *bed) []*rig.Node { return b.Medias }, replaced},
	{"broker paused for 5 s", func(b *bed) []*rig.Node { return b.Brokers }, paused},
	{"edge replaced", func(b *bed) []*rig.Node { return b.Edges }, replaced},
	{"control node killed", func(b *bed) []*rig.Node { return []*rig.Node{b.Control} }, killed},
	{"actor node paused for 5 s", func(b *bed) []*rig.Node { return b.Actors }, paused},
	{"broker replaced", func(b *bed) []*rig.Node { return b.Brokers }, replaced},
}

func killed(t *testing.T, n *rig.Node) {
	n.Kill()
	pause(t, 3*time.Second)
	n.Run()
}

func paused(t *testing.T, n *rig.Node) {
	n.Signal(syscall.SIGSTOP)
	pause(t, 5*time.Second)
	n.Signal(syscall.SIGCONT)
	healed(t, n)
}

func replaced(t *testing.T, n *rig.Node) {
	n.Signal(syscall.SIGTERM)
	if code, ended := n.Ended(settle); !ended || code != 0 {
		t.Fatalf("%s ended: %v, exit code %d, want 0", n.Name, ended, code)
	}
	n.Run()
}
