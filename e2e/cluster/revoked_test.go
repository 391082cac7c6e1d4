package cluster_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/control"
	"patchbay/e2e/rig"
)

// sprayedEvery is the time between two INVITEs at one edge.
const sprayedEvery = 50 * time.Millisecond

// enough is how many INVITEs at each edge show something.
const enough = 10

// A revocable is an endpoint that one API made and deletes. It rings until it is
// given up.
type revocable struct {
	api    string
	uri    string
	delete func(t *testing.T)

	rung atomic.Int64 // INVITEs that had a response

	mu      sync.Mutex
	replied time.Time // when the API said that it was deleted
}

// revocables makes an endpoint by each API, all of one owner.
func (b *bed) revocables(t *testing.T) (all []*revocable, owner *rig.Node) {
	t.Helper()
	web, agent := b.Control.Web(t), b.Op.Agent(t, "dialin", nil).ID
	bearer := []string{"Authorization", "Bearer " + b.Control.AdminKey(t)}
	for _, make := range []func() (string, *revocable){
		func() (string, *revocable) {
			ep := b.Op.Endpoint(t, agent, nil)
			return ep.Slug, &revocable{api: "native over NATS", delete: func(t *testing.T) { b.Op.Delete(t, ep.ID) }}
		},
		func() (string, *revocable) {
			var ep control.EndpointView
			web.Do(t, "POST", "/v1/endpoints", rig.Fields{"slug_prefix": "web", "agent_id": agent}, 201, &ep)
			return ep.Slug, &revocable{api: "native over HTTP", delete: func(t *testing.T) { web.Do(t, "DELETE", "/v1/endpoints/"+ep.ID, nil, 204, nil) }}
		},
		func() (string, *revocable) {
			var made struct {
				Data struct {
					ID   string `json:"id"`
					Slug string `json:"slug"`
				} `json:"data"`
			}
			web.Do(t, "POST", "/sip-endpoints", rig.Fields{"name": "Desk", "inbound_agent_id": agent}, 201, &made, bearer...)
			return made.Data.Slug, &revocable{api: "Yappr", delete: func(t *testing.T) {
				web.Do(t, "DELETE", "/sip-endpoints/"+made.Data.ID, nil, 200, nil, bearer...)
			}}
		},
	} {
		for {
			slug, r := make()
			of := b.owner(t, slug)
			if owner == nil {
				owner = of
			}
			if of == owner {
				r.uri = b.uri(slug)
				all = append(all, r)
				break
			}
		}
	}
	return all, owner
}

// revoke deletes the endpoint and notes when that was said to be done.
func (r *revocable) revoke(t *testing.T) {
	r.delete(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replied = time.Now()
}

// aDeletedEndpointIsRefusedEverywhere sends INVITEs to each edge every 50 ms
// while endpoints are deleted, with their owner killed before or after, or not
// at all: from the delete's reply on each INVITE is refused, by every edge.
func (b *bed) aDeletedEndpointIsRefusedEverywhere(t *testing.T) {
	for name, dies := range map[string]struct{ before, after bool }{
		"nobody dies": {}, "its owner was killed before": {before: true}, "its owner is killed after": {after: true},
	} {
		t.Run(name, func(t *testing.T) {
			all, owner := b.revocables(t)
			runs := make([]*rig.Traffic, len(all))
			for i, r := range all {
				runs[i] = b.Carrier(t, rig.Transports[i%len(rig.Transports)]).Place(float64(len(b.Edges))*float64(time.Second/sprayedEvery), 0,
					func(int) (string, rig.Way) { return r.uri, rig.Way{Cancel: true, First: func() { r.rung.Add(1) }} })
			}
			pause(t, 300*time.Millisecond)
			for _, r := range all {
				rig.WaitFor(t, settle, "an INVITE is let in by "+r.api, func() bool { return r.rung.Load() > 0 })
			}
			if dies.before {
				owner.Kill()
			}
			var deleting sync.WaitGroup
			for _, r := range all {
				deleting.Go(func() { r.revoke(t) })
			}
			deleting.Wait()
			deleted := make([]int, len(all))
			for i := range all {
				deleted[i] = runs[i].Placed()
			}
			rest := time.Second
			if dies.after {
				owner.Kill()
				rest = 5 * time.Second // until others own its partitions
			}
			pause(t, rest)
			for i := range all { // a machine that stands still places few
				rig.WaitFor(t, settle, "INVITEs after the reply", func() bool { return runs[i].Placed() > deleted[i]+enough*len(b.Edges) })
			}
			for i, r := range all {
				b.refusedSince(t, r, runs[i].Stop())
			}
			if dies.before || dies.after {
				owner.Run()
			}
		})
	}
	b.idle(t)
}

// refusedSince checks what became of the INVITEs: some were let in before, and
// none after.
func (b *bed) refusedSince(t *testing.T, r *revocable, calls rig.Tally) {
	t.Helper()
	let, after := 0, 0
	for _, o := range calls {
		switch {
		case o.At.After(r.replied):
			if after++; o.Status != 404 {
				t.Errorf("%s: an INVITE of %v after the reply got %d: %s", r.api, o.At.Sub(r.replied).Round(time.Millisecond), o.Status, o.Fault)
			}
		case o.Status == 487:
			let++
		}
	}
	t.Logf("%s: %d INVITEs let in before the reply, %d refused after it", r.api, let, after)
	if let == 0 || after < enough*len(b.Edges) {
		t.Errorf("%s: %d INVITEs let in before the reply and %d sent after it: too few to show anything", r.api, let, after)
	}
}
