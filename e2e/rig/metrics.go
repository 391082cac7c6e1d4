package rig

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Names of metrics that tests look at.
const (
	CallsLive  = "patchbay_calls_live"
	PortsInUse = "patchbay_rtp_ports_in_use"
	Goroutines = "go_goroutines"
	Decisions  = "patchbay_decisions_total"
	Panics     = "patchbay_panics_total"
)

// Metrics is what /metrics says.
func (n *Node) Metrics() string {
	n.t.Helper()
	status, body, err := n.Get("/metrics")
	if err != nil || status != http.StatusOK {
		n.t.Fatalf("/metrics: %d %v", status, err)
	}
	return body
}

// Metric is the sum of a metric's samples that have all of the labels, each
// written as name="value"; 0 where there is none.
func (n *Node) Metric(name string, labels ...string) float64 {
	n.t.Helper()
	sum, _ := n.sample(name, labels)
	return sum
}

// sample sums up samples and reports whether there was one.
func (n *Node) sample(name string, labels []string) (sum float64, found bool) {
	n.t.Helper()
	lines := bufio.NewScanner(strings.NewReader(n.Metrics()))
	for lines.Scan() {
		series, value, ok := strings.Cut(lines.Text(), " ")
		base, set, _ := strings.Cut(series, "{")
		if !ok || base != name || !hasAll(set, labels) {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			n.t.Fatalf("metric %s: %v", series, err)
		}
		sum, found = sum+v, true
	}
	return sum, found
}

func hasAll(set string, labels []string) bool {
	for _, l := range labels {
		if !strings.Contains(set, l) {
			return false
		}
	}
	return true
}

// Idle waits until the node has no live call and no RTP port in use.
func (n *Node) Idle(t testing.TB, limit time.Duration) {
	t.Helper()
	for _, name := range []string{CallsLive, PortsInUse} {
		if _, found := n.sample(name, nil); !found {
			t.Fatalf("the node has no metric %s", name)
		}
	}
	Until(t, limit, func() (string, bool) {
		calls, ports := n.Metric(CallsLive), n.Metric(PortsInUse)
		return fmt.Sprintf("idle: %v calls are live, %v RTP ports in use", calls, ports), calls == 0 && ports == 0
	})
}

// Counters is the text of /metrics without what changes by itself: the
// runtime's own figures.
func (n *Node) Counters() string {
	n.t.Helper()
	var b strings.Builder
	for line := range strings.Lines(n.Metrics()) {
		if strings.HasPrefix(line, "patchbay_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Typical is the median of what get returns over a while: a number that
// flickers, such as that of goroutines, says little by one sample.
func Typical(over time.Duration, get func() float64) float64 {
	var all []float64
	for end := time.Now().Add(over); len(all) == 0 || time.Now().Before(end); time.Sleep(pollEvery) {
		all = append(all, get())
	}
	slices.Sort(all)
	return all[len(all)/2]
}
