package media

import (
	"errors"
	"testing"
	"time"
)

func TestPortsAreEvenDistinctAndBounded(t *testing.T) {
	t.Parallel()
	p, err := newPool("20001-20010", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint16]bool{}
	for range 4 { // 20002 to 20008: 20010 has no odd neighbour in the range
		port, err := p.take(0)
		if err != nil || port%2 != 0 || port < 20002 || port > 20008 || seen[port] {
			t.Fatalf("port %d, %v, after %v", port, err, seen)
		}
		seen[port] = true
	}
	if _, err := p.take(0); !errors.Is(err, errNoPorts) {
		t.Errorf("a fifth: %v", err)
	}
}

func TestAPortRestsForItsQuarantine(t *testing.T) {
	t.Parallel()
	p, err := newPool("20000-20003", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := p.take(0)
	second, _ := p.take(0)
	p.giveBack(time.Second, first)
	p.giveBack(5*time.Second, second)
	if _, err := p.take(10 * time.Second); !errors.Is(err, errNoPorts) {
		t.Error("a port was used again too early")
	}
	if free, used, resting := p.counts(10 * time.Second); free != 0 || used != 0 || resting != 2 {
		t.Errorf("%d free, %d used, %d resting", free, used, resting)
	}
	if got, err := p.take(11 * time.Second); err != nil || got != first {
		t.Errorf("%d %v, want %d", got, err, first)
	}
	if got, err := p.take(15 * time.Second); err != nil || got != second {
		t.Errorf("%d %v, want %d", got, err, second)
	}
}

func TestPortsAreHandedOutInNoOrder(t *testing.T) {
	t.Parallel()
	p, err := newPool("20000-29999", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	rising, last := 0, uint16(0)
	for range 100 {
		port, _ := p.take(0)
		if port > last {
			rising++
		}
		last = port
	}
	if rising > 80 || rising < 20 {
		t.Errorf("%d of 100 ports are higher than the one before", rising)
	}
}

func TestTheWheelStandsStillWithoutCalls(t *testing.T) {
	t.Parallel()
	visited := make(chan *bridge, 1000)
	w := wheel{visit: func(b *bridge) { visited <- b }}
	var bs [10]bridge
	for round := range 2 {
		for i := range bs {
			w.add(&bs[i])
		}
		seen := map[*bridge]bool{}
		for len(seen) < len(bs) {
			seen[<-visited] = true
		}
		for i := range bs {
			w.remove(&bs[(i*7)%len(bs)])
		}
		w.done.Wait()
		if w.running || w.count != 0 {
			t.Errorf("round %d: running %v with %d", round, w.running, w.count)
		}
		for len(visited) > 0 {
			<-visited
		}
	}
}
