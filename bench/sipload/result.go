package sipload

import (
	"slices"
	"time"
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

// Good reports that every call ended as it was to.
func (r Result) Good(answer bool) bool {
	want := r.Refused
	if answer {
		want = r.Answered - r.NoBye
	}
	return r.Offered > 0 && want == r.Offered
}

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
	r.P50, r.P99, r.Longest = share(took, 50), share(took, 99), share(took, 100)
	return r
}

// share is the smallest time that so many percent do not exceed, in ms.
func share(sorted []time.Duration, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := (len(sorted)*percent+99)/100 - 1
	return float64(sorted[max(i, 0)]) / float64(time.Millisecond)
}
