package actors_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// TestATakeoverIsDecidedByThePolicyOfTheMoment asks about one endpoint with a
// warm and with a cold cache, before and after its owner has closed it.
func TestATakeoverIsDecidedByThePolicyOfTheMoment(t *testing.T) {
	t.Parallel()
	for name, storeOf := range map[string]func(*shelf) actors.Store{
		"warm": func(s *shelf) actors.Store { return warm{s} },
		"cold": func(s *shelf) actors.Store { return s },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newShelf()
				entry, err := endpoint.ParseIPEntry("203.0.113.9")
				if err != nil {
					t.Fatal(err)
				}
				address := s.put("desk-abc", func(ep *endpoint.Endpoint) {
					ep.IP = endpoint.IPPolicy{Mode: endpoint.IPList, Entries: []endpoint.IPEntry{entry}}
				})
				d := newDecider(t, actors.EndpointLimits{}, storeOf(s), newDesk(), newDesk())
				ask := func(source, tenant string) actors.Ruling {
					var got actors.Ruling
					d.Consult(actors.Question{V: 1, Call: 7, Tenant: tenant, Endpoint: address.Key(), Partition: address.Partition(), DecisionID: "d7",
						Takeover: &endpoint.Takeover{Source: netip.MustParseAddr(source)}}, func(r actors.Ruling) { got = r })
					synctest.Wait()
					return got
				}
				if r := ask("203.0.113.9", "acme"); !r.Admitted || r.Status != 0 {
					t.Errorf("in the list: %+v", r)
				}
				if r := ask("203.0.113.10", "acme"); r.Admitted || r.Status != 404 || r.Reason != endpoint.ReasonSourceNotAllowed {
					t.Errorf("not in the list: %+v", r)
				}
				if r := ask("203.0.113.9", "other"); r.Admitted || r.Status != 404 {
					t.Errorf("of another tenant: %+v", r)
				}
				s.put("desk-abc", func(ep *endpoint.Endpoint) { ep.IsActive = false })
				if r := ask("203.0.113.9", "acme"); r.Admitted || r.Status != 404 || r.Reason != endpoint.ReasonInactive {
					t.Errorf("switched off since: %+v", r)
				}
				s.read = func(context.Context, endpoint.Key) error { return errors.New("away") }
				if r := ask("203.0.113.9", "acme"); name == "cold" && (r.Admitted || r.Status != 503) {
					t.Errorf("nothing can be read: %+v", r)
				}
				d.mu.Lock()
				defer d.mu.Unlock()
				if n := len(d.takeovers); n != 5 || d.takeovers[1].Shown != 404 || d.takeovers[1].Verdict.Status != 403 || d.takeovers[1].Call != call.ID(7) {
					t.Errorf("%d decisions told: %+v", n, d.takeovers)
				}
			})
		})
	}
}
