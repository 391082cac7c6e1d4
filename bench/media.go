package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"patchbay/bench/peers"
	"patchbay/bench/process"
	"patchbay/bench/rtpload"
	"patchbay/bench/sipload"
)

// The media measurements.
const (
	bridgedCalls = 100
	bridgeRate   = 20 // calls/s that are set up
	bridgeWarm   = 3 * time.Second
	bridgeBar    = 430.0 // calls a core
	memoryBar    = 200.0 // KiB a call
	setupRate    = 50.0
	setupHold    = 300 * time.Millisecond
	setupP50Bar  = 20.0 // ms
	setupP99Bar  = 50.0
)

// A bridgeRun is what one run cost.
type bridgeRun struct {
	perCall time.Duration // CPU of a second of a call
	kib     float64       // of a call
	res     rtpload.Result
}

func (r bridgeRun) perCore() float64 { return float64(time.Second) / float64(max(r.perCall, 1)) }

// bridged measures CPU and memory of calls that are up: Patchbay from RTP to
// DTLS-SRTP, rtpengine from RTP to SRTP, the forwarder without encryption.
func bridged(ctx context.Context, b *bench) ([]line, error) {
	ways := []struct {
		who string
		run func(context.Context) (bridgeRun, error)
	}{
		{"Patchbay, RTP to DTLS-SRTP", b.bridgePatchbay},
		{"rtpengine in user space, RTP to SRTP", b.bridgeRTPEngine},
		{"plain Go forwarder, RTP to RTP", b.bridgeForward},
	}
	cores, kib, more := map[string]figure{}, map[string]figure{}, map[string]string{}
	for range b.runs {
		for _, w := range ways {
			r, err := w.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.who, err)
			}
			cores[w.who], kib[w.who] = append(cores[w.who], r.perCore()), append(kib[w.who], r.kib)
			more[w.who] = fmt.Sprintf("%.1f us/packet, %.2f %% lost", float64(r.perCall)/float64(time.Microsecond)/100, r.res.Lost())
		}
	}
	var out []line
	for _, w := range ways {
		out = append(out, line{work: fmt.Sprintf("%d bridged calls", bridgedCalls), who: w.who, cost: cores[w.who], unit: "calls/core", more: more[w.who]})
	}
	out[0].bar, out[0].why, out[0].least = bridgeBar, "design section 9", true
	for _, w := range ways[:2] {
		out = append(out, line{work: "memory of a bridged call", who: w.who, cost: kib[w.who], unit: "KiB PSS"})
	}
	out[3].bar, out[3].why = memoryBar, "design section 9"
	return out, nil
}

// load sends RTP and reads what the processes use meanwhile.
func load(ctx context.Context, b *bench, procs []*process.Process, empty int64, o rtpload.Options) (bridgeRun, error) {
	var began time.Time
	var before, after time.Duration
	var took time.Duration
	o.Local, o.Warm, o.For = [2]uint16{loadA, loadB}, bridgeWarm, b.during
	o.Measure = func() { began, before = time.Now(), process.CPU(procs) }
	o.Done = func() { took, after = time.Since(began), process.CPU(procs) }
	res, err := rtpload.Run(ctx, o)
	if err != nil {
		return bridgeRun{}, err
	}
	if res.Lost() > 1 {
		return bridgeRun{}, fmt.Errorf("%.1f %% of %d packets were lost", res.Lost(), res.Sent)
	}
	calls := len(o.A)
	per := time.Duration(float64(after-before) / took.Seconds() / float64(calls))
	return bridgeRun{perCall: per, kib: float64(process.PSS(procs)-empty) / 1024 / float64(calls), res: res}, nil
}

func (b *bench) bridgePatchbay(ctx context.Context) (bridgeRun, error) {
	r, end, err := b.launch(oneProcess("Patchbay", false, withAgent))
	if err != nil {
		return bridgeRun{}, err
	}
	defer end()
	o := sipload.Options{Target: sipAddress, User: r.user, Rate: bridgeRate, For: time.Second, Answer: true, Tail: 10 * time.Second, RTPPort: loadA}
	if _, err := sipload.Run(ctx, o); err != nil { // a first second warms it
		return bridgeRun{}, err
	}
	empty := process.PSS(r.procs)
	o.For, o.Stay = bridgedCalls/bridgeRate*time.Second, true
	res, err := sipload.Run(ctx, o)
	if err != nil || len(res.Ports) != bridgedCalls {
		return bridgeRun{}, fmt.Errorf("set up %d calls: %+v: %w", bridgedCalls, res, err)
	}
	var way rtpload.Way
	for _, text := range res.Ports {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return bridgeRun{}, fmt.Errorf("read a port: %w", err)
		}
		way = append(way, loopback(uint16(port)))
	}
	return load(ctx, b, r.procs, empty, rtpload.Options{A: way})
}

func (b *bench) bridgeRTPEngine(ctx context.Context) (bridgeRun, error) {
	p, err := peers.RTPEngine(ngAddress)
	if err != nil {
		return bridgeRun{}, err
	}
	defer p.Stop()
	time.Sleep(2 * settle)
	procs := []*process.Process{p}
	empty := process.PSS(procs)
	calls, err := peers.Bridge(ngAddress, bridgedCalls, loadA, loadB)
	if err != nil {
		return bridgeRun{}, err
	}
	return load(ctx, b, procs, empty, rtpload.Options{A: calls.A, B: calls.B, Secure: calls})
}

func (b *bench) bridgeForward(ctx context.Context) (bridgeRun, error) {
	p, err := process.Start(process.Target, b.self, "forward", fmt.Sprint(relayFirst), fmt.Sprint(bridgedCalls),
		loopback(loadA).String(), loopback(loadB).String())
	if err != nil {
		return bridgeRun{}, err
	}
	defer p.Stop()
	time.Sleep(settle)
	var o rtpload.Options
	for i := range uint16(bridgedCalls) {
		o.A, o.B = append(o.A, loopback(relayFirst+2*i)), append(o.B, loopback(relayFirst+2*i+1))
	}
	return load(ctx, b, []*process.Process{p}, process.PSS([]*process.Process{p}), o)
}

func loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

// setup measures how long callers wait for an answer, beside what a pion pair
// takes to connect.
func setup(ctx context.Context, b *bench) ([]line, error) {
	var p50, p99 figure
	t := oneProcess("Patchbay, one process, agent on the other core", false, withAgent)
	for range b.runs {
		res, _, err := b.offer(ctx, t, sipload.Options{Target: sipAddress, Rate: setupRate, For: b.during, Answer: true, Hold: setupHold, Tail: 10 * time.Second, RTPPort: loadA})
		if err != nil {
			return nil, err
		}
		p50, p99 = append(p50, res.P50), append(p99, res.P99)
	}
	out, err := process.Run(process.Both, b.self, "connects", fmt.Sprint(setupRate), b.during.String())
	if err != nil {
		return nil, err
	}
	var pion pionTimes
	if err := json.Unmarshal(out, &pion); err != nil {
		return nil, fmt.Errorf("read pion's times: %w", err)
	}
	work := fmt.Sprintf("INVITE to 200 with the agent's leg, %.0f/s", setupRate)
	return []line{
		{work: work + ", p50", who: t.name, cost: p50, unit: "ms", bar: setupP50Bar, why: "design section 9"},
		{work: work + ", p99", who: t.name, cost: p99, unit: "ms", bar: setupP99Bar, why: "design section 9"},
		{work: work, who: "two pion peers alone, both cores", cost: figure{pion.P50}, unit: "ms p50", more: fmt.Sprintf("p99 %.1f ms", pion.P99)},
	}, nil
}
