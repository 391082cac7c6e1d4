package edge

import (
	"testing"
	"time"

	"patchbay/config"
)

func TestAPeersTimeCountsByMessageNotByRead(t *testing.T) {
	t.Parallel()
	cfg := config.SIP{FirstMessage: 10 * time.Second, IdleTimeout: time.Minute}
	start := time.Unix(0, 0)
	type step struct {
		at             int // seconds
		whole, partial bool
		due            int
		waiting        bool
	}
	for name, tc := range map[string]struct {
		dialed bool
		steps  []step
	}{
		"pings do not buy time for the first message": {false, []step{{1, false, false, 10, true}, {9, false, true, 10, true}}},
		"the first message opens the idle time":       {false, []step{{1, false, true, 10, true}, {9, true, false, 69, false}}},
		"a drip buys no time later either": {false, []step{
			{1, true, false, 61, false}, {20, false, true, 30, true}, {21, false, true, 30, true}, {29, false, true, 30, true},
		}},
		"each message has its own time":  {false, []step{{1, true, true, 11, true}, {10, true, true, 20, true}, {11, true, false, 71, false}}},
		"a ping while idle keeps alive":  {false, []step{{1, true, false, 61, false}, {60, false, false, 120, false}}},
		"a peer we called may be silent": {true, []step{{0, false, false, 60, false}, {5, false, true, 15, true}}},
	} {
		w := newWatch(start, &cfg, tc.dialed)
		for i, s := range tc.steps {
			w.heard(start.Add(time.Duration(s.at)*time.Second), s.whole, s.partial)
			if due := int(w.due.Sub(start) / time.Second); due != s.due || w.waiting != s.waiting {
				t.Errorf("%s: step %d: due at %d, waiting %v", name, i, due, w.waiting)
			}
		}
	}
}
