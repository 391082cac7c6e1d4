package undertaker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/journal"
	"patchbay/cluster/placement"
	"patchbay/cluster/undertaker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is media nodes, the entries of their calls, and who hears whom. All
// nodes start with boot 1.
type world struct {
	mu      sync.Mutex
	nodes   map[string]*machine
	entries map[call.ID]*entry
	buried  map[call.ID][]string // who said BYE
	records map[call.ID][]string
	swept   int
	away    bool // JetStream does not answer
}

// A machine is one media node.
type machine struct {
	name   string
	mute   bool            // hears nothing and says nothing: killed, or cut off
	killed bool            // nobody listens at its slot, and nothing of it runs
	deafTo map[string]bool // whose beats it does not hear
	calls  []call.ID
}

type entry struct {
	journal.Left
	writes int
}

func newWorld(names ...string) *world {
	w := &world{nodes: map[string]*machine{}, entries: map[call.ID]*entry{}, buried: map[call.ID][]string{}, records: map[call.ID][]string{}}
	for i, name := range names {
		w.nodes[name] = &machine{name: name, deafTo: map[string]bool{}}
		for n := range 20 {
			w.live(name, call.ID(1000*(i+1)+n))
		}
	}
	return w
}

func (w *world) live(node string, id call.ID) {
	rec := call.Record{ID: id, Node: node}
	e := &entry{Left: journal.Left{Revision: 1}}
	e.Head = journal.Head{V: 2, Epoch: 1, State: journal.Live, Node: node, Boot: 1, Slot: call.Slot(len(w.nodes))}
	e.Record = rec
	e.Snapshot = &actors.Snapshot{Record: rec, Dialog: json.RawMessage(`{}`), Job: actors.Job{Key: call.TransactionKey{CallID: fmt.Sprint(id)}}}
	w.entries[id] = e
	w.nodes[node].calls = append(w.nodes[node].calls, id)
}

// hears says whether observer hears the beats of a node.
func (w *world) hears(observer, node string) bool {
	return !w.nodes[node].mute && !w.nodes[observer].mute && !w.nodes[observer].deafTo[node]
}

// at is a node's view of the world.
type at struct {
	*world
	me string
}

func (a at) Silent() (list []cluster.Silent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.nodes[a.me].killed {
		return nil
	}
	for name, n := range a.nodes {
		if !a.hears(a.me, name) && len(n.calls) > 0 {
			list = append(list, cluster.Silent{Node: name, Boot: 1, Slot: 1, Calls: slices.Clone(n.calls)})
		}
	}
	return list
}

func (a at) Surviving() (list []placement.Node) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name := range a.nodes {
		if a.hears(a.me, name) {
			list = append(list, placement.Node{Name: name, Capacity: 100})
		}
	}
	return list
}

func (a at) Heard(node string, boot uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return boot == 1 && a.hears(a.me, node)
}

func (a at) Knock(ctx context.Context, s cluster.Silent) cluster.Sign {
	a.mu.Lock()
	n := a.nodes[s.Node]
	mute, killed := n.mute, n.killed
	a.mu.Unlock()
	switch {
	case killed:
		return cluster.Gone
	case mute:
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
		return cluster.Mute
	case s.Boot != 1:
		return cluster.Gone
	}
	return cluster.Alive
}

func (a at) Sweep() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.swept++
}

func (a at) Find(_ context.Context, ids []call.ID, wanted func(journal.Head) bool) (left []journal.Left, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away || a.nodes[a.me].mute {
		return nil, journal.ErrUnavailable
	}
	for _, id := range ids {
		if e := a.entries[id]; e != nil && e.State == journal.Live && wanted(e.Head) {
			left = append(left, e.Left)
		}
	}
	return left, nil
}

func (a at) Claim(_ context.Context, l journal.Left) (journal.Hold, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.entries[l.Record.ID]
	switch {
	case a.away, a.nodes[a.me].mute:
		return journal.Hold{}, journal.ErrUnavailable
	case e.Revision != l.Revision:
		return journal.Hold{}, journal.ErrSuperseded
	}
	e.Epoch, e.Revision, e.Node = l.Epoch+1, l.Revision+1, a.me
	e.writes++
	return journal.Hold{Epoch: e.Epoch, Revision: e.Revision}, nil
}

func (a at) Adopt(context.Context, call.ID, journal.Hold) bool { return true }

func (a at) Record(rec call.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records[rec.ID] = append(a.records[rec.ID], a.me+" "+rec.Cause.Word)
}

