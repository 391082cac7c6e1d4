package control_test

import (
	"errors"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

func TestWhatCallersHearBeforeTheAnswerIsSetReadAndTakenBack(t *testing.T) {
	t.Parallel()
	store := newShelf()
	c := serve(t, store, nil)
	made := mustDo[control.EndpointView](t, c, "endpoint", "create",
		spec(`{"spec":{"name":"Desk","early_media":"ringback","ringback_tone":"uk"}}`))
	want := endpoint.EarlyPolicy{EarlyMedia: "ringback", RingbackTone: "uk"}
	if made.EarlyPolicy != want || store.eps[made.ID].EarlyPolicy != want {
		t.Errorf("made %+v, stored %+v", made.EarlyPolicy, store.eps[made.ID].EarlyPolicy)
	}
	change := func(patch string) control.EndpointView {
		return mustDo[control.EndpointView](t, c, "endpoint", "update", spec(`{"id":%q,"patch":%s}`, made.ID, patch))
	}
	want = endpoint.EarlyPolicy{EarlyMedia: "agent", RingbackTone: "uk", EarlyMediaLimitMs: 5000, EarlyMediaEnd: "reject"}
	if v := change(`{"early_media":"agent","early_media_limit_ms":5000,"early_media_end":"reject"}`); v.EarlyPolicy != want {
		t.Errorf("changed: %+v", v.EarlyPolicy)
	}
	if v := mustDo[control.EndpointView](t, c, "endpoint", "get", control.ID{ID: made.ID}); v.EarlyPolicy != want {
		t.Errorf("read: %+v", v.EarlyPolicy)
	}
	if v := change(`{"early_media":null,"ringback_tone":null,"early_media_limit_ms":null,"early_media_end":null}`); v.EarlyPolicy != (endpoint.EarlyPolicy{}) {
		t.Errorf("taken back: %+v", v.EarlyPolicy)
	}
	var refusal *control.Error
	err := c.Do(t.Context(), "endpoint", "update", spec(`{"id":%q,"patch":{"early_media":"music","early_media_limit_ms":1}}`, made.ID), nil)
	if !errors.As(err, &refusal) || len(refusal.Problems) != 2 {
		t.Errorf("two mistakes: %v", err)
	}
}
