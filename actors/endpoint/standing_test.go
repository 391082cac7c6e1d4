package endpoint_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/endpoint"
)

func TestBoundsFollowTheCapPolicyWhereNobodyOwnsTheEndpoint(t *testing.T) {
	t.Parallel()
	three := func(rank int) endpoint.Standing { return endpoint.Standing{Deciders: 3, Rank: rank} }
	for name, c := range map[string]struct {
		policy      endpoint.CapPolicy
		calls, rate *int
		as          endpoint.Standing
		want        endpoint.Bounds
	}{
		"the owner has the limits as they are": {calls: ptr(10), rate: ptr(5), want: endpoint.Bounds{Calls: 10, PerSecond: 5, Recent: -1}},
		"the owner does not ask the policy":    {policy: endpoint.CapStrict, calls: ptr(10), want: endpoint.Bounds{Calls: 10, PerSecond: -1, Recent: -1}},
		"without limits nobody needs an owner": {policy: endpoint.CapStrict, as: three(0), want: endpoint.Bounds{Calls: -1, PerSecond: -1, Recent: -1}},
		"strict refuses":                       {policy: endpoint.CapStrict, rate: ptr(5), as: three(0), want: endpoint.Bounds{Refuse: true, Calls: -1, PerSecond: 5, Recent: -1}},
		"open has none":                        {policy: endpoint.CapOpen, calls: ptr(10), rate: ptr(5), as: three(0), want: endpoint.Bounds{Calls: -1, PerSecond: -1, Recent: -1}},
		"share is the default":                 {calls: ptr(100), as: three(2), want: endpoint.Bounds{Calls: 100, PerSecond: -1, Recent: 4, Others: 8}},
		"one at least":                         {policy: endpoint.CapShare, calls: ptr(5), as: three(2), want: endpoint.Bounds{Calls: 5, PerSecond: -1, Recent: 1, Others: 2}},
		"fewer places than deciders":           {calls: ptr(2), as: three(1), want: endpoint.Bounds{Calls: 2, PerSecond: -1, Recent: 1, Others: 1}},
		"and none for the last":                {calls: ptr(2), as: three(2), want: endpoint.Bounds{Calls: 2, PerSecond: -1, Recent: 0, Others: 2}},
		"a rate is divided":                    {rate: ptr(5), as: three(1), want: endpoint.Bounds{Calls: -1, PerSecond: 2, Recent: -1}},
		"its rest goes to the first":           {rate: ptr(5), as: three(2), want: endpoint.Bounds{Calls: -1, PerSecond: 1, Recent: -1}},
		"a decider alone has all":              {calls: ptr(7), rate: ptr(5), as: endpoint.Standing{Deciders: 1}, want: endpoint.Bounds{Calls: 7, PerSecond: 5, Recent: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			ep := openEndpoint()
			ep.CapPolicy, ep.MaxConcurrentCalls, ep.MaxCallsPerSecond = c.policy, c.calls, c.rate
			if got := ep.Bounds(c.as); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestStrictLimitsWithoutAnOwnerAre480AndNothingElseIs(t *testing.T) {
	t.Parallel()
	ep := openEndpoint()
	ep.CapPolicy, ep.MaxConcurrentCalls = endpoint.CapStrict, ptr(5)
	nobody := endpoint.Usage{Standing: endpoint.Standing{Deciders: 2}}
	want := endpoint.Verdict{Status: 480, Reason: endpoint.ReasonNoOwner, Rule: endpoint.RuleOwner}
	if got := endpoint.Decide(ep, endpoint.Account{}, nobody, invite); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	ep.MaxConcurrentCalls = nil
	if got := endpoint.Decide(ep, endpoint.Account{}, nobody, invite); got.Action != endpoint.Accept {
		t.Errorf("without a limit: %+v", got)
	}
}

// TestWhatDecidersShareNeverExceedsTheCap lets deciders admit as fast as they
// may, each hearing of the others' calls at any time within a second.
func TestWhatDecidersShareNeverExceedsTheCap(t *testing.T) {
	t.Parallel()
	type admitted struct {
		by    int
		at    time.Time
		heard []time.Time // by each decider
		ended bool
	}
	rapid.Check(t, func(rt *rapid.T) {
		most, deciders := rapid.IntRange(1, 120).Draw(rt, "cap"), rapid.IntRange(1, 5).Draw(rt, "deciders")
		ep := openEndpoint()
		ep.MaxConcurrentCalls = &most
		now := time.Unix(1_700_000_000, 0)
		var calls []*admitted
		use := func(d int) (u endpoint.Usage) {
			u.Now, u.Standing = now, endpoint.Standing{Deciders: deciders, Rank: d}
			for _, c := range calls {
				heard := !now.Before(c.heard[d])
				if !c.ended && (heard || c.by == d) {
					u.Calls++
				}
				if c.by == d && now.Sub(c.at) < time.Second {
					u.Recent++
				}
			}
			return u
		}
		most = *ep.MaxConcurrentCalls
		delay := rapid.Custom(func(rt *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(0, 1000).Draw(rt, "ms")) * time.Millisecond
		})
		live, total := 0, 0
		for range rapid.IntRange(1, 200).Draw(rt, "INVITEs") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(rt, "pause, ms")) * time.Millisecond)
			d := rapid.IntRange(0, deciders-1).Draw(rt, "decider")
			if v := endpoint.Decide(ep, endpoint.Account{}, use(d), invite); v.Action != endpoint.Accept {
				continue
			}
			c := &admitted{by: d, at: now, heard: make([]time.Time, deciders)}
			for i := range c.heard {
				c.heard[i] = now.Add(delay.Draw(rt, "heard after"))
			}
			calls = append(calls, c)
			live, total = live+1, total+1
			if live > most {
				rt.Fatalf("%d calls by %d deciders, the cap is %d", live, deciders, most)
			}
			if rapid.IntRange(0, 9).Draw(rt, "hangs up") == 0 {
				c.ended = true
				live--
			}
		}
		if total == 0 && deciders <= most {
			now = now.Add(time.Minute)
			if v := endpoint.Decide(ep, endpoint.Account{}, use(0), invite); v.Action != endpoint.Accept {
				rt.Fatalf("an idle endpoint refuses: %+v", v)
			}
		}
	})
}
