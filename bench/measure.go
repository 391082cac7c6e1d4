package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"patchbay/bench/process"
)

// defaultDuring is the length of one run.
const defaultDuring = 5 * time.Second

// A bench is one run of the command.
type bench struct {
	self       string // this binary, for the references
	binary     string
	signalling string
	runs       int
	during     time.Duration
	only       []string
}

// measurements in the order of the table.
var measurements = []struct {
	name string
	what string
	do   func(context.Context, *bench) ([]line, error)
}{
	{"refuse", "INVITE of a stranger, 404, ACK", refuse},
	{"accept", "INVITE, 100, 180, 200, ACK, BYE, 200; no media", accept},
	{"setup", "INVITE to 200 with the agent's leg up", setup},
	{"bridge", "bridged G.711 calls", bridged},
	{"finished", "memory of finished calls", finished},
	{"messages", "NATS messages of a call", messages},
}

// measure makes the measurements and prints them, one table when all are done.
func (b *bench) measure(ctx context.Context) error {
	if cores() < 2 {
		return errors.New("the bench needs 2 cores: one for what is measured, one for its load")
	}
	var lines []line
	for i, m := range measurements {
		if len(b.only) > 0 && !slices.Contains(b.only, m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%d of %d: %s (%s)\n", i+1, len(measurements), m.what, m.name)
		more, err := m.do(ctx, b)
		if err != nil {
			return fmt.Errorf("measure %s: %w", m.name, err)
		}
		for _, l := range more {
			fmt.Fprintf(os.Stderr, "  %-52s %s %s %s %s\n", l.who, l.cost, l.unit, l.more, l.verdict())
		}
		lines = append(lines, more...)
	}
	fmt.Printf("%d cores, %s, %s\n\n%s", cores(), runtime.Version(), kernel(), table(lines))
	return nil
}

// cores is how many the machine has; this process is kept to one.
func cores() int {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\ncpu")
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown kernel"
	}
	return "Linux " + string(text[:max(len(text)-1, 0)])
}

// spent runs work and returns the CPU time that each process used meanwhile.
func spent(all []*process.Process, work func() error) ([]time.Duration, error) {
	cpu := func() (each []time.Duration) {
		for i := range all {
			each = append(each, process.CPU(all[i:i+1]))
		}
		return each
	}
	before := cpu()
	err := work()
	after := cpu()
	for i := range after {
		after[i] -= before[i]
	}
	return after, err
}
