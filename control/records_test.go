package control_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/control"
)

// archive is the records of calls, as their owner's node has them.
type archive []call.Record

func (a archive) Get(_ context.Context, tenant string, id call.ID) (call.Record, error) {
	for _, rec := range a {
		if rec.ID == id && rec.Tenant == tenant {
			return rec, nil
		}
	}
	return call.Record{}, endpoint.ErrNotFound
}

func (a archive) List(_ context.Context, tenant string, q control.RecordQuery) (page []call.Record, next call.ID, err error) {
	for _, rec := range a[1+slices.IndexFunc(a, func(r call.Record) bool { return r.ID == q.After }):] {
		at := rec.Stages.Ended
		if rec.Tenant != tenant || q.Endpoint != "" && rec.Endpoint != string(q.Endpoint) || at.Before(q.Since) ||
			!q.Until.IsZero() && !at.Before(q.Until) {
			continue
		}
		if len(page) == q.Limit {
			return page, next, nil
		}
		page, next = append(page, rec), rec.ID
	}
	return page, 0, nil
}

// board is what deciders have counted.
type board map[endpoint.Key]control.Totals

func (b board) Totals(context.Context, []endpoint.Endpoint) (map[endpoint.Key]control.Totals, error) {
	if b == nil {
		return nil, control.ErrUnavailable
	}
	return b, nil
}

// exampleRecord is what remains of the example's call.
func exampleRecord() call.Record {
	live := exampleCall()
	since := live.Since
	return call.Record{ID: live.ID, Tenant: live.Tenant, Endpoint: string(live.Endpoint), Agent: live.Agent, Worker: live.Worker,
		Node: live.Node, DecisionID: "4qeldqq80a23pro6", SIPCallID: "843817637684230@998sdasdh09", From: live.From, To: live.To,
		Transport: call.UDP, Source: live.Source, Codec: live.Codec, Status: 200, Cause: call.CauseNormal, EndedBy: call.ByCarrier,
		Quality: live.Quality, Stages: call.Stages{Invited: since, AgentChosen: since.Add(20 * time.Millisecond),
			Answered: live.Answered, Acked: live.Answered.Add(30 * time.Millisecond), FirstRTP: live.Answered.Add(60 * time.Millisecond),
			FirstAgentRTP: live.Answered.Add(80 * time.Millisecond), Ended: exampleTime}}
}

func TestRecordsArePagedAndNobodyElses(t *testing.T) {
	t.Parallel()
	var all archive
	for n := range 7 {
		rec := exampleRecord()
		rec.ID, rec.Stages.Ended = call.ID(n+1), exampleTime.Add(time.Duration(n)*time.Minute)
		if n == 3 {
			rec.Tenant = "other"
		}
		all = append(all, rec)
	}
	ops := &control.Operations{Records: all}
	var got []call.ID
	pages := 0
	for in := (control.RecordPageRequest{PageRequest: control.PageRequest{Limit: 2}, Since: exampleTime.Add(time.Minute)}); ; pages++ {
		page, err := ops.ListRecords(t.Context(), "acme", in)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range page.Items {
			got = append(got, rec.ID)
		}
		if in.Cursor = page.Next; in.Cursor == "" {
			break
		}
	}
	if len(got) != 5 || got[0] != 2 || got[4] != 7 || pages != 2 {
		t.Errorf("got %v on %d pages more", got, pages)
	}
	if _, err := ops.GetRecord(t.Context(), "acme", control.ID{ID: call.ID(4).String()}); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("another tenant's: %v", err)
	}
}

func TestAWrongQuestionForRecordsNamesItsField(t *testing.T) {
	t.Parallel()
	ops := &control.Operations{Records: archive{}}
	for field, in := range map[string]control.RecordPageRequest{
		"until":  {Since: exampleTime, Until: exampleTime},
		"cursor": {PageRequest: control.PageRequest{Cursor: "!"}},
		"limit":  {PageRequest: control.PageRequest{Limit: 201}},
	} {
		_, err := ops.ListRecords(t.Context(), "acme", in)
		var told *control.Error
		if !errors.As(err, &told) || told.Code != control.CodeInvalid || told.Problems[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	var told *control.Error
	if _, err := ops.GetRecord(t.Context(), "acme", control.ID{ID: "nonsense"}); !errors.As(err, &told) || told.Problems[0].Field != "id" {
		t.Errorf("id: %v", err)
	}
}

func TestAnEndpointIsShownWithItsTotalsOrWithoutThem(t *testing.T) {
	t.Parallel()
	store := newShelf()
	ops := &control.Operations{Store: store, Now: func() time.Time { return exampleTime }}
	made, err := ops.CreateEndpoint(t.Context(), "acme", control.NewEndpoint{})
	if err != nil {
		t.Fatal(err)
	}
	ops.Board = board{made.Key: {Calls: 3, Rejected: 1, LastCallAt: exampleTime}}
	got, err := ops.GetEndpoint(t.Context(), "acme", control.ID{ID: made.ID})
	if err != nil || got.Totals == nil || got.Totals.Calls != 3 || got.LastCallAt == nil || !got.LastCallAt.Equal(exampleTime) {
		t.Errorf("got %+v, %v", got, err)
	}
	page, err := ops.ListEndpoints(t.Context(), "acme", control.EndpointQuery{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Totals == nil || page.Items[0].Totals.Rejected != 1 {
		t.Errorf("got %+v, %v", page, err)
	}
	ops.Board = board(nil) // JetStream is away
	if got, err = ops.GetEndpoint(t.Context(), "acme", control.ID{ID: made.ID}); err != nil || got.Totals != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}
