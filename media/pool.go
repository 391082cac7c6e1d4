package media

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"patchbay/config"
)

// A pool hands out even UDP ports at random, each with the odd one above it.
// A port that comes back rests before it is used again, so that late packets
// of one call never reach the next.
type pool struct {
	rest time.Duration

	mu      sync.Mutex
	free    []uint16
	resting []restingPort // in the order they end
	used    int
}

type restingPort struct {
	port  uint16
	until time.Duration
}

// newPool reads a range such as "20000-29999", inclusive.
func newPool(ports string, rest time.Duration) (*pool, error) {
	r, err := config.ParsePorts(ports)
	if err != nil {
		return nil, fmt.Errorf("media.rtp_ports: %w", err)
	}
	p := &pool{rest: rest}
	for port := uint32(r.First) + uint32(r.First)%2; port+1 <= uint32(r.Last); port += 2 {
		p.free = append(p.free, uint16(port))
	}
	if len(p.free) == 0 {
		return nil, fmt.Errorf("media.rtp_ports %q: holds no even port with its odd neighbour", ports)
	}
	return p, nil
}

// take returns a free port, or errNoPorts.
func (p *pool) take(now time.Duration) (uint16, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake(now)
	if len(p.free) == 0 {
		return 0, errNoPorts
	}
	i, last := rand.IntN(len(p.free)), len(p.free)-1
	port := p.free[i]
	p.free[i] = p.free[last]
	p.free = p.free[:last]
	p.used++
	return port, nil
}

// giveBack lets a port rest.
func (p *pool) giveBack(now time.Duration, port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	p.wake(now)
	p.resting = append(p.resting, restingPort{port, now + p.rest})
}

// wake frees the ports that have rested.
func (p *pool) wake(now time.Duration) {
	n := 0
	for n < len(p.resting) && p.resting[n].until <= now {
		p.free = append(p.free, p.resting[n].port)
		n++
	}
	p.resting = append(p.resting[:0], p.resting[n:]...)
}

// counts are the ports in each state.
func (p *pool) counts(now time.Duration) (free, used, resting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake(now)
	return len(p.free), p.used, len(p.resting)
}
