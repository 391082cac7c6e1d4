package control_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// limited are operations for accounts acme, of 3 requests a minute, with a
// project of 6, and globex, of as many as it likes.
func limited(clock *time.Time) *control.Operations {
	store := newShelf()
	o := operations(store)
	o.Now = func() time.Time { return *clock }
	o.Known = func(_ context.Context, tenant string) (endpoint.Account, error) {
		switch tenant {
		case "acme":
			return endpoint.Account{Projects: []endpoint.Project{{ID: "first", Limits: endpoint.Limits{APIPerMinute: 3}},
				{ID: "second", Limits: endpoint.Limits{APIPerMinute: 6}}, {ID: "third"}}}, nil
		case "globex":
			return endpoint.Account{}, nil
		}
		return endpoint.Account{}, errors.New("the store is away")
	}
	return o
}

// many makes requests until one is refused, at most 20, and returns how many
// were not, and the refusal.
func many(t *testing.T, o *control.Operations, cred control.Credential, name string) (n int, err error) {
	for ; n < 20; n++ {
		if _, err = op(t, o, cred, name, `{}`); codeOf(err) == control.CodeRate {
			return n, err
		}
	}
	return n, nil
}

func TestAnAccountMakesAsManyRequestsAMinuteAsItMay(t *testing.T) {
	t.Parallel()
	now := exampleTime
	o := limited(&now)
	acme := as("acme", endpoint.KindOfNative, "*")
	n, err := many(t, o, acme, "endpoint.list")
	var told *control.Error
	if n != 3 || !errors.As(err, &told) || told.RetryAfterMs != 20_000 {
		t.Fatalf("%d requests, then %+v; want 3, and another after 20 s", n, err)
	}
	if !strings.HasSuffix(told.Error(), "try again in 20s") {
		t.Errorf("people are told %q", told)
	}
	other := as("acme", endpoint.KindOfNative, "calls:read")
	other.KeyID = "another"
	if n, _ := many(t, o, other, "call.list"); n != 0 {
		t.Errorf("another key of the account made %d more", n)
	}
	now = now.Add(20*time.Second - time.Millisecond)
	if n, err := many(t, o, acme, "agent.list"); n != 0 || !errors.As(err, &told) || told.RetryAfterMs != 1 {
		t.Errorf("1 ms too early: %d requests, %v", n, err)
	}
	now = now.Add(time.Millisecond)
	if n, _ := many(t, o, acme, "block.list"); n != 1 { // which is forbidden, and counts
		t.Errorf("after the time that was told: %d requests, want 1", n)
	}
	now = now.Add(time.Hour)
	if n, _ := many(t, o, acme, "endpoint.list"); n != 3 {
		t.Errorf("an hour later: %d requests, want 3", n)
	}
}

func TestAProjectsKeyHasTheRateOfItsProjectOrElseOfTheAccount(t *testing.T) {
	t.Parallel()
	now := exampleTime
	o := limited(&now)
	of := func(project string) control.Credential {
		cred := as("acme", endpoint.KindOfNative, "*")
		cred.ProjectID = project
		return cred
	}
	if n, _ := many(t, o, of("second"), "endpoint.list"); n != 6 {
		t.Errorf("a project with a limit: %d requests, want 6", n)
	}
	if n, _ := many(t, o, of("third"), "endpoint.list"); n != 3 {
		t.Errorf("a project without: %d requests, want the account's 3", n)
	}
	if n, _ := many(t, o, of(""), "endpoint.list"); n != 0 {
		t.Errorf("the account beside them: %d requests, want none left", n)
	}
}

func TestWithoutALimitOrItsAccountNoRequestIsCounted(t *testing.T) {
	t.Parallel()
	now := exampleTime
	o := limited(&now)
	for _, tenant := range []string{"globex", "nobody"} {
		if n, err := many(t, o, as(tenant, endpoint.KindOfNative, "*"), "call.list"); n != 20 {
			t.Errorf("%s: %d requests, then %v", tenant, n, err)
		}
	}
}

func TestTheMemoryOfRequestsIsBounded(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	o.Known = func(_ context.Context, tenant string) (endpoint.Account, error) {
		return endpoint.Account{Projects: []endpoint.Project{{Limits: endpoint.Limits{APIPerMinute: 1}}}}, nil
	}
	for i := range 3 * control.MaxRated {
		if n := o.Rated(); n > control.MaxRated {
			t.Fatalf("%d accounts are remembered after %d", n, i)
		}
		_, _ = o.Do(t.Context(), as(fmt.Sprint("t", i), endpoint.KindOfNative, "*"), control.Request{Noun: "no", Verb: "op"})
	}
	if _, err := o.Do(t.Context(), as(fmt.Sprint("t", 3*control.MaxRated-1), endpoint.KindOfNative, "*"), control.Request{Noun: "no", Verb: "op"}); codeOf(err) != control.CodeRate {
		t.Errorf("the last one is forgotten already: %v", err)
	}
}
