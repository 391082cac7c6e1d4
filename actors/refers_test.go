package actors_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// trunked is a shelf with a trunk.
type trunked struct {
	*shelf
	trunk *endpoint.Trunk
}

func (s trunked) TrunkByID(_ context.Context, tenant, id string) (endpoint.Trunk, error) {
	if s.trunk == nil || s.trunk.Tenant != tenant || s.trunk.ID != id {
		return endpoint.Trunk{}, fmt.Errorf("get %s: %w", id, endpoint.ErrNotFound)
	}
	return *s.trunk, nil
}

// TestWhomACarrierMayHaveUsCallIsAskedThen asks about REFERs as the policy, and
// the trunk that it names, come and go.
func TestWhomACarrierMayHaveUsCallIsAskedThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := trunked{newShelf(), nil}
		store := &s
		var policy *endpoint.ReferPolicy
		put := func(p *endpoint.ReferPolicy) endpoint.Address {
			policy = p
			return store.put("desk-abc", func(ep *endpoint.Endpoint) { ep.AcceptRefer = policy })
		}
		address := put(nil)
		d := newDecider(t, actors.EndpointLimits{}, store, newDesk(), newDesk())
		ask := func(user, host string) actors.Ruling {
			var got actors.Ruling
			d.Consult(actors.Question{V: 1, Call: 7, Tenant: "acme", Endpoint: address.Key(), Partition: address.Partition(),
				Referral: &endpoint.Referral{URI: "sip:" + user + "@" + host, User: user, Host: host, Peer: netip.MustParseAddr("203.0.113.9")}},
				func(r actors.Ruling) { got = r })
			synctest.Wait()
			return got
		}
		if r := ask("bob", "203.0.113.9"); r.Admitted || r.Status != 603 || r.Reason != endpoint.ReasonReferPolicy {
			t.Errorf("without a policy: %+v", r)
		}
		put(&endpoint.ReferPolicy{})
		if r := ask("bob", "203.0.113.9"); !r.Admitted || r.Dial == nil || r.Dial.To != "sip:bob@203.0.113.9" || len(r.Dial.Hops) != 0 {
			t.Errorf("at the carrier's own address: %+v, %+v", r, r.Dial)
		}
		if r := ask("bob", "premium.example"); r.Admitted || r.Reason != endpoint.ReasonReferTarget {
			t.Errorf("elsewhere: %+v", r)
		}
		put(&endpoint.ReferPolicy{Trunk: "t1", Targets: []string{"+1555*"}})
		if r := ask("+15550100", "pbx.local"); r.Admitted || r.Reason != endpoint.ReasonReferTrunk {
			t.Errorf("without its trunk: %+v", r)
		}
		store.trunk = &endpoint.Trunk{ID: "t1", Tenant: "acme", IsActive: true, Username: "acme-7", PasswordEnc: "sealed", Domain: "carrier.example.net",
			From: endpoint.FromPolicy{Default: "+15550000"}, Addresses: []endpoint.TrunkAddress{{Host: "sbc1.example.net", Transport: "tcp"}, {Host: "sbc2.example.net"}}}
		r := ask("+15550100", "pbx.local")
		if !r.Admitted || r.Dial == nil {
			t.Fatalf("through its trunk: %+v", r)
		}
		want := []string{"sip:+15550100@sbc1.example.net;transport=tcp", "sip:+15550100@sbc2.example.net"}
		if d := r.Dial; d.To != "sip:+15550100@carrier.example.net" || d.From != "sip:+15550000@sbc1.example.net" || d.Username != "acme-7" ||
			d.Password != "sealed" || d.Trunk != "t1" || !slices.Equal(d.Hops, want) {
			t.Errorf("called as %+v", d)
		}
		store.trunk.IsActive = false
		if r := ask("+15550100", "pbx.local"); r.Admitted || r.Reason != endpoint.ReasonReferTrunk {
			t.Errorf("its trunk is off: %+v", r)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if n := len(d.refers); n != 6 || d.refers[1].Verdict.Action != endpoint.Accept || d.refers[2].Host != "premium.example" {
			t.Errorf("%d decisions told: %+v", n, d.refers)
		}
	})
}

