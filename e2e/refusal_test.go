package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/e2e/rig"
)

// strangers are slugs that a carrier must not tell apart.
func strangers(t *testing.T, b *bed) map[string]string {
	t.Helper()
	known := b.endpoint(t, nil).Slug
	deleted := b.endpoint(t, nil)
	slugs := map[string]string{
		"unknown":      known[:len(known)-24] + strings.Repeat("a", 24),
		"inactive":     b.endpoint(t, rig.Fields{"is_active": false}).Slug,
		"wrong source": b.endpoint(t, rig.Fields{"ip": rig.Fields{"mode": "list", "entries": []rig.Fields{{"raw": "203.0.113.0/24"}}}}).Slug,
		"no source":    b.endpoint(t, rig.Fields{"ip": rig.Fields{"mode": "none"}}).Slug,
		"deleted":      deleted.Slug,
	}
	b.op.Delete(t, deleted.ID) // last: its refusal holds from the reply on
	return slugs
}

func TestAStrangerLearnsNothingFromItsRefusal(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		carrier := b.Dial(t, transport)
		seen := map[string]string{}
		for name, slug := range strangers(t, b) {
			invite := b.invite(slug)
			got := carrier.Final(invite)
			carrier.Send(invite.AckOf(got))
			if got.Status() != 404 || got.Header("Reason") != "" {
				t.Errorf("%s: got %q with Reason %q, want 404 without", name, got.Line(), got.Header("Reason"))
			}
			seen[name] = anonymous(got, invite, slug)
		}
		for name, text := range seen {
			if text != seen["unknown"] {
				t.Errorf("%s is told apart from unknown:\n%s\n%s", name, text, seen["unknown"])
			}
		}
	})
	if n := b.echo.Offers(); n != 0 {
		t.Errorf("the agent had %d offers, want none", n)
	}
}

// anonymous is a response without what identifies its transaction and with one
// word for whatever was dialled.
func anonymous(r rig.Response, invite rig.Request, slug string) string {
	return strings.NewReplacer(invite.CallID, "CALL-ID", invite.Branch, "BRANCH", invite.FromTag, "FROM-TAG",
		r.ToTag(), fmt.Sprintf("TO-TAG-OF-%d", len(r.ToTag())), slug, "SLUG").Replace(string(r))
}

func TestARefusedStrangersAckEndsTheTransaction(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		slugs := strangers(t, b)
		rig.Together(t, len(slugs), slices.Collect(maps.Keys(slugs)), func(t *testing.T, name string) {
			run := b.Play(t, rig.Scenario{File: "not-found", Transport: transport, User: slugs[name]})
			run.One(404, "INVITE")
		})
	})
}

func TestADeletedSlugIsRefusedFromTheReplyOn(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		for range 10 {
			ep := b.endpoint(t, nil)
			b.call(t, transport, ep.Slug).bye(t) // so that it is in every cache
			b.op.Delete(t, ep.ID)
			carrier, invite := b.Dial(t, transport), b.invite(ep.Slug)
			got := carrier.Final(invite)
			carrier.Send(invite.AckOf(got))
			if got.Status() != 404 {
				t.Errorf("a slug that was just deleted got %q, want 404", got.Line())
			}
		}
	})
	b.Idle(t, settle)
}

func TestDeletingAnEndpointLeavesItsCallsUp(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		ep := b.endpoint(t, nil)
		c := b.call(t, transport, ep.Slug)
		b.op.Delete(t, ep.ID)
		c.Silent(500*time.Millisecond, "a BYE", is("BYE"))
		if got := c.Final(c.invite.Within(c.answer, "OPTIONS", 5)); got.Status() != 200 {
			t.Errorf("OPTIONS within the call got %q, want 200", got.Line())
		}
		c.bye(t)
	})
	b.Idle(t, settle)
}

func TestAnAccountMayTellWhyItRefuses(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.op.Account(t, rig.Fields{"refusal": "explicit"})
	both(t, func(t *testing.T, transport string) {
		slugs := strangers(t, b)
		b.Play(t, rig.Scenario{File: "forbidden", Transport: transport, User: slugs["wrong source"]})
		for name, want := range map[string]struct {
			status int
			reason string
		}{
			"no source": {403, "source_not_allowed"},
			"inactive":  {603, "endpoint_inactive"},
			"unknown":   {404, ""}, // no account to ask for its style
			"deleted":   {404, ""},
		} {
			carrier, invite := b.Dial(t, transport), b.invite(slugs[name])
			got := carrier.Final(invite)
			carrier.Send(invite.AckOf(got))
			if got.Status() != want.status || !strings.Contains(got.Header("Reason"), want.reason) {
				t.Errorf("%s: got %q, Reason %q, want %d and %q", name, got.Line(), got.Header("Reason"), want.status, want.reason)
			}
		}
	})
}