func (a at) Bury(s *actors.Snapshot, owner uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(s.Dialog) == 0 || string(s.Dialog) == "null" || owner < 2 {
		return errors.New("no dialog")
	}
	a.buried[s.Record.ID] = append(a.buried[s.Record.ID], a.me)
	return nil
}

// start runs an undertaker on every node.
func (w *world) start(t *testing.T) (stop func(), of map[string]*undertaker.Undertaker) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	of = map[string]*undertaker.Undertaker{}
	for name := range w.nodes {
		a := at{w, name}
		u := undertaker.New(name, 1, undertaker.Ports{Silent: a.Silent, Surviving: a.Surviving, Heard: a.Heard, Knock: a.Knock,
			Sweep: a.Sweep, Journal: a, Ledger: a, Calls: a}, slog.New(slog.DiscardHandler), undertaker.Observer{Panic: func(v any) { t.Error(v) }})
		of[name] = u
		all.Go(func() { _ = u.Run(ctx) })
		<-u.Ready()
	}
	return func() { cancel(); all.Wait() }, of
}

func (w *world) set(name string, change func(*machine)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w.nodes[name])
}

// check fails unless the calls of exactly those nodes were ended, once each.
func (w *world) check(t interface{ Errorf(string, ...any) }, dead ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, e := range w.entries {
		owner := fmt.Sprintf("m%d", uint64(id)/1000)
		want := 0
		if slices.Contains(dead, owner) {
			want = 1
		}
		if got := w.buried[id]; len(got) != want || slices.Contains(got, owner) || e.writes != want {
			t.Errorf("call %d of %s was ended by %v, its entry claimed %d times", uint64(id), owner, got, e.writes)
		}
	}
}

func TestTheCallsOfAKilledNodeAreEndedWithinASecondBySurvivorsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("m1", "m2", "m3")
		stop, _ := w.start(t)
		defer stop()
		time.Sleep(10 * time.Second)
		w.check(t)
		w.set("m1", func(n *machine) { n.mute, n.killed = true, true })
		time.Sleep(time.Second)
		w.check(t, "m1")
		by := map[string]int{}
		w.mu.Lock()
		for _, who := range w.buried {
			by[who[0]]++
		}
		w.mu.Unlock()
		if by["m2"] == 0 || by["m3"] == 0 {
			t.Errorf("ended by %v, want each survivor's own share", by)
		}
		time.Sleep(time.Minute)
		w.check(t, "m1")
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.swept == 0 {
			t.Error("nobody has looked for the calls that were in none of its beats")
		}
	})
}

func TestAPausedNodeIsAskedTwiceAndItsCallsEndWithin3s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("m1", "m2", "m3")
		stop, _ := w.start(t)
		defer stop()
		w.set("m1", func(n *machine) { n.mute = true })
		time.Sleep(900 * time.Millisecond)
		w.check(t) // still in doubt
		time.Sleep(2100 * time.Millisecond)
		w.check(t, "m1")
		w.set("m1", func(n *machine) { n.mute = false })
		time.Sleep(time.Minute)
		w.check(t, "m1")
	})
}

func TestANodeThatComesBackInTimeKeepsItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("m1", "m2", "m3")
		stop, _ := w.start(t)
		defer stop()
		w.set("m1", func(n *machine) { n.mute = true })
		time.Sleep(800 * time.Millisecond)
		w.set("m1", func(n *machine) { n.mute = false })
		time.Sleep(time.Minute)
		w.check(t)
	})
}

func TestANodeThatOneObserverDoesNotHearIsAskedAndLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("m1", "m2", "m3")
		stop, _ := w.start(t)
		defer stop()
		w.set("m2", func(n *machine) { n.deafTo["m1"] = true })
		time.Sleep(time.Minute)
		w.check(t)
		// The observer was right to doubt: now the node dies.
		w.set("m1", func(n *machine) { n.mute, n.killed = true, true })
		time.Sleep(3 * time.Second)
		w.check(t, "m1")
	})
}

func TestANodeThatDoesNotHearItselfEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("m1", "m2")
		stop, _ := w.start(t)
		defer stop()
		// m2 hears nobody, itself not either, and nobody answers it.
		w.set("m2", func(n *machine) { n.deafTo["m1"], n.deafTo["m2"] = true, true })
		w.set("m1", func(n *machine) { n.killed = true })
		time.Sleep(time.Minute)
		w.check(t)
	})
}

func TestCallsAreEndedOnceJetStreamIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("m1", "m2", "m3")
		stop, _ := w.start(t)
		defer stop()
		w.set("m1", func(n *machine) { n.mute, n.killed = true, true })
		w.mu.Lock()
		w.away = true
		w.mu.Unlock()
		time.Sleep(time.Minute)
		w.check(t)
		w.mu.Lock()
		w.away = false
		w.mu.Unlock()
		time.Sleep(4 * time.Second)
		w.check(t, "m1")
	})
}

func TestWhatASweepFindsIsEndedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("m1", "m2")
		stop, of := w.start(t)
		defer stop()
		w.set("m1", func(n *machine) { n.mute, n.killed, n.calls = true, true, nil }) // no beat has named its calls
		var found []journal.Left
		w.mu.Lock()
		for id, e := range w.entries {
			if uint64(id)/1000 == 1 {
				found = append(found, e.Left)
			}
		}
		bare := found[0].Record.ID
		found[0].Snapshot = nil // of a release without snapshots
		w.mu.Unlock()
		of["m2"].Left(found)
		time.Sleep(time.Second)
		w.mu.Lock()
		if got := w.records[bare]; len(got) != 1 || !strings.HasSuffix(got[0], "node_lost") || len(w.buried[bare]) != 0 {
			t.Errorf("a call without a snapshot: records %v, ended by %v", got, w.buried[bare])
		}
		w.buried[bare] = w.records[bare]
		w.mu.Unlock()
		w.check(t, "m1")
	})
}

func TestANodeEndsTheCallsOfItsEarlierStartAtOnce(t *testing.T) {
	for _, boot := range []uint64{0, 2} { // 2: its clock was set back since
		endsItsOwn(t, boot)
	}
}

func endsItsOwn(t *testing.T, boot uint64) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("m1")
		stop, of := w.start(t)
		defer stop()
		w.mu.Lock()
		w.entries[1000].Boot = boot
		left := w.entries[1000].Left
		w.mu.Unlock()
		of["m1"].Left([]journal.Left{left})
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if got := w.buried[1000]; !slices.Equal(got, []string{"m1"}) {
			t.Errorf("a call of start %d was ended by %v", boot, got)
		}
	})
}

// TestWhateverHappensACallIsEndedAtMostOnceAndALiveNodesNever lets nodes be
// killed, paused, cut off and deaf at random times. Virtual time makes each run
// short; its real length is only what it computes.
func TestWhateverHappensACallIsEndedAtMostOnceAndALiveNodesNever(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type act struct {
			after time.Duration
			node  string
			what  int
		}
		var script []act
		for range rapid.IntRange(1, 8).Draw(rt, "acts") {
			script = append(script, act{time.Duration(rapid.IntRange(0, 4000).Draw(rt, "ms")) * time.Millisecond,
				rapid.SampledFrom([]string{"m1", "m2", "m3", "m4"}).Draw(rt, "node"), rapid.IntRange(0, 4).Draw(rt, "what")})
		}
		synctest.Test(t, func(t *testing.T) {
			w := newWorld("m1", "m2", "m3", "m4")
			stop, _ := w.start(t)
			killed, paused := map[string]bool{}, map[string]bool{}
			for _, a := range script {
				time.Sleep(a.after)
				w.set(a.node, func(n *machine) {
					switch a.what {
					case 0:
						n.mute, n.killed, killed[a.node] = true, true, true
					case 1:
						n.mute, paused[a.node] = true, true
					case 2:
						n.mute = n.killed // wakes
					case 3:
						n.deafTo["m1"], n.deafTo["m2"] = true, true
					case 4:
						clear(n.deafTo)
					}
				})
			}
			for name := range w.nodes {
				w.set(name, func(n *machine) { clear(n.deafTo); n.mute = n.killed })
			}
			time.Sleep(time.Minute)
			stop()
			for id, e := range w.entries {
				owner := fmt.Sprintf("m%d", uint64(id)/1000)
				switch n := len(w.buried[id]); {
				case n != e.writes || n > 1:
					t.Errorf("call %d was ended %d times by %v and claimed %d times", uint64(id), n, w.buried[id], e.writes)
				case n > 0 && !killed[owner] && !paused[owner]:
					t.Errorf("call %d of %s, which was never silent, was ended by %v", uint64(id), owner, w.buried[id])
				case n == 0 && killed[owner] && len(killed) < 4:
					t.Errorf("call %d of %s, which was killed, was not ended", uint64(id), owner)
				}
			}
		})
	})
}
