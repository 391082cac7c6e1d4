package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"

	"patchbay/bench/process"
)

// What a node of a bench may carry.
const maxCalls = 20_000

// oneProcess is a node with every role.
func oneProcess(name string, signalling bool, user func(*bench, *running) error) target {
	return target{name: name, start: func(b *bench, dir string) (*running, error) {
		r := &running{user: strangersSlug}
		err := r.node(b.which(signalling), dir, "all", "--nats-listen="+natsAddress, "--media-max-calls="+strconv.Itoa(maxCalls))
		if err != nil {
			return r, err
		}
		return r, user(b, r)
	}}
}

// threeProcesses are an edge, a broker, and the rest.
func threeProcesses(name string, signalling bool, user func(*bench, *running) error) target {
	return target{name: name, start: func(b *bench, dir string) (*running, error) {
		r, binary := &running{user: strangersSlug}, b.which(signalling)
		url := "--nats-url=nats://" + natsAddress
		key := "--cluster-key-file=" + filepath.Join(dir, "broker", "cluster.key")
		for _, p := range [][]string{
			{"broker", "--roles=broker", "--nats-listen=" + natsAddress},
			{"rest", "--roles=actor,media,control", url, key, "--media-max-calls=" + strconv.Itoa(maxCalls)},
			{"edge", "--roles=edge", url, key},
		} {
			if err := r.node(binary, dir, p[0], p[1:]...); err != nil {
				return r, fmt.Errorf("%s: %w", p[0], err)
			}
		}
		return r, user(b, r)
	}, processes: []string{"broker", "actor and media", "edge"}}
}

// countedProcesses are an edge and the rest over a broker that counts.
func countedProcesses(name string) target {
	return target{name: name, start: func(b *bench, dir string) (*running, error) {
		r := &running{}
		if err := r.add(process.Target, b.self, "broker", natsAddress, filepath.Join(dir, "nats")); err != nil {
			return r, err
		}
		url, rest := "--nats-url=nats://"+natsAddress, filepath.Join(dir, "rest")
		if err := r.node(b.signalling, dir, "rest", "--roles=actor,media,control", url); err != nil {
			return r, err
		}
		if err := r.node(b.signalling, dir, "edge", "--roles=edge", url, "--cluster-key-file="+filepath.Join(rest, "cluster.key")); err != nil {
			return r, err
		}
		return r, b.provision(r)
	}}
}

func (b *bench) which(signalling bool) string {
	if signalling {
		return b.signalling
	}
	return b.binary
}

// stranger calls somebody who is not there.
func stranger(*bench, *running) error { return nil }

// known calls an endpoint whose agent is a worker.
func known(b *bench, r *running) error { return b.provision(r) }

// withAgent is known, and the worker runs: an echo on the other core.
func withAgent(b *bench, r *running) error {
	if err := b.provision(r); err != nil {
		return err
	}
	return r.add(process.Generator, b.binary, "echo-agent", "--nats=nats://"+natsAddress, "--agent="+agentID, "--max-calls="+strconv.Itoa(maxCalls))
}

// agentID is the agent of the bench.
const agentID = "00000000-0000-4000-8000-00000000bec4"

// provision makes the agent and its endpoint.
func (b *bench) provision(r *running) error {
	_, err := b.ctl("agent", "create", "--id="+agentID, "--name=bench", "--nats-workers")
	if err != nil {
		return err
	}
	out, err := b.ctl("endpoint", "create", "--agent="+agentID, "--name=bench", "--source=127.0.0.1/32")
	if err != nil {
		return err
	}
	var made struct {
		Slug string `json:"slug"`
	}
	if err := json.Unmarshal(out, &made); err != nil || made.Slug == "" {
		return fmt.Errorf("read the endpoint made: %w", err)
	}
	r.user = made.Slug
	return nil
}

func (b *bench) ctl(args ...string) ([]byte, error) {
	return process.Run(process.Generator, append([]string{b.binary, "ctl", "--json", "--nats=nats://" + natsAddress}, args...)...)
}
