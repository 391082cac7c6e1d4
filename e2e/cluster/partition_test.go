package cluster_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/e2e/rig"
)

// TestPartitions cuts hosts off from NATS, each with an address of its own.
func TestPartitions(t *testing.T) {
	t.Parallel()
	if !rig.OwnNetwork(t) {
		return
	}
	b := newBed(t, rig.Plan{Edges: 2, Net: rig.NewNet(t)})
	for _, cut := range cuts {
		t.Run("an edge whose packets are lost: "+cut.name, func(t *testing.T) {
			b.once(t, b.cutOff(t, b.Edges[0], cut.way, 5*time.Second))
		})
		t.Run("an actor node whose packets are lost: "+cut.name, func(t *testing.T) {
			b.once(t, b.cutOff(t, b.owner(t, b.answered), cut.way, 5*time.Second))
		})
		t.Run("a media node whose packets are lost for long: "+cut.name, func(t *testing.T) { b.mediaCutOff(t, cut.way) })
	}
	t.Run("a media node whose packets are lost for a moment", b.mediaCutOffForAMoment)
}

// cuts are the ways to lose packets between a host and the brokers.
var cuts = []struct {
	name string
	way  rig.Cut
}{{"those to it", rig.CutIn}, {"those from it", rig.CutOut}, {"all", rig.CutBoth}}

// moment is how long a media node may be cut off and not be taken for dead: a
// third of three of its beats.
const moment = 500 * time.Millisecond

// healed waits until a node that was cut off serves again.
func healed(t *testing.T, n *rig.Node) time.Duration {
	t.Helper()
	began := time.Now()
	rig.Until(t, settle, func() (string, bool) {
		status, body, err := n.Get("/readyz")
		return fmt.Sprintf("%s is ready again: %d %s %v", n.Name, status, body, err), err == nil && status == http.StatusOK
	})
	return time.Since(began)
}

// cutOff cuts a node off for a while under 10 calls a second. Calls that were
// up go on, and no call fails. It returns all of them.
func (b *bed) cutOff(t *testing.T, n *rig.Node, way rig.Cut, lasts time.Duration) rig.Tally {
	t.Helper()
	talks := b.talks(t, 8, func(int) rig.Way { return rig.Way{Sound: true} })
	stop := b.traffic(t, 10, time.Second)
	pause(t, time.Second)
	heal, cut := b.Cut(t, n, way), time.Now()
	pause(t, lasts)
	heal()
	t.Logf("%s was cut off from %s to %s", n.Name, cut.Format(moments), time.Now().Format(moments))
	took := healed(t, n)
	pause(t, time.Second)
	all := append(stop(), each(talks, func(_ int, c *talk) { c.Bye() })...)
	t.Logf("%s was ready again after %v; longest gap in the audio %v", n.Name, took.Round(10*time.Millisecond), gap(all).Round(time.Millisecond))
	none(t, all)
	b.whole(t, all)
	return all
}

// mediaCutOffForAMoment does so in each way. A second call that two nodes made of
// an INVITE ends when its ACK has not come for 64*T1, so that is waited for once.
func (b *bed) mediaCutOffForAMoment(t *testing.T) {
	var all rig.Tally
	for _, cut := range cuts {
		t.Logf("lost: %s", cut.name)
		all = append(all, b.cutOff(t, b.Medias[0], cut.way, moment)...)
	}
	b.once(t, all)
}

// mediaCutOff cuts a media node off for so long that the others must take it
// for dead: each of its calls has a BYE and one record, and is nobody's when
// the node is back. Calls of others do not notice.
func (b *bed) mediaCutOff(t *testing.T, way rig.Cut) {
	victim := b.Medias[0]
	talks := b.talks(t, 16, func(int) rig.Way { return rig.Way{Sound: true} })
	on := b.Op.Kept(t, settle, len(talks))
	began := time.Now()
	heal := b.Cut(t, victim, way)
	pause(t, 500*time.Millisecond)
	stop := b.traffic(t, 10, time.Second)
	all := each(talks, func(_ int, c *talk) { c.hears(t, on[c.CallID()] == victim.Name, 8*time.Second) })
	placed := stop()
	heal()
	took := healed(t, victim)
	var last time.Duration
	lost := 0
	for _, o := range all {
		if on[o.CallID] == victim.Name {
			lost++
			last = max(last, o.Ended.Sub(began))
		}
	}
	t.Logf("%d of %d calls were on %s, the last heard its BYE %v after the cut; it was ready again after %v", lost, len(all), victim.Name,
		last.Round(time.Millisecond), took.Round(10*time.Millisecond))
	none(t, all)
	none(t, placed)
	b.idle(t)
	for id, rec := range b.Op.OneRecordEach(t, settle, append(all, placed...)) {
		if lostOne := on[id] == victim.Name; lostOne != (rec.Cause == call.CauseNodeLost) {
			t.Errorf("the record of a call on %q has the cause %s", on[id], rec.Cause.Word)
		}
	}
}
