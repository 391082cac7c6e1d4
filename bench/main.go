package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"patchbay/bench/reference"
	"patchbay/bench/spread"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures, or plays one of the references that a measurement starts.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		if play, ok := plays[args[0]]; ok {
			if len(args)-1 != play.args {
				return fmt.Errorf("%s takes %d arguments", args[0], play.args)
			}
			return play.do(ctx, args[1:])
		}
	}
	b, err := options(args)
	if err != nil {
		return err
	}
	return b.measure(ctx)
}

// plays are the references, each a process of its own.
var plays = map[string]struct {
	args int
	do   func(context.Context, []string) error
}{
	"sipgo":    {3, playSipgo},
	"broker":   {2, func(ctx context.Context, a []string) error { return reference.Broker(ctx, a[0], a[1]) }},
	"respond":  {1, func(ctx context.Context, a []string) error { return reference.Respond(ctx, a[0]) }},
	"forward":  {4, playForward},
	"connects": {2, playConnects},
}

// playSipgo takes address, status and hop: none, inside, or a NATS URL.
func playSipgo(ctx context.Context, a []string) (err error) {
	status, err := strconv.Atoi(a[1])
	if err != nil {
		return err
	}
	var hop reference.Hop
	switch {
	case a[2] == "inside":
		hop, err = reference.InProcess(ctx)
	case a[2] != "none":
		hop, err = reference.Over(a[2])
	}
	if err != nil {
		return err
	}
	return reference.Sipgo(ctx, a[0], status, hop)
}

// playForward takes the first port, how many calls, and both parties.
func playForward(ctx context.Context, a []string) error {
	first, err := strconv.ParseUint(a[0], 10, 16)
	calls, err1 := strconv.Atoi(a[1])
	left, err2 := netip.ParseAddrPort(a[2])
	right, err3 := netip.ParseAddrPort(a[3])
	if err := errors.Join(err, err1, err2, err3); err != nil {
		return err
	}
	return reference.Forward(ctx, uint16(first), calls, left, right)
}

// playConnects takes a rate and a time, and prints how long pairs took, ms.
func playConnects(ctx context.Context, a []string) error {
	rate, err := strconv.ParseFloat(a[0], 64)
	during, err1 := time.ParseDuration(a[1])
	if err := errors.Join(err, err1); err != nil {
		return err
	}
	took, err := reference.Connects(ctx, rate, during)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(pionTimes{P50: spread.Share(took, 50), P99: spread.Share(took, 99)})
}

// pionTimes are what two pion peers took to connect, ms.
type pionTimes struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

func options(args []string) (*bench, error) {
	b := &bench{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&b.binary, "patchbay", "bin/patchbay", "the binary to measure")
	f.StringVar(&b.signalling, "signalling", "bin/patchbay-signalling", "the binary built with -tags signalling")
	f.IntVar(&b.runs, "runs", 3, "runs of each target, interleaved; the median counts")
	f.DurationVar(&b.during, "for", defaultDuring, "length of each run")
	only := f.String("only", "", "names of the measurements to make, comma separated; empty: all")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if *only != "" {
		b.only = strings.Split(*only, ",")
	}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	for _, path := range []*string{&b.binary, &b.signalling} {
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
		if _, err := os.Stat(*path); err != nil {
			return nil, fmt.Errorf("%w: run `make bench`", err)
		}
	}
	return b, nil
}
