package store

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/cluster/subject"
)

// A syncLine asks deciders to answer nothing older than Revision of Key from
// now on; a syncAck says that Node will.
type syncLine struct {
	V        int    `json:"v"`
	Key      string `json:"key"`
	Revision uint64 `json:"revision"`
}

type syncAck struct {
	V    int    `json:"v"`
	Node string `json:"node"`
}

// acknowledge is a decider's side: it forgets what is older, so that the next
// read of the key goes to the bucket, and to its leader if the replica lags.
func (s *Store) acknowledge(m *nats.Msg) {
	var l syncLine
	if json.Unmarshal(m.Data, &l) != nil || l.V != version {
		s.log.Warn("sync request not understood", "version", l.V)
		return
	}
	s.raise(l.Key, l.Revision)
	if b, err := json.Marshal(syncAck{V: version, Node: s.cfg.Node}); err == nil && subject.IsInbox(m.Reply) {
		_ = m.Respond(b) // lost like any reply: the writer has a time limit
	}
}

// A change is a revision of a key that deciders are to know.
type change struct {
	key string
	rev uint64
}

// sync waits until every live decider knows the revisions, at most syncWait for
// all of them. A decider that does not answer in time follows by its feed; the
// writes stand.
func (s *Store) sync(ctx context.Context, changes ...change) {
	if len(changes) == 0 {
		return
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.syncWait)
	defer cancel()
	var nodes []string
	if s.cfg.Deciders != nil {
		nodes = s.cfg.Deciders()
	}
	g := newGathering(len(changes), nodes)
	missing, err := s.gather(ctx, changes, g)
	if err != nil {
		missing = len(nodes)
	}
	if s.obs.Synced != nil {
		s.obs.Synced(time.Since(start), missing)
	}
}

// gather asks about all changes at once and returns how many deciders did not
// acknowledge one of them.
func (s *Store) gather(ctx context.Context, changes []change, g *gathering) (missing int, err error) {
	inbox := s.nc.NewInbox()
	replies := make(chan *nats.Msg, len(changes)*(len(g.nodes)+1)+syncSlack)
	sub, err := s.nc.ChanSubscribe(inbox+".*", replies)
	if err != nil {
		return 0, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	for i, c := range changes {
		req, err := json.Marshal(syncLine{V: version, Key: c.key, Revision: c.rev})
		if err == nil {
			err = s.nc.PublishRequest(syncSubject(c.key), inbox+"."+strconv.Itoa(i), req)
		}
		if err != nil {
			return 0, err
		}
	}
	for g.open > 0 {
		select {
		case m := <-replies:
			g.take(m)
		case <-ctx.Done():
			return len(g.missing), nil
		}
	}
	return len(g.missing), nil
}

// syncSlack is room for acknowledgements of deciders that have just come.
const syncSlack = 64

// A gathering is who has acknowledged which change.
type gathering struct {
	nodes   []string
	waiting []map[string]bool // of each change: who has not acknowledged it
	open    int               // changes that somebody has not acknowledged
	missing map[string]bool   // who has not acknowledged one of them
	left    map[string]int    // how many each has not
}

func newGathering(changes int, nodes []string) *gathering {
	g := &gathering{nodes: nodes, waiting: make([]map[string]bool, changes), open: changes, missing: map[string]bool{}, left: map[string]int{}}
	for i := range g.waiting {
		g.waiting[i] = make(map[string]bool, len(nodes))
		for _, node := range nodes {
			g.waiting[i][node] = true
		}
	}
	for _, node := range nodes {
		g.missing[node], g.left[node] = true, changes
	}
	return g
}

// take takes one answer. Where nobody is known to decide, the first one is
// enough; where nobody is there at all, that ends the change's waiting.
func (g *gathering) take(m *nats.Msg) {
	i, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
	if err != nil || i < 0 || i >= len(g.waiting) || g.waiting[i] == nil {
		return
	}
	if m.Header.Get("Status") == "503" {
		g.waiting[i] = nil
		g.open--
		return
	}
	var ack syncAck
	if json.Unmarshal(m.Data, &ack) == nil && g.waiting[i][ack.Node] {
		delete(g.waiting[i], ack.Node)
		if g.left[ack.Node]--; g.left[ack.Node] == 0 {
			delete(g.missing, ack.Node)
		}
	}
	if len(g.waiting[i]) == 0 {
		g.waiting[i] = nil
		g.open--
	}
}

// syncSubject is where the deciders of a key are asked.
func syncSubject(key string) string {
	if kind, rest, _ := strings.Cut(key, "."); kind == "ep" || kind == "dom" || kind == "num" {
		partition, _, _ := strings.Cut(rest, ".")
		if k, err := strconv.ParseUint(partition, 10, 8); err == nil {
			return subject.Sync(uint8(k))
		}
	}
	return subject.SyncAny()
}
