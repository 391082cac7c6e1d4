package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
)

// names lists by a filter and returns the names of what came.
func names(t testing.TB, s *store.Store, f endpoint.Filter, w endpoint.Window) ([]string, endpoint.Listed) {
	t.Helper()
	if w.Limit == 0 {
		w.Limit = 50
	}
	got, err := s.FindEndpoints(t.Context(), "acme", f, w)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(got.Items))
	for i := range got.Items {
		out[i] = got.Items[i].Name
	}
	return out, got
}

func TestAListIsFilteredByAnyOfItsFields(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	yes, no, app, agent := true, false, "App-1", "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001"
	yappr, native := "yappr", ""
	slugged := newEndpoint("acme", 1)
	slugged.Name, slugged.ProjectID, slugged.Handler, slugged.CallerID = "Night desk", "p1", endpoint.Handler{Active: endpoint.HandlerAgent, AgentID: &agent}, "Desk 7"
	sales, support := device("acme", "Sales", 2), device("acme", "support", 3)
	sales.Name, sales.Handler, sales.SubAccount = "sales", endpoint.Handler{Active: "application", ApplicationID: &app}, &app
	support.Name, support.IsActive, support.Origin = "support", false, "yappr"
	for _, ep := range []endpoint.Endpoint{slugged, sales, support} {
		create(t, s, ep)
	}
	create(t, s, func() endpoint.Endpoint { ep := newEndpoint("other", 9); ep.Name = "another account's"; return ep }())
	for _, c := range []struct {
		f    endpoint.Filter
		want []string
	}{
		{endpoint.Filter{}, []string{"Night desk", "sales", "support"}},
		{endpoint.Filter{Kinds: []endpoint.Kind{endpoint.KindCredential}}, []string{"sales", "support"}},
		{endpoint.Filter{Name: "night DESK"}, []string{"Night desk"}},
		{endpoint.Filter{NameContains: "S"}, []string{"Night desk", "sales", "support"}},
		{endpoint.Filter{User: "sALES"}, []string{"sales"}},
		{endpoint.Filter{UserContains: "upp"}, []string{"support"}},
		{endpoint.Filter{UserPrefix: "S"}, []string{"sales", "support"}},
		{endpoint.Filter{ProjectID: "P1"}, []string{"Night desk"}},
		{endpoint.Filter{SubAccount: "app-1"}, []string{"sales"}},
		{endpoint.Filter{ApplicationID: "app-1"}, []string{"sales"}},
		{endpoint.Filter{HasApplication: &no}, []string{"Night desk", "support"}},
		{endpoint.Filter{HasApplication: &yes, IsActive: &yes}, []string{"sales"}},
		{endpoint.Filter{AgentID: agent}, []string{"Night desk"}},
		{endpoint.Filter{CallerIDContains: "desk"}, []string{"Night desk"}},
		{endpoint.Filter{IsActive: &no}, []string{"support"}},
		{endpoint.Filter{Origin: &yappr}, []string{"support"}},
		{endpoint.Filter{Origin: &native}, []string{"Night desk", "sales"}},
		{endpoint.Filter{Name: "nobody"}, []string{}},
	} {
		got, listed := names(t, s, c.f, endpoint.Window{Count: true})
		if !slices.Equal(got, c.want) || listed.Total != len(c.want) || listed.Next != "" {
			t.Errorf("%+v: got %v of %d, next %q, want %v", c.f, got, listed.Total, listed.Next, c.want)
		}
	}
}

