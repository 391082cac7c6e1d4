package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/envelope"
	"patchbay/cluster/placement"
)

// A copyist is a media node with one copy of a call, or none.
type copyist struct {
	placement.Node
	presence *cluster.Presence
	key      call.TransactionKey
	has      bool
	settled  bool
	seq      uint64
}

func (c *copyist) Copy(digest uint64) (actors.Copy, bool) {
	if !c.has || digest != c.key.Digest() {
		return actors.Copy{}, false
	}
	return actors.Copy{ID: 1, Key: c.key, Mark: call.Mark{Digest: digest, Settled: c.settled}}, true
}

func (c *copyist) Yield(_ call.ID, otherSettled bool) {
	if !c.settled || otherSettled {
		c.has = false
	}
}

func (c *copyist) Insist(uint64) {}

func (c *copyist) beat() envelope.Beat {
	c.seq++
	b := envelope.Beat{Role: cluster.RoleMedia, Node: c.Name, Boot: 1, Seq: c.seq, Slot: c.Slot, Capacity: c.Capacity}
	if c.has {
		b.Young = []call.Mark{{Digest: c.key.Digest(), Settled: c.settled}}
	}
	return b
}

// TestOfAllCopiesOfACallExactlyOneStays has copies begin at any node, be
// acknowledged at any moment, and beats be lost and late, of any node.
func TestOfAllCopiesOfACallExactlyOneStays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		k := call.TransactionKey{CallID: rapid.StringN(1, 8, 8).Draw(rt, "Call-ID"), FromTag: "f", CSeq: 1}
		nodes := make([]*copyist, rapid.IntRange(2, 4).Draw(rt, "nodes"))
		for i := range nodes {
			nodes[i] = &copyist{key: k, Node: placement.Node{Name: fmt.Sprint("m", i), Slot: call.Slot(i + 1), Capacity: rapid.IntRange(1, 9).Draw(rt, "capacity")}}
			nodes[i].presence = cluster.NewPresence(time.Minute, time.Now, cluster.PresenceObserver{})
			nodes[i].presence.Contest(nodes[i].Node, nodes[i])
		}
		type late struct {
			data []byte
			to   *copyist
		}
		var post []late
		tell := func(from *copyist, lossy bool) {
			data, err := envelope.EncodeBeat(from.beat())
			if err != nil {
				rt.Fatal(err)
			}
			for _, to := range nodes { // to itself, too
				if !lossy || rapid.IntRange(0, 3).Draw(rt, "lost") > 0 {
					post = append(post, late{data, to})
				}
			}
		}
		began, acknowledged := 0, false
		rt.Repeat(map[string]func(*rapid.T){
			"begin": func(rt *rapid.T) {
				if n := nodes[rapid.IntRange(0, len(nodes)-1).Draw(rt, "node")]; !n.has && !acknowledged {
					n.has = true
					began++
				}
			},
			"ACK": func(rt *rapid.T) { // of the carrier, to one copy
				if n := nodes[rapid.IntRange(0, len(nodes)-1).Draw(rt, "node")]; n.has && !acknowledged {
					n.settled, acknowledged = true, true
				}
			},
			"beat": func(rt *rapid.T) { tell(nodes[rapid.IntRange(0, len(nodes)-1).Draw(rt, "node")], true) },
			"deliver": func(rt *rapid.T) {
				if len(post) > 0 {
					i := rapid.IntRange(0, len(post)-1).Draw(rt, "which")
					post[i].to.presence.Hear(post[i].data)
					post = append(post[:i], post[i+1:]...)
				}
			},
			"": func(rt *rapid.T) {
				left := 0
				for _, n := range nodes {
					if n.has {
						left++
					}
				}
				if began > 0 && left == 0 {
					rt.Fatal("every copy yielded")
				}
			},
		})
		for range 2 { // at last everybody hears everybody
			for _, n := range nodes {
				tell(n, false)
			}
			for _, m := range post {
				m.to.presence.Hear(m.data)
			}
			post = nil
		}
		left := 0
		for _, n := range nodes {
			if n.has {
				left++
				if acknowledged && !n.settled {
					rt.Errorf("%s kept its copy, and the carrier has another", n.Name)
				}
			}
		}
		if left != min(began, 1) {
			rt.Errorf("%d copies are left of %d", left, began)
		}
	})
}
