package main

import (
	"context"
	"fmt"
	"time"

	"patchbay/bench/process"
	"patchbay/bench/sipload"
)

// Rates of the signalling measurements, calls/s: high enough that each wake-up
// of a process serves several packets, low enough that one core is not full.
const (
	refuseRate = 3000
	acceptRate = 1000
	tail       = 2 * time.Second
)

// outcomes are what a series measured, by the names of its targets.
type outcomes struct {
	cost, p99 map[string]figure
	shares    map[string][]figure // of the cost, by process
}

// series measures each target in turn, again and again, in fresh processes.
func series(ctx context.Context, b *bench, targets []target, rate float64, answer bool) (outcomes, error) {
	out := outcomes{map[string]figure{}, map[string]figure{}, map[string][]figure{}}
	for range b.runs {
		for _, t := range targets {
			res, cpu, err := b.offer(ctx, t, sipload.Options{Target: sipAddress, Rate: rate, For: b.during, Answer: answer, Tail: tail, RTPPort: loadA})
			if err != nil {
				return outcomes{}, err
			}
			sum, shares := 0.0, out.shares[t.name]
			for i, c := range cpu {
				us := float64(c) / float64(time.Microsecond) / float64(res.Offered)
				if sum += us; i == len(shares) {
					shares = append(shares, nil)
				}
				shares[i] = append(shares[i], us)
			}
			out.shares[t.name] = shares
			out.cost[t.name] = append(out.cost[t.name], sum)
			out.p99[t.name] = append(out.p99[t.name], res.P99)
		}
	}
	return out, nil
}

// offer starts a target, warms it, offers it calls, and returns the CPU time of
// each of its processes.
func (b *bench) offer(ctx context.Context, t target, o sipload.Options) (sipload.Result, []time.Duration, error) {
	r, end, err := b.launch(t)
	if err != nil {
		return sipload.Result{}, nil, err
	}
	defer end()
	o.User = r.user
	warm := o
	warm.Rate, warm.For = min(o.Rate, 200), time.Second
	if res, err := sipload.Run(ctx, warm); err != nil || !res.Good(o.Answer) {
		return res, nil, fmt.Errorf("%s: warm-up: %+v: %w", t.name, res, err)
	}
	var res sipload.Result
	cpu, err := spent(r.procs, func() (err error) { res, err = sipload.Run(ctx, o); return err })
	if err == nil && !mostly(res, o.Answer) {
		err = fmt.Errorf("%s: too many calls went wrong: %+v", t.name, res)
	}
	return res, cpu, err
}

// mostly tolerates the loss of one call in a thousand: the load repeats nothing.
func mostly(r sipload.Result, answer bool) bool {
	return r.AsMeant(answer)*1000 >= r.Offered*999
}

func (o outcomes) rows(work string, targets []target) []line {
	var out []line
	for _, t := range targets {
		l := line{work: work, who: t.name, cost: o.cost[t.name], unit: "us CPU/call", more: "p99 " + o.p99[t.name].String() + " ms"}
		for i, name := range t.processes {
			l.more += fmt.Sprintf(", %s %s us", name, short(o.shares[t.name][i].median()))
		}
		out = append(out, l)
	}
	return out
}

// refuse measures the CPU of turning a stranger away.
func refuse(ctx context.Context, b *bench) ([]line, error) {
	targets := []target{
		oneProcess("Patchbay, one process", false, stranger),
		sipgoTarget("bare sipgo", 404, "none"),
		sipgoTarget("sipgo and one NATS hop, one process", 404, "inside"),
		kamailioTarget("Kamailio, stateless", false),
		threeProcesses("Patchbay, three processes", false, stranger),
		sipgoTarget("sipgo and one NATS hop, three processes", 404, "three processes"),
	}
	o, err := series(ctx, b, targets, refuseRate, false)
	if err != nil {
		return nil, err
	}
	out := o.rows(fmt.Sprintf("refuse a stranger, %d/s", refuseRate), targets)
	out[0].bar, out[0].why = o.cost[targets[2].name].median(), "sipgo and one NATS hop"
	out[4].bar, out[4].why = o.cost[targets[5].name].median(), "sipgo and one NATS hop"
	return out, nil
}

// sipgoAccept is what bare sipgo took when the bar of 220 us was set.
const (
	acceptBar   = 220.0
	sipgoAccept = 121.0
)

// accept measures the CPU of signalling for answered calls.
func accept(ctx context.Context, b *bench) ([]line, error) {
	targets := []target{
		oneProcess("Patchbay, one process", true, known),
		threeProcesses("Patchbay, three processes", true, known),
		sipgoTarget("bare sipgo", 200, "none"),
		sipgoTarget("sipgo and one NATS hop, three processes", 200, "three processes"),
		kamailioTarget("Kamailio, relaying", true),
	}
	o, err := series(ctx, b, targets, acceptRate, true)
	if err != nil {
		return nil, err
	}
	out := o.rows(fmt.Sprintf("accept, signalling, %d/s", acceptRate), targets)
	bar := o.cost[targets[2].name].median() * acceptBar / sipgoAccept
	for i := range 2 {
		out[i].bar, out[i].why = bar, fmt.Sprintf("%.2f of bare sipgo", acceptBar/sipgoAccept)
	}
	return out, nil
}

// finishedBar is the first bar of a finished call's memory, KiB.
const (
	finishedBar  = 4.0
	finishedRate = 150
	finishedFor  = 20 * time.Second // within the 32 s that transactions are remembered
)

// finished measures what calls leave in memory while copies of their messages
// may still come (RFC 3261 section 17: 64*T1).
func finished(ctx context.Context, b *bench) ([]line, error) {
	targets := []target{oneProcess("Patchbay, one process", true, known), sipgoTarget("bare sipgo", 200, "none")}
	var out []line
	for _, t := range targets {
		kib, err := b.left(ctx, t)
		if err != nil {
			return nil, err
		}
		out = append(out, line{work: "memory of a finished call, within 32 s", who: t.name, cost: figure{kib}, unit: "KiB PSS"})
	}
	out[0].bar, out[0].why = finishedBar, "design section 9"
	return out, nil
}

func (b *bench) left(ctx context.Context, t target) (float64, error) {
	r, end, err := b.launch(t)
	if err != nil {
		return 0, err
	}
	defer end()
	o := sipload.Options{Target: sipAddress, User: r.user, Rate: finishedRate, For: time.Second, Answer: true, Tail: tail, RTPPort: loadA}
	if _, err := sipload.Run(ctx, o); err != nil {
		return 0, err
	}
	before := process.PSS(r.procs)
	o.For = finishedFor
	res, err := sipload.Run(ctx, o)
	if err != nil {
		return 0, err
	}
	if !mostly(res, true) {
		return 0, fmt.Errorf("%s: too many calls went wrong: %+v", t.name, res)
	}
	return float64(process.PSS(r.procs)-before) / 1024 / float64(res.Offered), nil
}
