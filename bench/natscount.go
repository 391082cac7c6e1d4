package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"patchbay/bench/sipload"
)

const (
	countRate = 100.0
	idleFor   = 5 * time.Second
)

// messages counts what an answered call costs in NATS messages: what a broker
// took in from an edge and from the rest of a node during calls, less what it
// takes in without any.
func messages(ctx context.Context, b *bench) ([]line, error) {
	t := countedProcesses("Patchbay, edge and the rest")
	r, end, err := b.launch(t)
	if err != nil {
		return nil, err
	}
	defer end()
	o := sipload.Options{Target: sipAddress, User: r.user, Rate: countRate, For: b.during, Answer: true, Hold: 100 * time.Millisecond, Tail: tail, RTPPort: loadA}
	if _, err := sipload.Run(ctx, o); err != nil {
		return nil, err
	}
	time.Sleep(tail) // records are written behind
	idle, _, err := counted(func() error { time.Sleep(idleFor); return nil })
	if err != nil {
		return nil, err
	}
	var res sipload.Result
	began := time.Now()
	_, during, err := counted(func() (err error) {
		res, err = sipload.Run(ctx, o)
		time.Sleep(tail)
		return err
	})
	if err != nil {
		return nil, err
	}
	own := float64(during) - idle*time.Since(began).Seconds()
	return []line{{work: "NATS messages of an answered call", who: t.name, cost: figure{own / float64(res.Offered)}, unit: "messages",
		more: fmt.Sprintf("%.1f a second without calls", idle)}}, nil
}

// counted runs work and returns how many messages the broker took in, a second
// and in all.
func counted(work func() error) (rate float64, all int64, err error) {
	began := time.Now()
	before, err := taken()
	if err != nil {
		return 0, 0, err
	}
	if err := work(); err != nil {
		return 0, 0, err
	}
	after, err := taken()
	return float64(after-before) / time.Since(began).Seconds(), after - before, err
}

func taken() (int64, error) {
	res, err := http.Get(countsURL)
	if err != nil {
		return 0, fmt.Errorf("ask the broker what it counted: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	var counts struct {
		InMsgs int64 `json:"in_msgs"`
	}
	return counts.InMsgs, json.NewDecoder(res.Body).Decode(&counts)
}