func TestAFilteredListIsReadPageByPageInBothOrders(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var want []string
	for n := 1; n <= 25; n++ {
		ep := newEndpoint("acme", n)
		ep.IsActive = n%2 == 1
		create(t, s, ep)
		if ep.IsActive {
			want = append(want, ep.Name)
		}
	}
	active := true
	f := endpoint.Filter{IsActive: &active}
	for _, newest := range []bool{false, true} {
		var got []string
		w := endpoint.Window{Limit: 4, Newest: newest, Count: true}
		for pages := 0; ; pages++ {
			page, listed := names(t, s, f, w)
			got = append(got, page...)
			if listed.Total != len(want) || pages > len(want) {
				t.Fatalf("total %d, want %d", listed.Total, len(want))
			}
			if w.Cursor = listed.Next; w.Cursor == "" {
				break
			}
		}
		if newest {
			slices.Reverse(got)
		}
		if !slices.Equal(got, want) {
			t.Errorf("newest %v: got %v, want %v", newest, got, want)
		}
		by, _ := names(t, s, f, endpoint.Window{Offset: 3, Limit: 2, Newest: newest})
		if expect := want[3:5]; newest && !slices.Equal(by, []string{want[9], want[8]}) || !newest && !slices.Equal(by, expect) {
			t.Errorf("passed over 3, newest %v: %v", newest, by)
		}
	}
	if got, listed := names(t, s, f, endpoint.Window{Offset: 100, Count: true}); len(got) != 0 || listed.Total != len(want) {
		t.Errorf("past the end: %v, %d", got, listed.Total)
	}
	if _, err := s.FindEndpoints(t.Context(), "acme", f, endpoint.Window{Cursor: "???"}); !errors.Is(err, store.ErrCursor) {
		t.Errorf("no cursor: %v", err)
	}
}

func TestAFilteredListShowsEveryWriteOfItsNodeAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	f := endpoint.Filter{NameContains: "desk"}
	if got, _ := names(t, s, f, endpoint.Window{}); len(got) != 0 {
		t.Fatalf("before: %v", got)
	}
	ep := newEndpoint("acme", 1)
	ep.Name = "desk"
	ep = create(t, s, ep)
	if got, _ := names(t, s, f, endpoint.Window{}); !slices.Equal(got, []string{"desk"}) {
		t.Errorf("created: %v", got)
	}
	ep.Name = "desk two"
	var err error
	if ep.Revision, err = s.UpdateEndpoint(t.Context(), ep); err != nil {
		t.Fatal(err)
	}
	if got, _ := names(t, s, f, endpoint.Window{}); !slices.Equal(got, []string{"desk two"}) {
		t.Errorf("changed: %v", got)
	}
	if err := s.DeleteEndpoint(t.Context(), ep); err != nil {
		t.Fatal(err)
	}
	if got, listed := names(t, s, endpoint.Filter{}, endpoint.Window{Count: true}); len(got) != 0 || listed.Total != 0 {
		t.Errorf("deleted: %v of %d", got, listed.Total)
	}
	ep.Revision, ep.Name = 0, "desk again"
	create(t, s, ep) // at the same address, under the same id
	if got, listed := names(t, s, f, endpoint.Window{Count: true}); !slices.Equal(got, []string{"desk again"}) || listed.Total != 1 {
		t.Errorf("made again: %v of %d", got, listed.Total)
	}
	more := newEndpoint("acme", 2)
	more.Name = "desk of a batch"
	if err := s.Apply(t.Context(), "acme", nil, []endpoint.Endpoint{more}, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := names(t, s, f, endpoint.Window{}); len(got) != 2 {
		t.Errorf("of a batch: %v", got)
	}
}

