package control_test

import (
	"context"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// yapprs is a credential of one of Yappr's keys.
func yapprs(key string) control.Credential {
	return control.Credential{Tenant: "acme", KeyID: key, Kind: endpoint.KindOfYappr, Scopes: []string{endpoint.ScopeAll}}
}

func TestAKeyOfYapprsHas60RequestsInAMinuteThatItsFirstOpens(t *testing.T) {
	t.Parallel()
	store, now := newShelf(), exampleTime
	ops := &control.Operations{Store: store, Now: func() time.Time { return now },
		Known: func(ctx context.Context, tenant string) (endpoint.Account, error) { return store.Account(ctx, tenant) }}
	if left, limited := ops.Rate(t.Context(), yapprs("a")); !limited || left.Limit != 60 || left.Remaining != 60 {
		t.Fatalf("before the first: %+v", left)
	}
	for i := range 60 {
		now = now.Add(500 * time.Millisecond)
		left, err := ops.Count(t.Context(), yapprs("a"))
		if err != nil || left.Remaining != 59-i {
			t.Fatalf("request %d: %+v, %v", i+1, left, err)
		}
	}
	left, err := ops.Count(t.Context(), yapprs("a"))
	if told, ok := err.(*control.Error); !ok || told.Code != control.CodeRate || told.RetryAfterMs != 30_500 {
		t.Errorf("request 61, 30 s later: %v, want rate_limited for 30.5 s", err)
	}
	if left.Remaining != 0 || left.Reset != 30_500*time.Millisecond {
		t.Errorf("what is left: %+v", left)
	}
	if _, err := ops.Count(t.Context(), yapprs("b")); err != nil {
		t.Errorf("another key: %v", err)
	}
	now = now.Add(30_500 * time.Millisecond)
	if left, err := ops.Count(t.Context(), yapprs("a")); err != nil || left.Remaining != 59 {
		t.Errorf("in the next minute: %+v, %v", left, err)
	}
}

func TestARequestThatWasCountedIsNotCountedAgain(t *testing.T) {
	t.Parallel()
	store := newShelf()
	ops := &control.Operations{Store: store, Now: func() time.Time { return exampleTime },
		Known: func(ctx context.Context, tenant string) (endpoint.Account, error) { return store.Account(ctx, tenant) }}
	list := control.Request{Noun: "agent", Verb: "list"}
	for _, counted := range []bool{true, true, false} {
		list.Counted = counted
		if _, err := ops.Do(t.Context(), yapprs("a"), list); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := ops.Rate(t.Context(), yapprs("a")); left.Remaining != 59 {
		t.Errorf("%d left, want 59", left.Remaining)
	}
}
