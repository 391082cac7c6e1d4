package sipload

import (
	"slices"
	"time"

	"patchbay/bench/spread"
)

// A Result is what became of the calls.
type Result struct {
	Offered  int      `json:"offered"`
	Answered int      `json:"answered"` // by 2xx
	Refused  int      `json:"refused"`  // by 3xx to 6xx
	Lost     int      `json:"lost"`     // no final response
	Late     int      `json:"late"`     // a final response after 500 ms
	NoBye    int      `json:"no_bye"`   // answered, and their BYE was not
	Status   int      `json:"status"`   // of the first call
	Seconds  float64  `json:"seconds"`  // in which calls were offered
	P50      float64  `json:"p50_ms"`   // INVITE to final response, ms
	P99      float64  `json:"p99_ms"`
	Longest  float64  `json:"longest_ms"`
	Ports    []string `json:"ports,omitempty"` // of the answers' audio lines, where calls stay
}

// AsMeant is how many calls ended as they were to: answered and ended by BYE, or
// refused.
func (r Result) AsMeant(answer bool) int {
	if answer {
		return r.Answered - r.NoBye
	}
	return r.Refused
}

// Good reports that every call ended as it was to.
func (r Result) Good(answer bool) bool { return r.Offered > 0 && r.AsMeant(answer) == r.Offered }

func (l *load) result(offering time.Duration) Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := Result{Offered: len(l.calls), Seconds: offering.Seconds(), Status: l.calls[0].status}
	var took []time.Duration
	for _, c := range l.calls {
		switch {
		case c.answered == 0:
			r.Lost++
			continue
		case c.status >= 300:
			r.Refused++
		default:
			r.Answered++
			if c.ended == 0 && !l.o.Stay {
				r.NoBye++
			}
			if l.o.Stay {
				r.Ports = append(r.Ports, c.port)
			}
		}
		d := c.answered - c.offered
		if d > late {
			r.Late++
		}
		took = append(took, d)
	}
	slices.Sort(took)
	r.P50, r.P99, r.Longest = spread.Share(took, 50), spread.Share(took, 99), spread.Share(took, 100)
	return r
}