var _ actors.Referred = (*dialog)(nil)

func (d *dialog) AnswerRefer(_ time.Time, r call.Response) []call.Output {
	return d.send(fmt.Sprint(r.Status, " REFER"))
}

func (d *dialog) NotifyRefer(_ time.Time, status int) []call.Output {
	return d.send(fmt.Sprint("NOTIFY ", status))
}

func (d *dialog) Leave(now time.Time, wait time.Duration, _ call.Cause) []call.Output {
	d.end = now.Add(wait)
	return nil
}

func TestAReferThatComesAfterTheEndIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newShelf()
		address := store.put("desk-abc", func(ep *endpoint.Endpoint) { ep.AcceptRefer = &endpoint.ReferPolicy{} })
		d := newDecider(t, actors.EndpointLimits{}, store, newDesk(), newDesk())
		d.Stop()
		r := d.ask(actors.Question{V: 1, Call: 7, Tenant: "acme", Endpoint: address.Key(), Partition: address.Partition(),
			Referral: &endpoint.Referral{URI: "sip:bob@203.0.113.9", User: "bob", Host: "203.0.113.9", Peer: netip.MustParseAddr("203.0.113.9")}})
		if r.Admitted || r.Status != 503 || store.reads != 0 {
			t.Errorf("got %+v after %d reads, though nobody waits for them", r, store.reads)
		}
	})
}

// TestATargetOfACallOfOursIsCalledThroughItsTrunk has the carrier of a call that
// we placed send us elsewhere: with a policy, and without one.
func TestATargetOfACallOfOursIsCalledThroughItsTrunk(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		policy *endpoint.ReferPolicy
		want   string
	}{
		"without a policy": {nil, "603 REFER"},
		"not to bob":       {&endpoint.ReferPolicy{Targets: []string{"carol"}}, "603 REFER"},
		"to bob":           {&endpoint.ReferPolicy{Hosts: []string{"pbx.example"}}, "202 REFER, INVITE sip:bob@pbx.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ph := newPhone(t, nil)
				j := errand(7)
				j.Dial.Refer = tc.policy
				ph.Offer(j)
				synctest.Wait()
				ph.says(t, 7, "OK")
				ph.bridges[7].post(call.Event{Kind: call.AgentJoined, Dispatch: 1, Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
				synctest.Wait()
				before := len(ph.sent)
				ph.says(t, 7, "REFER bob")
				if got := strings.Join(ph.sent[before:], ", "); got != tc.want {
					t.Fatalf("sent %s, want %s", got, tc.want)
				}
				if tc.want == "603 REFER" {
					return
				}
				out := ph.out[1]
				if out.Nth != 1 || out.From != "sip:us@here.example" || out.Credentials.Password != "secret" || !slices.Equal(out.Hops, []string{"sip:bob@192.0.2.1"}) ||
					out.ReferredBy != "<sip:alice@pbx.example>" {
					t.Errorf("called as %+v", out)
				}
				ph.says(t, 7, "OK") // of the target
				if got := strings.Join(ph.sent[before+2:], ", "); !strings.Contains(got, "NOTIFY 200") || len(ph.bridges[7].agreed) != 1 {
					t.Errorf("then sent %s; media was told %+v", got, ph.bridges[7].agreed)
				}
				time.Sleep(time.Minute)
				ph.says(t, 7, "BYE")
				time.Sleep(time.Hour)
				if len(ph.records) != 1 || ph.records[0].Moved == nil || ph.records[0].Moved.How != call.MovedByRefer || ph.Holds(7) || ph.panics > 0 {
					t.Errorf("records %+v, held %v, %d panics", ph.records, ph.Holds(7), ph.panics)
				}
			})
		})
	}
}