// TestAFilteredListFollowsOtherNodes changes endpoints at one node, at random
// and all at once, and looks at another.
func TestAFilteredListFollowsOtherNodes(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	here := open(t, srv, store.Config{Node: "n1"}, store.Observer{})
	there := open(t, srv, store.Config{Node: "n2"}, store.Observer{})
	run(t, here)
	run(t, there)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { // a reader, all the while
		for ctx.Err() == nil {
			_, _ = there.FindEndpoints(ctx, "acme", endpoint.Filter{NameContains: "x"}, endpoint.Window{Limit: 10, Count: true})
		}
	})
	const writers, acts = 4, 40
	finals := make([]map[string]string, writers)
	var writing sync.WaitGroup
	for w := range writers {
		finals[w] = map[string]string{}
		writing.Go(func() { write(t, here, w, acts, finals[w]) })
	}
	writing.Wait()
	want := map[string]string{}
	for _, m := range finals {
		for id, name := range m {
			want[id] = name
		}
	}
	deadline := time.Now().Add(patience)
	for {
		got := map[string]string{}
		listed, err := there.FindEndpoints(t.Context(), "acme", endpoint.Filter{NameContains: "x"}, endpoint.Window{Limit: 200, Count: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, ep := range listed.Items {
			got[ep.ID] = ep.Name
		}
		if listed.Total == len(want) && fmt.Sprint(got) == fmt.Sprint(want) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %d of %v, want %v", listed.Total, got, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	all.Wait()
}

// write makes, changes and ends endpoints of its own, and says what is left.
func write(t *testing.T, s *store.Store, writer, acts int, left map[string]string) {
	revisions := map[string]endpoint.Endpoint{}
	for act := range acts {
		ep := newEndpoint("acme", 1+writer*10+rand.IntN(8))
		ep.Name = fmt.Sprintf("x %d %d", writer, act)
		have, there := revisions[ep.ID]
		var err error
		switch {
		case !there:
			ep.Revision, err = s.CreateEndpoint(t.Context(), ep, endpoint.Terms{})
		case act%3 == 0:
			err = s.DeleteEndpoint(t.Context(), have)
			delete(revisions, ep.ID)
			delete(left, ep.ID)
		default:
			ep.Revision = have.Revision
			ep.Revision, err = s.UpdateEndpoint(t.Context(), ep)
		}
		if err != nil {
			t.Errorf("act %d of %d: %v", act, writer, err)
			return
		}
		if !there || act%3 != 0 {
			revisions[ep.ID], left[ep.ID] = ep, ep.Name
		}
	}
}

func TestManyAccountsAreListedInTurn(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for n := range 3 {
		create(t, s, newEndpoint("acme", n+1))
		create(t, s, newEndpoint("other", n+11))
	}
	for range 2 {
		for _, tenant := range []string{"acme", "other", "nobody"} {
			listed, err := s.FindEndpoints(t.Context(), tenant, endpoint.Filter{}, endpoint.Window{Limit: 10, Count: true})
			if want := map[string]int{"acme": 3, "other": 3}[tenant]; err != nil || listed.Total != want || len(listed.Items) != want {
				t.Errorf("%s: %d, %v", tenant, listed.Total, err)
			}
		}
	}
}

// A list that gives up half-way is finished by the next ones.
func TestAListOfManyIsReadInAsManyTriesAsItTakes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	const many = 6000
	for from := 0; from < many; from += 400 {
		eps := make([]endpoint.Endpoint, 0, 400)
		for n := from; n < min(from+400, many); n++ {
			eps = append(eps, newEndpoint("acme", n))
		}
		if err := s.Apply(t.Context(), "acme", nil, eps, endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
	}
	tries := 0
	for limit := time.Millisecond; ; limit *= 2 {
		tries++
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		listed, err := s.FindEndpoints(ctx, "acme", endpoint.Filter{NameContains: "number"}, endpoint.Window{Limit: 10, Count: true})
		cancel()
		if err != nil && limit < 20*time.Second {
			continue
		}
		if err != nil || listed.Total != many || len(listed.Items) != 10 {
			t.Errorf("after %d tries: %d of %d, %v", tries, len(listed.Items), listed.Total, err)
		}
		break
	}
	plain, next, err := s.Endpoints(t.Context(), "acme", "", 200) // by the listing
	if err != nil || len(plain) != 200 || next == "" || plain[0].ID != "acme-0" {
		t.Errorf("a plain list: %d, %v", len(plain), err)
	}
}
