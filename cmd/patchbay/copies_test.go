package main_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/placement"
)

// A view is a decider that sees the media nodes it is told to.
type view struct {
	*cluster.Intake
	sees atomic.Pointer[[]placement.Node]
}

func (x *exchange) view() *view {
	v := &view{}
	v.sees.Store(&[]placement.Node{})
	v.Intake = x.intake(x.connect(), func() []placement.Node { return *v.sees.Load() })
	return v
}

// offer shows a message to the media nodes that the view sees, and returns what
// became of it.
func (v *view) offer(m message, cancel bool) actors.Taken {
	job := actors.Job{V: 1, Cancel: cancel, Key: key(m), Branch: m.Branch, Tenant: "acme", Endpoint: "k", Packet: m.Packet}
	if !cancel {
		job.Agent = &endpoint.Agent{V: 1, ID: "bot", IsActive: true}
	}
	out := make(chan actors.Taken, 1)
	v.Offer(context.Background(), job, func(t actors.Taken, err error) {
		if err != nil {
			t.Status = 500
		}
		out <- t
	})
	return <-out
}

// TestWhateverDecidersSeeOneCallComesOfAnInvite shows copies of an INVITE to
// media nodes by deciders of which each sees others, in any order and at once,
// and its CANCEL among them.
func TestWhateverDecidersSeeOneCallComesOfAnInvite(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	nodes := []*mediaNode{x.media("m1", 1, 10_000), x.media("m2", 2, 10_000), x.media("m3", 3, 10_000)}
	views := []*view{x.view(), x.view(), x.view()}
	all := make([]placement.Node, len(nodes))
	for i, n := range nodes {
		all[i] = n.Node
	}
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		callID := fmt.Sprint("copies-", run)
		invite, cancel := x.invite("desk", "ring", callID), x.request("CANCEL", "desk", "ring", callID)
		before := count(nodes...)
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			var round sync.WaitGroup
			for _, v := range views {
				sees := rapid.SliceOfNDistinct(rapid.IntRange(0, len(all)-1), 1, len(all), rapid.ID[int]).Draw(rt, "sees")
				some := make([]placement.Node, 0, len(sees))
				for _, i := range sees {
					some = append(some, all[i])
				}
				v.sees.Store(&some)
				if rapid.IntRange(0, 2).Draw(rt, "lost") == 0 {
					continue
				}
				round.Go(func() { v.offer(invite, false) })
			}
			round.Wait()
		}
		copies := count(nodes...) - before
		x.eventually(fmt.Sprintf("of %d copies of %s one is left", copies, callID), func() bool { return count(nodes...)-before <= 1 })
		if copies > 0 && count(nodes...)-before != 1 {
			rt.Fatalf("no copy of %d is left", copies)
		}
		if finals, _ := x.air.finals(callID); len(finals) != 0 {
			rt.Fatalf("the carrier heard %v while a copy rings", finals)
		}
		views[0].sees.Store(&all)
		taken := views[0].offer(cancel, true)
		switch {
		case copies == 0 && taken.Status != 481, copies > 0 && taken.Status != 0:
			rt.Fatalf("%d copies, and the CANCEL: %+v", copies, taken)
		case copies == 0: // it was remembered: whoever sees the same nodes begins nothing
			if got := views[0].offer(invite, false); got.Status != 487 {
				rt.Fatalf("after its CANCEL: %+v", got)
			}
		default:
			x.eventually(callID+" has ended", func() bool { return count(nodes...) == before && x.air.has(callID, "487") })
			if finals, _ := x.air.finals(callID); len(finals) != 1 {
				rt.Fatalf("the carrier heard %v", finals)
			}
		}
	})
}

// beatsOnce has a media node beat each mark once, and again only where the node
// insists: what beats repeat by themselves every 2 s is lost.
func beatsOnce(b *cluster.BeatConfig) {
	young, again := b.Young, b.Again
	var mu sync.Mutex
	told := map[uint64]bool{} // and whether as settled
	b.Young = func() (news []call.Mark) {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range young() {
			if settled, before := told[m.Digest]; !before || settled != m.Settled {
				told[m.Digest] = m.Settled
				news = append(news, m)
			}
		}
		return news
	}
	b.Again = func() []uint64 {
		mu.Lock()
		defer mu.Unlock()
		digests := again()
		for _, digest := range digests {
			delete(told, digest)
		}
		return digests
	}
}

func TestALateCopyYieldsAtOnceToACallThatIsSettled(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	nodes := []*mediaNode{x.media("m1", 1, 100, beatsOnce), x.media("m2", 2, 100, beatsOnce)}
	views := []*view{x.view(), x.view()}
	for i, v := range views {
		v.sees.Store(&[]placement.Node{nodes[i].Node})
	}
	for i := range 20 {
		first, second := i%2, 1-i%2 // whichever comes first in order
		m := x.invite("desk", "ring", fmt.Sprint("c", i))
		views[first].offer(m, false)
		views[first].offer(x.request("CANCEL", "desk", "ring", m.CallID), true)
		x.eventually("the first copy is over", func() bool { return nodes[first].Count() == 0 })
		time.Sleep(30 * time.Millisecond) // its last news is out, mostly
		if got := views[second].offer(m, false); got.Status != 0 {
			t.Fatalf("%+v", got)
		}
		x.eventually("the second copy yields", func() bool { return nodes[second].Count() == 0 })
	}
}
