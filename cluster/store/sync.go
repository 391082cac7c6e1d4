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
	if b, err := json.Marshal(syncAck{V: version, Node: s.cfg.Node}); err == nil {
		_ = m.Respond(b) // lost like any reply: the writer has a time limit
	}
}

// sync waits until every live decider knows the revision, at most syncWait. A
// decider that does not answer in time follows by its feed; the write stands.
func (s *Store) sync(ctx context.Context, key string, rev uint64) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, syncWait)
	defer cancel()
	missing := s.gather(ctx, key, rev)
	if s.obs.Synced != nil {
		s.obs.Synced(time.Since(start), missing)
	}
}

// gather returns how many deciders did not acknowledge.
func (s *Store) gather(ctx context.Context, key string, rev uint64) int {
	want := map[string]bool{}
	if s.cfg.Deciders != nil {
		for _, node := range s.cfg.Deciders() {
			want[node] = true
		}
	}
	req, err := json.Marshal(syncLine{V: version, Key: key, Revision: rev})
	if err != nil {
		return len(want)
	}
	inbox := s.nc.NewRespInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return len(want)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := s.nc.PublishRequest(syncSubject(key), inbox, req); err != nil {
		return len(want)
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil || m.Header.Get("Status") == "503" { // late, or nobody decides
			return len(want)
		}
		var ack syncAck
		if json.Unmarshal(m.Data, &ack) == nil {
			delete(want, ack.Node)
		}
		if len(want) == 0 {
			return 0
		}
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
