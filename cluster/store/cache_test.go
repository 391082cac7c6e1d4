package store

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestALateReadNeverBringsBackWhatWasReplaced(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newCache(64)
		newest := map[string]uint64{} // heard of
		keys := rapid.SampledFrom([]string{"a", "b", "c"})
		rt.Repeat(map[string]func(*rapid.T){
			"heard": func(rt *rapid.T) {
				key, rev := keys.Draw(rt, "key"), rapid.Uint64Range(1, 50).Draw(rt, "rev")
				c.raise(key, rev)
				newest[key] = max(newest[key], rev)
			},
			"read": func(rt *rapid.T) {
				e := entry{key: keys.Draw(rt, "key"), rev: rapid.Uint64Range(0, 50).Draw(rt, "rev")}
				if rapid.Bool().Draw(rt, "there") {
					e.value = &e
				}
				c.put(e)
			},
			"": func(rt *rapid.T) {
				for key, rev := range newest {
					if e, ok := c.get(key); ok && e.rev < rev {
						rt.Fatalf("%s at %d is remembered, %d is known", key, e.rev, rev)
					}
					if got := c.floor(key); got != rev {
						rt.Fatalf("%s: floor %d, want %d", key, got, rev)
					}
				}
			},
		})
	})
}

func TestStrangersCannotPushOutEndpointsInUse(t *testing.T) {
	t.Parallel()
	c := newCache(1600)
	const used = 800
	for i := range used {
		c.put(entry{key: fmt.Sprint("used ", i), rev: 1, value: &i})
	}
	for i := range 100_000 {
		c.put(entry{key: fmt.Sprint("stranger ", i)})
	}
	for i := range used {
		if _, ok := c.get(fmt.Sprint("used ", i)); !ok {
			t.Fatalf("endpoint %d of %d was pushed out", i, used)
		}
	}
	n := 0
	for i := range c.shards {
		n += len(c.shards[i].present.items) + len(c.shards[i].missing.items)
	}
	if n > 1600+1600/missingShare {
		t.Errorf("%d entries are kept, want at most 1600 and an eighth", n)
	}
}

func TestTheLeastRecentlyUsedIsForgottenFirst(t *testing.T) {
	t.Parallel()
	l := newLRU(2)
	for _, key := range []string{"a", "b"} {
		l.put(entry{key: key})
	}
	l.get("a")
	l.put(entry{key: "c"})
	for key, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if _, ok := l.get(key); ok != want {
			t.Errorf("%s is there: %v", key, ok)
		}
	}
}

func TestAFeedIsAsFreshAsTheLeaderItHasCaughtUpWith(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	var f feed
	if f.following() || f.age(at(0)) < time.Hour {
		t.Error("a feed that has not begun is fresh")
	}
	f.begin(at(0), 10)
	if got := f.age(at(1)); got != time.Second {
		t.Errorf("age %v, want 1s", got)
	}
	f.lead(at(5), 12) // two changes are on their way
	f.follow(11)
	if got := f.age(at(6)); got != 6*time.Second {
		t.Errorf("age %v while one change is missing, want 6s", got)
	}
	f.follow(12)
	if got := f.age(at(6)); got != time.Second {
		t.Errorf("age %v, want 1s", got)
	}
}

func TestAnEntryIsInDoubtSinceTheFeedFellSilent(t *testing.T) {
	t.Parallel()
	start := time.Now()
	s := &Store{}
	s.feed.begin(start, 1)
	e := entry{checked: start.Add(-time.Hour)} // read long ago, and current ever since
	if got := s.doubt(start.Add(time.Minute), &e); got != time.Minute {
		t.Errorf("in doubt for %v, want a minute", got)
	}
	e.checked = start.Add(50 * time.Second)
	if got := s.doubt(start.Add(time.Minute), &e); got != 10*time.Second {
		t.Errorf("in doubt for %v, want 10 s", got)
	}
}
